"""What loads would use if they could, against what they use, on a guest linked to a core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.fixed import OnlineMovable
from sim.devices.specs import DimmSpec
from sim.guest.contract import DemandKind, OomKind
from sim.guest.parameters import parameters_for
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.recorder import EventKind
from sim.units import GIB, MIB
from tests.kernel.linked_guest import linked
from tests.support.cells import Script, run
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from sim.kernel.guest_link import GuestLink
    from workloads.contract import Host


def unserved(link: GuestLink) -> int:
    """Return the bytes of the last sample."""
    return int(link.series()["unserved"][-1]) * PAGE_SIZE


def test_a_wish_is_what_is_used_unless_more_is_wanted() -> None:
    link, _ = linked()
    assert link.set_demand("a", "anonymous", 100 * MIB)
    assert unserved(link) == 0
    assert link.set_demand("a", "anonymous", 100 * MIB, wanted=130 * MIB)
    assert unserved(link) == 30 * MIB
    assert link.set_demand("b", "tmpfs", 0, wanted=5 * MIB)
    assert unserved(link) == 35 * MIB
    assert link.set_demand("a", "anonymous", 120 * MIB, wanted=1 * MIB), "never less than what it uses"
    assert unserved(link) == 5 * MIB
    assert link.set_demand("b", "tmpfs", 0)
    assert unserved(link) == 0


def test_a_killed_load_goes_on_wanting_what_it_is_told_to_want() -> None:
    link, _ = linked()
    assert link.set_demand("small", "anonymous", 200 * MIB)
    assert not link.set_demand("big", "anonymous", 2 * GIB)
    assert unserved(link) == 2 * GIB
    assert not link.set_demand("big", "anonymous", 3 * GIB)
    assert unserved(link) == 3 * GIB
    assert link.set_demand("big", "anonymous", 0, wanted=GIB), "it may live again"
    assert unserved(link) == GIB
    assert link.set_demand("big", "anonymous", 300 * MIB)
    assert unserved(link) == 0


def test_who_is_killed_for_another_is_not_served_from_that_moment_on() -> None:
    link, _ = linked()
    assert link.set_demand("old", "anonymous", 500 * MIB)
    assert link.set_demand("new", "anonymous", 490 * MIB)
    assert "old" in link.killed
    assert unserved(link) == 500 * MIB


def test_a_dead_guest_serves_nothing_and_is_still_told_what_is_wanted() -> None:
    link, _ = linked()
    assert link.set_demand("t", "tmpfs", 300 * MIB)
    assert not link.set_demand("k", "kernel", 2 * GIB)
    assert link.died
    assert unserved(link) == 300 * MIB + 2 * GIB
    assert not link.set_demand("t", "tmpfs", 100 * MIB)
    assert not link.set_demand("late", "pinned", 0, wanted=7 * MIB)
    assert unserved(link) == 107 * MIB + 2 * GIB


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("tmpfs-files", 1048), ("disk-files", 1780), ("written-files", 1964 + 4096), ("processes", (69 + 16) << 10),
        ("workers", (69 + 16) << 10),
        ("pipes", 68370), ("sockets", 4899), *((kind, 4096) for kind in DemandKind if not kind.in_pieces),
    ],
)  # fmt: skip
def test_pieces_count_with_the_bytes_of_an_average_one(kind: str, size: int) -> None:
    assert parameters_for("6.1").unit_bytes(DemandKind(kind)) == size
    link, _ = linked()
    pieces = 4096 if DemandKind(kind).in_pieces else 4096 * PAGE_SIZE
    assert link.set_demand("x", kind, 0, wanted=pieces)
    assert unserved(link) == 4096 * size


def test_of_a_crowd_those_that_are_gone_count() -> None:
    link, _ = linked()
    assert link.set_demand("crowd", "processes", 6400)
    assert link.set_demand("files", "tmpfs", 500 * MIB)
    left = round(link.model.loads["crowd"].units)
    assert 0 < left < 6400
    size = parameters_for("6.1").unit_bytes(DemandKind.PROCESSES)
    assert unserved(link) == (6400 - left) * size // PAGE_SIZE * PAGE_SIZE


@pytest.mark.parametrize(
    "refused",
    [("a", "kernel", 9 * MIB, 0), ("a", "nonsense", 9 * MIB, 0), ("b", "anonymous", -1, 0), ("b", "anonymous", MIB, 7)],
)
def test_what_makes_no_sense_changes_no_wish(refused: tuple[str, str, int, int]) -> None:
    link, _ = linked()
    assert link.set_demand("a", "anonymous", 4 * MIB, wanted=10 * MIB)
    name, kind, amount, node = refused
    assert not link.set_demand(name, kind, amount, wanted=99 * MIB, node=node)
    assert unserved(link) == 6 * MIB


def test_a_program_that_a_return_kills_is_not_served_from_the_kill_on() -> None:
    def shrink(host: Host) -> None:
        assert host.set_demand("p", "anonymous", 1500 * MIB)
        host.unplug("d")

    script = Script(DimmSpec("d", GIB), then=shrink, seconds=20)
    result = run(OnlineMovable(), script, machine=MachineSpec((NodeSpec(GIB),)), guest=GuestSpec(sample_every=30))
    (kill,) = (row for row in result.events.tolist() if row[1] == EventKind.OOM)
    assert kill[5] == OomKind.MIGRATION
    changes = [
        (t, pages * PAGE_SIZE)
        for t, pages in zip(result.guest["t_us"].tolist(), result.guest["unserved"].tolist(), strict=True)
        if pages
    ]
    assert changes[0] == (kill[0], 1500 * MIB), "not at the next sample only"
