"""Public reports of memory that was asked back and did not come, or came. Each from the report's own input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.reports.told import LINUX, experiment, log, runs, scores

if TYPE_CHECKING:
    from pathlib import Path

IN_AND_OUT = "t_s,op,device,kind,size_bytes\n1,plug,dimm1,dimm,1GiB\n31,unplug,dimm1,,\n"


def test_a_dimm_of_which_one_block_refuses_stays_and_returns_nothing(tmp_path: Path) -> None:
    """intel/nemu issue 71: of eight blocks some go offline, then memory32, the lowest, refuses: the DIMM stays."""
    machine = {"boot_memory": "1GiB", "slots": 2, "max_memory": "3GiB"}
    policies = ("contig-zones", {"name": "udev", "label": "udev online"}, "online-movable", "auto-movable")
    tables = experiment(machine, log(tmp_path, IN_AND_OUT, tail=30), policies=policies, guest=LINUX)
    for run in runs(tables, tmp_path):
        stays = run.policy in {"contig-zones", "udev online"}
        assert run.plugged_at_end == GIB * stays, run.policy
        found = scores(run)
        returned = {name: found[name] for name in ("returned", "returned_share", "returnable_share_min")}
        if stays:
            events = run.result.events.tolist()
            assert {row[3] for row in events if row[1] == EventKind.REFUSED} == {32}
            assert sum(row[1] == EventKind.OFFLINE for row in events) >= 5
            assert returned == {"returned": 0, "returned_share": 0, "returnable_share_min": 0}
        else:
            assert (returned["returned"], returned["returned_share"]) == (GIB, 100)


@pytest.mark.parametrize(("policy", "stays"), [("contig-zones", True), ("online-movable", False)])
def test_blocks_of_an_s390x_guest_that_were_used_do_not_go(policy: str, stays: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """QEMU commit aa910c20ec5f, kata-containers PR 13376: 1 MiB device blocks; plain ``online`` makes them Normal."""
    rows = (
        "t_s,op,device,kind,size_bytes,block_bytes,max_bytes\n0,plug,vmem0,virtio-mem,0,1MiB,4GiB\n"
        "5,resize,vmem0,,2GiB,,\n10,demand,work,page-tables,256MiB,,\n110,resize,vmem0,,0,,\n"
    )
    machine = {"boot_memory": "1GiB", "architecture": "s390x"}
    run = runs(experiment(machine, log(tmp_path, rows, tail=60), policies=(policy,), guest=LINUX), tmp_path).one
    zones = {row[5] for row in run.result.events.tolist() if row[1] == EventKind.PLUG}
    assert zones == ({2} if stays else {3})
    assert (run.plugged_at_end >= 256 * MIB) == stays
    assert scores(run)["returns_unfulfilled"] == stays
    kept = {row[3] for row in run.result.events.tolist() if row[1] == EventKind.SUBUNPLUG}
    assert kept == ({4, 5} if stays else set()), "the first blocks, where page tables lie, give up a part only"
    if not stays:
        assert run.plugged_at_end == 0
