"""Memory in whole devices of one size, one beside the other: so many of them are wanted, the newest goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.devices.specs import ONLINE, DaxSpec
from workloads.parts.controllers.whole_devices import want_again

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.devices.specs import DimmSpec
    from workloads.contract import Host


class WholeStack:
    """Devices ``specs`` of ``unit`` bytes each, of which the first ones are plugged."""

    def __init__(self, host: Host, specs: Sequence[DimmSpec | DaxSpec], unit: int) -> None:
        self._host = host
        self._specs = specs
        self._unit = unit
        self._asked_back: set[str] = set()
        self._wanted = 0

    @property
    def reached(self) -> bool:
        """Whether the guest has all that is wanted, and nothing else."""
        if any(spec.id in self._asked_back for spec in self._specs[: self._wanted]):
            return False
        has = [self._host.plugged(spec.id) if self._host.present(spec.id) else 0 for spec in self._specs]
        return sum(has) == self._wanted * self._unit and not any(has[self._wanted :])

    def ask(self, size: int) -> None:
        """Ask for what is missing of ``size`` bytes, or for what is too much, unless the guest is at work on it.

        A device that the host took and the guest could not add is taken out, so that the next time it is plugged again.
        What has gone offline of a dax device that stayed is put online again.
        """
        host = self._host
        self._wanted = size // self._unit
        for spec in reversed(self._specs[self._wanted :]):
            if host.present(spec.id) and not host.busy(spec.id):
                self._asked_back.add(spec.id)
                host.unplug(spec.id)
        for spec in self._specs[: self._wanted]:
            if not host.present(spec.id):
                self._asked_back.discard(spec.id)
                host.plug(spec)
            elif spec.id in self._asked_back:
                if isinstance(spec, DaxSpec) and host.busy(spec.id):
                    host.keep(spec.id)  # what goes offline until it is done is seen to the next time
                    continue
                self._asked_back.discard(spec.id)
                want_again(host, spec, ONLINE)
            elif not host.plugged(spec.id) and not host.busy(spec.id):
                host.unplug(spec.id)
