"""A few requests one after the other, each when the guest is done with the one before: what a person would do by hand.

``memhp-sim plan`` asks these, and what would come back, and can save them as an experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from sim.devices.specs import DimmSpec
from sim.plugins.parameter_lists import ListOf
from sim.plugins.parameter_types import Seconds, Text
from sim.plugins.parameters import Checker, ParameterError, checked
from sim.units import MICROSECONDS, seconds_to_us, us_to_seconds
from workloads.contract import Host, Streams, Workload
from workloads.parts.parameters import LONGEST_US
from workloads.parts.requests.step_words import read_steps

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import simpy

    from workloads.parts.requests.request import Request

_LOOK_US: Final = MICROSECONDS
"""How often it looks whether the guest is done."""


class Steps(Workload):
    """Makes ``steps`` in order, such as ``"plug dimm:16GiB@0,id=more"``, ``"resize vmem0:8GiB"``, ``"unplug more"``.

    A step is made when the guest has been at rest for ``pause`` after the step before, user space's rules included, or
    has taken longer than ``patience`` to come to rest. When it is after the last step, the run ends.

    Nothing is random here.
    """

    name: ClassVar[str] = "steps"
    summary: ClassVar[str] = "a few requests, each when the guest is done with the one before"
    ends_run: ClassVar[bool] = True

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        steps: Annotated[
            Sequence[str] | None, ListOf(Text(), noun="step"), "what is asked (docs/plan.md); none: nothing"
        ] = None,
        pause: Annotated[float, Seconds(), "time at rest before each step and the end"] = 1.0,
        patience: Annotated[float, Seconds(), "longest time that a step is waited for"] = 86400.0,
    ) -> None:
        check.done()
        self._requests, faults = read_steps(steps or ())
        if faults:
            raise ParameterError([f"steps: {fault}" for fault in faults])
        self._pause_us = seconds_to_us(pause)
        self._patience_us = seconds_to_us(patience)
        if seconds_to_us(self.duration()) > LONGEST_US:
            check.fault("patience", f"makes a run that may last longer than {LONGEST_US // MICROSECONDS} seconds")
            check.done()

    @property
    def requests(self) -> Sequence[Request]:
        """The requests, in order."""
        return self._requests

    def duration(self) -> float:
        """Seconds of simulated time that the run takes at most: every step needs all the time that it may have."""
        times = 1 + len(self._requests)
        return us_to_seconds(times * (self._patience_us + _LOOK_US + self._pause_us))

    def node_capacity(self) -> Iterable[int]:
        """The nodes that devices are plugged into."""
        return sorted({request.spec.node for request in self._requests if request.spec is not None})

    def needs_dimms(self) -> bool:
        """Where a step plugs one."""
        return any(isinstance(request.spec, DimmSpec) for request in self._requests)

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Make the steps."""
        yield from self._settle(host)
        for request in self._requests:
            request.ask(host)
            yield from self._settle(host)

    def _settle(self, host: Host) -> Generator[simpy.Event, object, None]:
        until = host.env.now + self._patience_us
        while not (host.at_rest or host.died) and host.env.now < until:
            yield host.env.timeout(_LOOK_US)
        yield host.env.timeout(self._pause_us)
        self.settled(host)

    def settled(self, host: Host) -> None:
        """Told when the guest has come to rest: before the first step and after each. For who looks on."""
