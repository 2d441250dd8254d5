"""Public reports of memory that does not arrive, as nobody in the guest sees to it, or not to all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.reports.told import LINUX, ONE_DIMM, experiment, log, runs, scores, screen

if TYPE_CHECKING:
    from pathlib import Path

    from sim.incidents.runs import Run


def online_bytes(run: Run) -> int:
    """What of the devices' memory is online in the end."""
    result = run.result
    blocks = sum(row[4] for row in result.events.tolist() if row[1] in (EventKind.PLUG, EventKind.ONLINE))
    gone = sum(row[4] for row in result.events.tolist() if row[1] in (EventKind.UNPLUG, EventKind.OFFLINE))
    return int(blocks - gone) * result.block_pages * result.page_size


@pytest.mark.parametrize(
    ("policy", "gib"),
    [
        ({"name": "as-shipped", "by": "kata-1"}, 32),
        ({"name": "user-space", "buffer": 256}, 32),
        ({"name": "user-space", "buffer": 256, "rules": [{"state": "online", "delay": 3}]}, 32),
        ({"name": "as-shipped", "by": "kata"}, 128),
        ("udev", 128),
        ("contig-zones", 128),
        ("offline", 0),
    ],
)
def test_of_128_gib_an_agent_that_hears_of_256_blocks_puts_32_online(
    policy: str | dict[str, Any], gib: int, tmp_path: Path
) -> None:
    """kata-containers/agent issue 813, runtime issue 2872: 1024 blocks of 128 MiB, events of memory32 to memory287."""
    dimm = {**ONE_DIMM, "sizes": ["128GiB"], "duration": 60}
    run = runs(experiment({"boot_memory": "4GiB"}, dimm, policies=(policy,), guest=LINUX), tmp_path).one
    assert online_bytes(run) == gib * GIB
    arrived = scores(run)["arrived_share"]  # over a minute, of which adding takes nine seconds and the delay three more
    assert 0.6 * gib / 128 <= arrived / 100 <= gib / 128
    assert run.plugged_at_end == 128 * GIB


def test_what_is_said_of_memory_that_user_space_did_not_hear_of(tmp_path: Path) -> None:
    dimm = {**ONE_DIMM, "sizes": ["128GiB"], "duration": 60}
    agent = {"name": "as-shipped", "by": "kata-1", "label": "agent"}
    shown = screen(experiment({"boot_memory": "4GiB"}, dimm, policies=(agent, "contig-zones"), guest=LINUX), tmp_path)
    assert "Arrived [%] ──────────── ─────────── agent 20.9 (baseline) contig-zones 84.6 " in shown


REQUEST = """t_s,op,device,kind,size_bytes,block_bytes,max_bytes
1,plug,memory,virtio-mem,0,2MiB,4GiB
5,resize,memory,,1GiB,,
120,resize,memory,,0,,
"""


@pytest.mark.parametrize(
    ("by", "driver", "plugged", "online"),
    [
        ("debian-13", True, GIB, GIB),
        ("debian-13", False, 0, 0),
        ("debian-12", True, GIB, 0),
        ("debian-12", False, 0, 0),
    ],
)
def test_requested_1_gib_nothing_arrives(by: str, driver: bool, plugged: int, online: int, tmp_path: Path) -> None:  # noqa: FBT001
    """Kubevirt issues 12101, 14095, 14622: no driver in the image, or nobody puts blocks online."""
    machine = {"boot_memory": "2GiB", "virtio_mem_driver": driver}
    tables = experiment(
        machine, log(tmp_path, REQUEST.rpartition("120")[0]), policies=({"name": "as-shipped", "by": by},), guest=LINUX
    )
    run = runs(tables, tmp_path).one
    assert (run.plugged_at_end, online_bytes(run)) == (plugged, online)
    assert (scores(run)["arrived_share"] > 90) == (online > 0)
    totals = run.sampled("mem_total")
    assert int(totals[-1] - totals[0]) == online


def test_without_a_driver_the_host_may_ask_for_what_it_likes(tmp_path: Path) -> None:
    run = runs(experiment({"boot_memory": "2GiB", "virtio_mem_driver": False}, log(tmp_path, REQUEST)), tmp_path).one
    assert run.plugged_at_end == 0
    assert {row[1] for row in run.result.events.tolist()} == {EventKind.DEVICE, EventKind.REQUEST}


@pytest.mark.parametrize(
    ("by", "mib"),
    [("debian-12", 972), ("debian-13", 4044), ("proxmox", 4044), ("ubuntu-rule", 4044), ("rhel-10", 4044)],
)
def test_a_proxmox_guest_has_what_those_who_ship_its_system_see_to(by: str, mib: int, tmp_path: Path) -> None:
    """home-assistant/operating-system issue 1156: 4 GiB, of which nobody put the three that are DIMMs online."""
    dimms = {**ONE_DIMM, "slots": 6, "initial": 6, "sizes": ["512MiB"]}
    guest = {**LINUX, "as": {"mem_total": "972MiB", "used": "200MiB"}}
    tables = experiment({"boot_memory": "1GiB"}, dimms, policies=({"name": "as-shipped", "by": by},), guest=guest)
    run = runs(tables, tmp_path).one
    assert int(run.sampled("mem_total")[-1]) // MIB == mib
