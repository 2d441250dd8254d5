"""That DIMMs and dax devices taken offline in large steps leave behind what they would block by block.

As in :mod:`tests.test_large_steps`, something that ticks all the time takes the large steps away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.kernel.timing import Timing
from sim.units import GIB, MIB
from tests.support.ticking import Asked, Case, Requests
from tests.test_large_steps import BLOCK, POLICIES

if TYPE_CHECKING:
    from workloads.contract import Host

SECONDS = 90
DEMANDS = ("anonymous", "kernel", "page-cache", "page-tables")


class Plugging(Requests):
    """Requests of DIMMs and dax devices, beside a virtio-mem device that is partly plugged, and of programs."""

    seconds = SECONDS

    def begin(self, host: Host) -> int:
        host.plug(VirtioMemSpec("v", 4 * GIB, requested=GIB + 6 * MIB))
        for number, what in enumerate(("plug", "plug parts", "plug dax", "plug dax")):
            self.do(host, Asked(0, what, number % 2, 20 + 11 * number))
        return 20_000_000

    def do(self, host: Host, asked: Asked) -> None:
        dimm, dax, node = f"d{asked.which}", f"x{asked.which}", asked.which % self._nodes
        blocks = 1 + asked.amount % 60
        match asked.what:
            case "plug":
                host.plug(DimmSpec(dimm, blocks * BLOCK, node=node))
            case "plug parts":
                parts = (blocks * BLOCK, BLOCK, 3 * BLOCK)
                host.plug(DimmSpec(dimm, sum(parts), node=node, ranges=parts, gap=asked.amount % 3 * BLOCK))
            case "unplug":
                host.unplug(dimm)
            case "plug dax":
                host.plug(DaxSpec(dax, blocks * BLOCK, node=node, self_host=asked.amount % 2 == 0))
            case "unplug dax":
                host.unplug(dax)
            case "state":
                words = ("unplugged", "online", "online_movable", "online_kernel")
                host.set_dax_state(dax, words[asked.amount % 4])
            case kind:
                host.set_demand(f"{kind} {asked.which}", kind, asked.amount * 8 * MIB, node=node)


WHAT = ("plug", "plug parts", *["unplug"] * 4, "plug dax", *["unplug dax"] * 3, "state", "state", *DEMANDS)
ASKED = st.lists(
    st.builds(
        Asked,
        st.sampled_from((0, 1, 100_000, 700_000, 2_000_000, 5_000_000, 9_000_000)),
        st.sampled_from(WHAT),
        st.integers(0, 1),
        st.integers(0, 300),
    ),
    min_size=1,
    max_size=14,
)


class PluggingCase(Case):
    """A case of DIMMs and dax devices."""

    def requests(self, tick_us: int | None) -> Requests:
        return Plugging(self.asked, self.nodes, tick_us)


CASES = st.builds(
    PluggingCase,
    ASKED,
    st.sampled_from(POLICIES),
    st.integers(1, 2),
    st.sampled_from((512 * MIB, 2 * GIB, 16 * GIB)),
    st.just("7.3"),
    st.sampled_from((True, True, False)),
    st.sampled_from((False, False, True)),
    st.sampled_from((Timing(), Timing(offline=400_000, refused=90_000), Timing(offline=0, refused=0))),
)


@settings(max_examples=12)
@given(CASES, st.integers(1_000, 9_000))
def test_something_that_ticks_all_the_time_changes_nothing(case: Case, tick_us: int) -> None:
    assert case.run(None) == case.run(tick_us)


@pytest.mark.slow
@settings(max_examples=300)
@given(CASES, st.integers(500, 60_000))
def test_nor_does_it_in_many_more_runs(case: Case, tick_us: int) -> None:
    assert case.run(None) == case.run(tick_us)
