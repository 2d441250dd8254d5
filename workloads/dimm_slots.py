"""DIMM slots that fill and empty: the oldest way to grow a guest, one whole memory device at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.devices.specs import MOST_DIMM_SLOTS, DimmSpec
from sim.plugins.parameter_types import Name, Number, Seconds, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.draws import exponential_waits, indices, signs, uniforms
from workloads.parts.parameters import NODES, PLACE, SIZES, Duration, shortened
from workloads.parts.plan import follow

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    import simpy

    from workloads.parts.plan import Ask, Step

MODES: Final = ("coin", "target")
SPACINGS: Final = ("exponential", "fixed")
REMOVALS: Final = ("newest", "oldest", "random")


class DimmSlots(Workload):
    """DIMMs of one size or several come and go in a fixed number of slots.

    In mode ``coin`` each request is to plug with probability ``grow_probability``, else to unplug; a request for which
    there is no slot, or no DIMM that may go, falls away. In mode ``target`` the wanted number of DIMMs walks at random,
    by at most ``largest_step`` at a time and turned back at none and at all slots, and everything needed to reach it is
    asked for at once.

    What is wanted is fixed by the streams alone. A DIMM that the guest does not give back stays in its slot, and serves
    as the DIMM that is wanted there next; the slot that has been empty longest is filled first, so this happens as late
    as can be.
    """

    name: ClassVar[str] = "dimm-slots"
    summary: ClassVar[str] = "DIMMs plugged into and pulled from a number of slots, at random or following a target"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        slots: Annotated[int, Whole(1, MOST_DIMM_SLOTS, unit="slots"), "number of DIMM slots"] = 16,
        sizes: Annotated[Sequence[int], SIZES, "DIMM sizes; each plug draws one, repeated ones oftener"] = (GIB,),
        nodes: Annotated[Sequence[int], NODES, "NUMA nodes; each plug draws one"] = (0,),
        initial: Annotated[int, Whole(0, MOST_DIMM_SLOTS, unit="slots"), "DIMMs plugged at time 0"] = 0,
        interval: Annotated[float, Seconds(), "mean time between requests"] = 60.0,
        spacing: Annotated[str, Word(SPACINGS), "how the times between requests are spread"] = "exponential",
        mode: Annotated[str, Word(MODES), "each request is a toss-up, or follows a target that walks"] = "coin",
        grow_probability: Annotated[float, Number(0.0, 1.0), "mode coin: probability that a request is to plug"] = 0.5,
        largest_step: Annotated[
            int, Whole(1, MOST_DIMM_SLOTS, unit="slots"), "mode target: most DIMMs that the target moves by at a time"
        ] = 2,
        hold: Annotated[float, Seconds(zero=True), "a DIMM is not asked back sooner than this after its plug"] = 0.0,
        removal: Annotated[str, Word(REMOVALS), "which DIMM is asked back"] = "newest",
        ask_again: Annotated[bool, "each request repeats a refused one as well"] = False,
        address: Annotated[
            int, PLACE, "where slot 0 lies, each further one the largest size behind; 0 stands for where there is room"
        ] = 0,
        duration: Duration = 3600.0,
        device: Annotated[str, Name(), "slot n's DIMM is called this and n; begins the names of the streams"] = "dimm",
    ) -> None:
        if check.good("initial", "slots") and initial > slots:
            check.fault("initial", f"must be at most the number of slots, {slots}, but is {initial}")
        check.done()
        self._slots = slots
        self._sizes = tuple(sizes)
        self._nodes = tuple(nodes)
        self._initial = initial
        self._interval_us = seconds_to_us(interval)
        self._spacing = spacing
        self._mode = mode
        self._grow_probability = grow_probability
        self._largest_step = largest_step
        self._hold_us = seconds_to_us(hold)
        self._removal = removal
        self._ask_again = ask_again
        self._duration_us = seconds_to_us(duration)
        self._device = device
        self._places = (
            {f"{device}{slot}": address + slot * max(sizes) for slot in range(slots)} if address else dict[str, int]()
        )

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Requests come faster one after the other."""
        return shortened(parameters, pace, "interval", "hold")

    def duration(self) -> float:
        """Seconds of simulated time."""
        return us_to_seconds(self._duration_us)

    def node_capacity(self) -> Iterable[int]:
        """The nodes that DIMMs are drawn for."""
        return sorted(set(self._nodes))

    def needs_dimms(self) -> bool:
        """It is nothing but DIMMs."""
        return True

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Ask for DIMMs until the duration is over."""
        return follow(host, self.plan(streams), self._duration_us, ask_again=self._ask_again)

    def plan(self, streams: Streams) -> Iterator[Step]:
        """Yield what is wanted and when, without end; drawn from ``streams`` alone."""
        rack = _Rack(self._device, self._slots, self._hold_us, self._removal, streams)
        dimms = _Dimms(self._device, self._sizes, self._nodes, self._places, streams)
        if self._initial:
            yield 0, [dimms.draw(rack.fill(0)) for _ in range(self._initial)]
        now = 0
        for wait, change in zip(self._waits(streams), self._changes(streams, rack), strict=False):
            now += wait
            if change == 1 and rack.empty:  # the common cases, without building lists
                yield wait, (dimms.draw(rack.fill(now)),)
            elif change == -1 and rack.removable(now):
                yield wait, ((rack.clear(now), None),)
            elif change > 0:
                yield wait, [dimms.draw(rack.fill(now)) for _ in range(min(change, len(rack.empty)))]
            else:
                yield wait, [(rack.clear(now), None) for _ in range(min(-change, rack.removable(now)))]

    def _waits(self, streams: Streams) -> Iterator[int]:
        if self._spacing == "fixed":
            return repeat(self._interval_us)
        return exponential_waits(streams(f"{self._device}/waits"), self._interval_us)

    def _changes(self, streams: Streams, rack: _Rack) -> Iterator[int]:
        """Return by how many DIMMs each request changes what is wanted, as far as slots and DIMMs allow."""
        if self._mode == "coin":
            return signs(streams(f"{self._device}/direction"), self._grow_probability)
        moves = indices(streams(f"{self._device}/target"), 2 * self._largest_step + 1)
        return self._to_target(moves, rack)

    def _to_target(self, moves: Iterator[int], rack: _Rack) -> Iterator[int]:
        """Yield what is missing to a target that walks by ``moves``, of which the middle one is to stay."""
        target = self._initial
        for move in moves:
            target = reflect(target + move - self._largest_step, self._slots)
            yield target - len(rack.held)


def reflect(value: int, high: int) -> int:
    """Return ``value`` thrown back into [0, ``high``] as by mirrors at both ends."""
    value %= 2 * high
    return min(value, 2 * high - value)


class _Rack:
    """The slots as they are wanted: which are empty, which hold what since when (by the plan, not by the guest).

    ``empty`` are the ids of DIMMs that are not wanted, the one longest gone first; ``held`` of those that are, the
    oldest first.
    """

    __slots__ = ("_hold_us", "_removal", "_since", "_victims", "empty", "held")

    def __init__(self, device: str, slots: int, hold_us: int, removal: str, streams: Streams) -> None:
        self._hold_us = hold_us
        self._removal = removal
        self.empty = deque(f"{device}{slot}" for slot in range(slots))
        self.held: list[str] = []
        self._since: list[int] = []
        self._victims = uniforms(streams(f"{device}/victims"))

    def removable(self, now: int) -> int:
        """Number of DIMMs that have been held long enough to be asked back at ``now``: the first so many held."""
        if not self._hold_us:
            return len(self.held)
        return bisect_right(self._since, now - self._hold_us)

    def fill(self, now: int) -> str:
        """Fill the slot that has been empty longest, of which there must be one. Return the DIMM's id."""
        device = self.empty.popleft()
        self.held.append(device)
        self._since.append(now)
        return device

    def clear(self, now: int) -> str:
        """Empty the slot of a removable DIMM, of which there must be one. Return the DIMM's id."""
        removable = self.removable(now)
        if self._removal == "newest":
            index = removable - 1
        elif self._removal == "oldest":
            index = 0
        else:
            index = int(next(self._victims) * removable)
        device = self.held.pop(index)
        del self._since[index]
        self.empty.append(device)
        return device


class _Dimms:
    """Descriptions of DIMMs, of a size and on a node drawn for each plug; made once for each combination."""

    __slots__ = ("_made", "_node_draws", "_places", "_size_draws")

    def __init__(
        self, device: str, sizes: Sequence[int], nodes: Sequence[int], places: Mapping[str, int], streams: Streams
    ) -> None:
        # Streams of their own: a second size or node shifts nothing else.
        self._size_draws = map(sizes.__getitem__, indices(streams(f"{device}/sizes"), len(sizes)))
        self._node_draws = map(nodes.__getitem__, indices(streams(f"{device}/nodes"), len(nodes)))
        self._places = places
        self._made: dict[tuple[str, int, int], Ask] = {}

    def draw(self, device: str) -> Ask:
        """Return the request to plug ``device``."""
        key = (device, next(self._size_draws), next(self._node_draws))
        ask = self._made.get(key)
        if ask is None:
            ask = self._made[key] = (device, DimmSpec(*key, address=self._places.get(device)))
        return ask
