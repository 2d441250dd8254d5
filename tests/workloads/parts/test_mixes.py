"""Loads by name: what they are made of, what becomes of it in a guest, and how it fits the series it was taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from policies.fixed import OnlineMovable
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.kernel.linked_guest import linked
from tests.support import mix_fit
from tests.support.places import ROOT
from workloads.guest_load import GuestLoad
from workloads.load_trace import LoadTrace
from workloads.parts.demand import KINDS, GuestProcess
from workloads.parts.mixes import MIXES, parts_of

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.contract import Host

PAGE = 4096


def test_a_single_kind_is_itself() -> None:
    for kind in KINDS:
        assert list(parts_of("x", kind, 0.25)) == [("x", kind, 0.25)]


def test_a_mix_has_so_much_of_everything_for_each_gib() -> None:
    amounts = {name: (kind, round(share * 2 * GIB)) for name, kind, share in parts_of("x", "web-server")}
    assert amounts == {
        "x": ("anonymous", 2 * GIB),
        "x-processes": ("processes", 244),
        "x-tables": ("page-tables", 2 * int(17.3 * MIB)),
        "x-slab": ("kernel", 2 * int(4.2 * MIB)),
        "x-files": ("disk-files", 66_800),
        "x-files-cache": ("page-cache", 2342 * MIB),
    }
    assert list(parts_of("x", "database", 0.5)) == [("x", "anonymous", 0.5)]
    halved = {name: share for name, _, share in parts_of("x", "build", 0.5)}
    assert halved == {name: share / 2 for name, _, share in parts_of("x", "build")}


@pytest.mark.parametrize("mix", MIXES)
def test_all_of_it_comes_with_its_process_and_goes_with_it(mix: str) -> None:
    link, _ = linked(8 * GIB)
    process = GuestProcess(cast("Host", link), list(parts_of("p", mix)))
    assert process.use(GIB)
    loads = link.model.loads
    assert loads["p"].units == GIB // PAGE
    assert "p-processes" not in loads or loads["p-processes"].units == MIXES[mix].processes
    link.model.check()
    assert link.model.demands.kill("p")
    link.killed.add("p")
    process.look()
    assert not [name for name in loads if name.startswith("p")]
    assert process.kills == 1
    link.model.check()


def test_a_workload_of_a_mix_takes_more_kernel_memory_than_one_of_anonymous_memory() -> None:
    machine = MachineSpec((NodeSpec(4 * GIB),))
    kernel = {}
    for kind in ("anonymous", *MIXES):
        load = GuestLoad(kind=kind, size=GIB, duration=10.0)
        guest = simulate(machine, OnlineMovable(), load, Streams(1, 0), guest=GuestSpec()).guest
        kernel[kind] = (int(guest["kernel"][-1]) - int(guest["kernel"][0])) * PAGE / MIB
    assert kernel["database"] == kernel["anonymous"] == pytest.approx(2.2, abs=0.1)
    # Memory without what can be given up, then inodes, then index nodes of page cache.
    assert kernel["build"] == pytest.approx(17.4 + 69_200 * 1780 / MIB + 1373 * 2.3 / 1024, abs=1)
    assert kernel["web-server"] == pytest.approx(31.9 + 33_400 * 1780 / MIB + 1171 * 2.3 / 1024, abs=1)


def test_a_table_of_loads_may_name_one(tmp_path: Path) -> None:
    (tmp_path / "loads.csv").write_text("t_s,kind,name,amount\n0,build,make,1GiB\n5,build,make,0\n")
    trace = LoadTrace(path=str(tmp_path / "loads.csv"))
    guest = simulate(MachineSpec((NodeSpec(4 * GIB),)), OnlineMovable(), trace, Streams(1, 0), guest=GuestSpec()).guest
    assert max(guest["user"]) - guest["user"][0] > (GIB + 1373 * MIB) // PAGE
    assert guest["user"][-1] == guest["user"][0]


# The fit, where the measured series are at hand ---------------------------------------------------------------------


@pytest.mark.parametrize("load", MIXES)
def test_a_load_by_name_fits_the_half_that_it_was_taken_from_and_comes_near_the_other(
    load: str, shared_dir: Path
) -> None:
    first, second = mix_fit.halves(shared_dir, load)
    found = mix_fit.fit(first)
    kernel, slab = (each / 4 for each in mix_fit.modelled(load, 4.0))
    assert kernel == pytest.approx(found.slope, rel=0.03, abs=0.25)
    assert slab == pytest.approx(found.slab_slope, rel=0.03, abs=0.5)
    for sample in second[:: len(second) // 14]:
        assert mix_fit.predicted(load, found, sample)[0] == pytest.approx(sample.kernel, rel=0.09)


def test_the_page_shows_the_fit(shared_dir: Path) -> None:
    page = (ROOT / "docs" / "guest-model.md").read_text("utf-8")
    for row in mix_fit.table(shared_dir):
        assert row in page
