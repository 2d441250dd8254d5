"""DIMM slots that are filled and emptied by need, as an autoscaler did it before it had virtio-mem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sim.devices.specs import MOST_DIMM_SLOTS, DimmSpec
from sim.plugins.parameter_types import Name, Whole
from sim.plugins.parameters import Checker, checked
from sim.units import GIB
from workloads.parts.controllers.controller import Beat, Controller
from workloads.parts.controllers.need import (
    Again,
    AgainMost,
    AtOnce,
    Hold,
    Idle,
    Low,
    LowShare,
    Order,
    Retry,
    Signal,
    Spare,
    SpareShare,
    WatchNodes,
    need_of,
)
from workloads.parts.controllers.whole_devices import WholeDevices
from workloads.parts.parameters import NODES, PLACE, SIZES, OwnEnd, Period, Start, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.devices.specs import DaxSpec
    from workloads.contract import Host
    from workloads.parts.controllers.watch import Watcher


class DimmController(Controller):
    """Plugs a DIMM while memory is short, and asks one back where all of it would not be missed.

    Slot n takes a DIMM of the n-th of ``sizes`` on the n-th of ``nodes``, each from the beginning again where there are
    more slots. A DIMM goes as a whole: if one block stays, the guest puts the others back (``acpi_scan_hot_remove`` of
    ``drivers/acpi/scan.c``). Then the next one is asked for; a DIMM that was refused is asked for again later, and is
    kept once it is needed. One that the guest could not add, for want of memmap for example, is taken out and tried
    again.

    The defaults are those of NeonVM's autoscaler (neondatabase/autoscaling, config_map.yaml of 2025-09-23): it looks
    every 5 s, memory is short above 0.75 used, what the host or the guest refused is asked for again after 5 s. How
    it went about DIMM slots until it had virtio-mem: one at a time, the newest asked back first, and where it refuses
    the one before (neonvm/controllers, QmpUnplugMemory); waits up to 1,000 s are those of its work queue.

    Nothing is random here, but what is asked for depends on the guest. It needs a guest that is modelled. Raises
    ParameterError with all faults at once.
    """

    name: ClassVar[str] = "dimm-controller"
    summary: ClassVar[str] = "DIMMs plugged while a guest's memory is short, and asked back where it is idle"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        slots: Annotated[int, Whole(1, MOST_DIMM_SLOTS, unit="slots"), "number of DIMM slots"] = 16,
        sizes: Annotated[Sequence[int], SIZES, "size of the DIMM of each slot, in turn"] = (GIB,),
        nodes: Annotated[Sequence[int], NODES, "NUMA node of the DIMM of each slot, in turn"] = (0,),
        low: Low = 0,
        low_share: LowShare = 0.25,
        spare: Spare = 0,
        spare_share: SpareShare = 0.0,
        signal: Signal = "available",
        watch_nodes: WatchNodes = None,
        start: Start = 0.0,
        period: Period = 5.0,
        at_once: AtOnce = 1,
        idle: Idle = 0.0,
        hold: Hold = 0.0,
        order: Order = "newest",
        retry: Retry = 5.0,
        again: Again = 5.0,
        again_most: AgainMost = 1000.0,
        address: Annotated[
            int, PLACE, "where slot 0 lies, each further one the largest size behind; 0 stands for where there is room"
        ] = 0,
        duration: OwnEnd = 0.0,
        device: Annotated[str, Name(), "slot n's DIMM is called this and n"] = "dimm",
    ) -> None:
        self._need = need_of(
            check,
            low=low,
            low_share=low_share,
            spare=spare,
            spare_share=spare_share,
            signal=signal,
            watch_nodes=watch_nodes,
            at_once=at_once,
            idle=idle,
            hold=hold,
            order=order,
            retry=retry,
            again=again,
            again_most=again_most,
        )
        self._dimms = [
            DimmSpec(
                f"{device}{slot}",
                sizes[slot % len(sizes)],
                nodes[slot % len(nodes)],
                address + slot * max(sizes) if address else None,
            )
            for slot in range(slots)
        ]
        super().__init__(Beat.of(start, period, duration), nodes=sorted({dimm.node for dimm in self._dimms}))

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """It looks, waits and tries again faster."""
        return shortened(parameters, pace, "period", "idle", "hold", "retry", "again", "again_most")

    def needs_dimms(self) -> bool:
        """It is nothing but DIMMs."""
        return True

    def watcher(self, host: Host) -> Watcher:
        """Return who looks at the memory that is left."""
        return WholeDevices(host, self._dimms, _Slots(), self._need, self._beat)


class _Slots:
    """A DIMM comes and goes with its slot."""

    def plug(self, host: Host, spec: DimmSpec | DaxSpec) -> bool:
        return host.plug(spec)

    def ask_back(self, host: Host, spec: DimmSpec | DaxSpec) -> bool:
        return host.unplug(spec.id)

    def keep(self, host: Host, spec: DimmSpec | DaxSpec) -> int:
        host.keep(spec.id)
        return 0
