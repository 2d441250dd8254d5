"""The attribute ``state`` of a dax device (Linux 7.3): every word in every state, refusals, binding and unbinding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from sim.kernel.timing import Timing
from sim.memory.errors import EBUSY, EINVAL, ENODEV, ENOMEM
from sim.memory.groups import NO_GROUP
from sim.memory.zones import OnlineType
from sim.units import GIB
from tests.devices.rig import BLOCK, FIRST, FakeGuest, Rig

if TYPE_CHECKING:
    from sim.devices.dax import Dax
    from sim.memory.errors import HotplugError

BASE = FIRST * BLOCK
ONE = ((BASE, 4 * BLOCK),)
TWO = ((BASE, 2 * BLOCK), (BASE + 4 * BLOCK, 2 * BLOCK))


def bound(rig: Rig, ranges: tuple[tuple[int, int], ...] = ONE) -> Dax:
    dax = rig.unplugged_dax(*ranges)
    dax.plug()
    rig.settle()
    return dax


def errno(error: HotplugError | None) -> int:
    return 0 if error is None else error.errno


def state_and_busy(dax: Dax) -> tuple[str | None, bool]:
    return dax.state, dax.busy


def write(rig: Rig, dax: Dax, word: str) -> int:
    """Write ``word``; returns the errno, 0 for success."""
    dax.write_state(word)
    rig.settle()
    return errno(dax.error)


def unbind(rig: Rig, dax: Dax) -> int:
    dax.unbind()
    rig.settle()
    return errno(dax.error)


def bind(rig: Rig, dax: Dax) -> int:
    dax.plug()
    rig.settle()
    return errno(dax.error)


def offline(rig: Rig, *blocks: int) -> None:
    for block in blocks:
        rig.core.write_state(FIRST + block, int(OnlineType.OFFLINE))


def rig_73(guest: FakeGuest | None = None, *, contig: bool = False, auto_online: str = "online") -> Rig:
    rig = Rig(kernel="7.3", guest=guest, policy=ContigZones() if contig else AutoMovable(ratio=301))
    rig.core.auto_online = next(int(kind) for kind in OnlineType if kind.word == auto_online)
    return rig


WORDS = ("unplugged", "online", "online_kernel", "online_movable", "offline", "nonsense")
RESULTS = {
    "unplugged": (0, 0, 0, 0, EINVAL, EINVAL),
    "offline": (0, EBUSY, EBUSY, EBUSY, EINVAL, EINVAL),
    "online": (0, 0, EBUSY, EBUSY, EINVAL, EINVAL),
    "online_kernel": (0, EBUSY, 0, EBUSY, EINVAL, EINVAL),
    "online_movable": (0, EBUSY, EBUSY, 0, EINVAL, EINVAL),
}
"""What writing each of WORDS comes to, by the state that the device has."""


@pytest.mark.parametrize("before", RESULTS)
@pytest.mark.parametrize("number", range(len(WORDS)), ids=WORDS)
def test_every_word_in_every_state(before: str, number: int) -> None:
    rig = rig_73(auto_online="online" if before == "unplugged" else before)
    dax = bound(rig)
    if before == "unplugged":
        assert write(rig, dax, "unplugged") == 0
    assert dax.state == before
    result = RESULTS[before][number]
    assert write(rig, dax, WORDS[number]) == result
    after = before if result else WORDS[number]
    assert dax.state == after
    blocks = {"unplugged": ".x4", "offline": "-x4", "online": "Mx4", "online_kernel": "Nx4", "online_movable": "Mx4"}
    assert rig.states(FIRST, 4) == blocks[after]


def test_online_asks_the_policy_of_that_moment_and_the_other_words_override_it() -> None:
    rig = rig_73(contig=True)
    dax = bound(rig)
    assert rig.states(FIRST, 4) == "Nx4"
    for word, zones in (("online_movable", "Mx4"), ("online", "Nx4"), ("online_kernel", "Nx4")):
        assert write(rig, dax, "unplugged") == 0
        assert write(rig, dax, word) == 0
        assert rig.states(FIRST, 4) == zones
    assert write(rig, dax, "unplugged") == 0
    rig.core.zone_choice.set_policy(AutoMovable(ratio=301))
    assert write(rig, dax, "online") == 0
    assert rig.states(FIRST, 4) == "Mx4"


def test_all_ranges_are_one_group_when_online_asks_the_policy() -> None:
    """Either range fits into the ratio, both do not: all of it becomes kernel memory."""
    rig = rig_73()
    early = rig.memory.system.early_kernel * 4096
    half = early * 2 // BLOCK * BLOCK
    dax = bound(rig, ((BASE, half), (BASE + half + 4 * BLOCK, half)))
    count = half // BLOCK
    assert rig.states(FIRST, 2 * count + 4) == f"Nx{count} .x4 Nx{count}"
    assert write(rig, dax, "unplugged") == 0
    rig.core.zone_choice.set_policy(AutoMovable(ratio=401))
    assert write(rig, dax, "online") == 0
    assert rig.states(FIRST, 2 * count + 4) == f"Mx{count} .x4 Mx{count}"


def test_one_refusal_and_all_ranges_go_back_to_the_zone_that_each_block_had() -> None:
    guest = FakeGuest()
    rig = rig_73(guest)
    dax = bound(rig, TWO)
    offline(rig, 1, 4)
    rig.core.write_state(FIRST + 1, int(OnlineType.ONLINE_KERNEL))
    assert rig.states(FIRST, 6) == "Mx1 Nx1 .x2 -x1 Mx1"
    rig.core.zone_choice.set_policy(AutoMovable(ratio=0))
    guest.calls.clear()
    guest.refusing = {FIRST + 5}
    assert write(rig, dax, "unplugged") == EBUSY
    assert guest.asked("offline") == [FIRST, FIRST + 1, FIRST + 5], "ascending; what is offline is as good as gone"
    assert rig.states(FIRST, 6) == "Mx1 Nx1 .x2 -x1 Mx1"
    assert dax.state == "online"
    guest.refusing = set()
    assert write(rig, dax, "unplugged") == 0
    assert rig.states(FIRST, 6) == ".x6"


def test_a_word_written_in_vain_to_a_block_makes_no_difference_to_what_comes_back() -> None:
    guest = FakeGuest()
    rig = rig_73(guest)
    dax = bound(rig)
    with pytest.raises(Exception, match="online already"):
        rig.core.write_state(FIRST, int(OnlineType.ONLINE_KERNEL))
    guest.refusing = {FIRST + 3}
    assert write(rig, dax, "unplugged") == EBUSY
    assert rig.states(FIRST, 4) == "Mx4"
    assert rig.memory.blocks.left_over == {}, "the word is used up"


def test_the_state_is_the_word_given_last_whatever_single_blocks_are() -> None:
    rig = rig_73()
    dax = bound(rig)
    offline(rig, 0, 1, 2, 3)
    assert (dax.state, rig.states(FIRST, 4)) == ("online", "-x4")
    assert write(rig, dax, "online") == 0
    assert rig.states(FIRST, 4) == "-x4"
    assert write(rig, dax, "online_kernel") == EBUSY
    assert write(rig, dax, "unplugged") == 0
    assert rig.states(FIRST, 4) == ".x4"


def test_a_new_binding_takes_the_default_of_that_moment() -> None:
    rig = rig_73()
    dax = bound(rig)
    for default, zones in (("offline", "-x4"), ("online_kernel", "Nx4"), ("online_movable", "Mx4")):
        assert write(rig, dax, "unplugged") == 0
        assert unbind(rig, dax) == 0
        assert (dax.state, dax.group_id, len(rig.memory.groups)) == (None, NO_GROUP, 0)
        assert write(rig, dax, "online") == ENODEV
        rig.core.auto_online = next(int(kind) for kind in OnlineType if kind.word == default)
        assert bind(rig, dax) == 0
        assert (dax.state, rig.states(FIRST, 4)) == (default, zones)
    assert bind(rig, dax) == EBUSY, "it is bound"
    assert unbind(rig, dax) == EBUSY


def test_unbinding_removes_what_is_offline_and_loses_the_device_where_anything_is_online() -> None:
    rig = rig_73()
    dax = bound(rig, TWO)
    offline(rig, 0, 1, 4)
    assert unbind(rig, dax) == EBUSY
    assert rig.states(FIRST, 6) == ".x4 -x1 Mx1", "a range goes as a whole or stays"
    assert (dax.state, dax.lost) == (None, True)
    offline(rig, 5)
    assert unbind(rig, dax) == ENODEV
    assert bind(rig, dax) == EBUSY
    dax.eject()
    rig.settle()
    assert not dax.gone
    assert rig.states(FIRST, 6) == ".x4 -x2"
    assert len(rig.memory.groups) == 1


def test_unbinding_with_all_offline_removes_all_on_kernels_of_any_age() -> None:
    for kernel in ("5.15", "6.1", "7.3"):
        rig = Rig(kernel=kernel)
        dax = bound(rig)
        offline(rig, 0, 1, 2, 3)
        assert unbind(rig, dax) == 0
        assert bind(rig, dax) == 0
        assert rig.states(FIRST, 4) == "Mx4"


def test_older_kernels_have_no_state() -> None:
    rig = Rig(kernel="6.12")
    dax = bound(rig)
    assert write(rig, dax, "unplugged") == ENODEV
    assert rig.states(FIRST, 4) == "Mx4"


def test_a_range_that_does_not_fit_is_left_out_and_tried_again_from_unplugged() -> None:
    guest = FakeGuest()
    rig = rig_73(guest)
    dax = bound(rig, TWO)
    assert write(rig, dax, "unplugged") == 0
    guest.memmap_blocks = 1
    assert write(rig, dax, "online") == ENOMEM
    assert (dax.state, rig.states(FIRST, 6)) == ("unplugged", ".x6")
    guest.memmap_blocks = 3
    assert write(rig, dax, "online") == 0
    assert (dax.state, rig.states(FIRST, 6)) == ("online", "Mx2 .x4")
    assert write(rig, dax, "unplugged") == 0
    guest.memmap_blocks = None
    assert write(rig, dax, "online") == 0
    assert rig.states(FIRST, 6) == "Mx2 .x2 Mx2"


def test_giving_back_unbinds_and_the_device_can_be_bound_again() -> None:
    guest = FakeGuest()
    rig = rig_73(guest)
    dax = bound(rig)
    guest.refusing = {FIRST + 1}
    dax.eject()
    rig.settle()
    assert (dax.gone, dax.state, rig.states(FIRST, 4)) == (False, "online", "-x1 Mx1 -x2")
    guest.refusing = set()
    dax.eject()
    rig.settle()
    assert (dax.gone, dax.state, rig.states(FIRST, 4)) == (True, None, ".x4")
    assert bind(rig, dax) == 0
    assert (dax.gone, rig.states(FIRST, 4)) == (False, "Mx4")


def test_how_long_a_change_of_state_takes_and_that_it_holds_the_lock() -> None:
    timing = Timing(dimm_add=7, offline=3, refused=5, migrate=11)
    guest = FakeGuest()
    rig = Rig(kernel="7.3", guest=guest, timing=timing)
    dax = rig.unplugged_dax(*ONE)
    dax.plug()
    rig.run_for(4 * 7)
    assert state_and_busy(dax) == ("online", False)
    guest.moves, guest.moves_in_vain, guest.refusing = 32768, 2 * 32768, {FIRST + 2}
    dax.write_state("unplugged")
    assert rig.core.lock.held
    rig.run_for(3 * 3 + 2 * 11 + 5 + 2 * 11 - 1)
    assert state_and_busy(dax) == ("online", True)
    rig.run_for(1)
    assert state_and_busy(dax) == ("online", False)
    assert (rig.states(FIRST, 4), rig.core.lock.held) == ("Mx4", False)
    guest.refusing = set()
    dax.write_state("unplugged")
    rig.run_for(4 * (3 + 11) - 1)
    assert state_and_busy(dax) == ("online", True)
    rig.run_for(1)
    assert state_and_busy(dax) == ("unplugged", False)
    dax.write_state("online")
    rig.run_for(4 * 7 - 1)
    assert state_and_busy(dax) == ("unplugged", True)
    rig.run_for(1)
    assert state_and_busy(dax) == ("online", False)
    assert rig.states(FIRST, 4) == "Mx4"
    assert dax.plugged_pages * 4096 == GIB // 2
