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
from workloads.parts.step_words import read_steps

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import simpy

    from workloads.parts.request_log import Request

_LOOK_US: Final = MICROSECONDS
"""How often it looks whether the guest is done."""


class Steps(Workload):
    """Makes ``steps`` in order, such as ``"plug dimm:16GiB@0,id=dimm0"``, ``"resize vmem0:8GiB"``, ``"unplug dimm0"``.

    A step is made when the device of the step before is no longer busy, or ``patience`` is over, and ``pause`` seconds
    have passed, in which rules of user space put blocks online. Then the run ends.

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
        pause: Annotated[float, Seconds(), "time before the first step and after each"] = 10.0,
        patience: Annotated[float, Seconds(), "longest time that a step may take"] = 86400.0,
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
        count = len(self._requests)
        return us_to_seconds(count * (self._patience_us + self._pause_us) + self._pause_us + MICROSECONDS)

    def node_capacity(self) -> Iterable[int]:
        """The nodes that devices are plugged into."""
        return sorted({request.spec.node for request in self._requests if request.spec is not None})

    def needs_dimms(self) -> bool:
        """Where a step plugs one."""
        return any(isinstance(request.spec, DimmSpec) for request in self._requests)

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        """Make the steps."""
        env = host.env
        yield env.timeout(self._pause_us)
        self.settled(host)
        for request in self._requests:
            self._ask(host, request)
            until = env.now + self._patience_us
            while host.busy(request.device) and env.now < until and not host.died:
                yield env.timeout(_LOOK_US)
            yield env.timeout(self._pause_us)
            self.settled(host)

    def settled(self, host: Host) -> None:
        """Told when the guest has come to rest: before the first step and after each. For who looks on."""

    def _ask(self, host: Host, request: Request) -> None:
        if request.spec is not None:
            host.plug(request.spec)
        elif request.op == "resize":
            host.resize(request.device, request.size)
        elif request.op == "unplug":
            host.unplug(request.device)
        else:
            host.set_demand(request.device, request.kind, request.size)
