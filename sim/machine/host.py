"""The host: attaches devices to a guest, finds them room, and passes requests on to their drivers.

What a VMM and its management layer do: room and slots (:mod:`sim.machine.device_memory`), and who is asked for what.
Implements :class:`workloads.contract.Host`.
"""

from __future__ import annotations

from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING, Final

from sim.devices.dax import Dax
from sim.devices.dimm import Dimm
from sim.devices.specs import (
    DAX_STATE_SINCE,
    ONLINE,
    UNPLUGGED,
    DaxSpec,
    DimmSpec,
    VirtioMemSpec,
    possible,
    ranges_of,
    span,
)
from sim.devices.virtio_mem import VirtioMem
from sim.kernel.found_memory import FoundRun, find
from sim.kernel.timing import Timing
from sim.machine.address_map import LinuxNodes
from sim.machine.changes import Changes
from sim.machine.cold_devices import cold_dimm_specs
from sim.machine.current_state import state_now
from sim.machine.device_memory import DeviceMemory
from sim.machine.host_clock import HostClock
from sim.machine.state import LOST, UNBOUND, ownership
from sim.machine.state_plugged import parameters_of, plugged_on
from sim.memory.errors import EBUSY, EEXIST, EINVAL, ENODEV, HotplugError
from sim.memory.zones import NR_ZONES
from sim.record.recorder import NO_DEVICE, NO_ZONE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import simpy

    from sim.devices.specs import DeviceSpec
    from sim.guest.report import GuestReport
    from sim.kernel.context import DriverContext
    from sim.kernel.guest_link import GuestLink
    from sim.machine.spec import MachineSpec
    from sim.machine.state import BlockRun, MachineState

    Device = Dimm | VirtioMem | Dax

_AT_WORK: Final = "the guest is still at work on the last request"


class MachineHost:
    """The host side of one guest. ``failed_requests`` counts what the host itself refused."""

    def __init__(self, context: DriverContext, machine: MachineSpec, *, guest: GuestLink | None = None) -> None:
        self._context = context
        self._clock = HostClock(context.env)
        self._machine = machine
        self._nodes = LinuxNodes(machine)
        self._area = DeviceMemory(machine)
        self._guest = guest
        self._devices: dict[str, Device] = {}
        self._specs: dict[str, DeviceSpec] = {}
        self._asked_back: set[str] = set()
        """DIMMs and dax devices whose removal was asked for, which are still there."""
        self._changes = Changes(context.env, self._clock, context.core, guest, self._seen)
        self.failed_requests = 0

    @property
    def env(self) -> simpy.Environment:
        """The simulation's clock in microseconds, as who asks has it: behind the guest at each of them."""
        return self._clock

    # For who looks on from outside the run; workloads see the contract only.

    @property
    def context(self) -> DriverContext:
        """What the devices of the guest share: its kernel and the record."""
        return self._context

    @property
    def guest(self) -> GuestLink | None:
        """The guest, None where none is modelled."""
        return self._guest

    @property
    def devices(self) -> Mapping[str, Device]:
        """The attached devices by id."""
        return self._devices

    def boot(self) -> None:
        """Have the kernel find what is there when the run starts, before any time has passed.

        These are the devices that it boots with, in order, or all that the machine's state has.
        """
        context = self._context
        timing, instant = context.timing, Timing.instant()
        waiting: list[VirtioMemSpec] = []
        for spec in (*cold_dimm_specs(self._machine), *self._machine.cold_devices):
            if isinstance(spec, VirtioMemSpec):
                waiting.append(spec)
                context.timing = timing
                self.plug(replace(spec, requested=0))
            else:
                context.timing = instant
                self.plug(spec)
        context.timing = timing
        # The kernel finds DIMMs before it has a driver for virtio-mem, which works on the request as on any later one.
        for spec in waiting:
            if spec.requested:
                self.resize(spec.id, spec.requested)
        if self._machine.state is not None:
            self._find(self._machine.state)

    def _find(self, state: MachineState) -> None:
        """Take over the devices of a state, and the blocks that were added after boot."""
        machine, core = self._machine, self._context.core
        owned = ownership(state, machine.block_size)
        watched = core.guest
        if self._guest is not None:
            core.guest = self._guest.model  # no policy is told of what comes about here: all of it is there already
            self._guest.model.follow_from(min((run.first for run in state.blocks if not run.boot), default=1 << 62))
        for run in owned.others:
            find(core, NO_DEVICE, [_found(run)], node=run.node)
        self._area.find(device.spec for device in state.devices)
        for number, attached in enumerate(state.devices):
            spec = attached.spec
            device = self._make(spec, spec.address or 0, spec.node)
            parts = {part: [_found(run) for run in runs] for part, runs in owned.devices[number].items()}
            if isinstance(device, Dimm):
                device.find(parts)
            elif isinstance(device, Dax):
                word = attached.state or (ONLINE if parts else UNBOUND)
                device.find(parts, None if word in (UNBOUND, LOST) else word, lost=word == LOST)
            elif isinstance(spec, VirtioMemSpec):
                runs = owned.of_device(number)
                partly = plugged_on(attached, runs, machine)
                device.find([_found(run) for run in runs], spec.requested, partly=partly, usable=attached.usable)
        core.guest = watched

    def state(self) -> MachineState:
        """Return what is there now: a run of the machine :func:`sim.machine.current_state.starting_from` it goes on."""
        return state_now(
            self._context.core.memory,
            [(self._area.placed(self._specs[name], device.node), device) for name, device in self._devices.items()],
        )

    # Verbs -----------------------------------------------------------------------------------------------------------

    def plug(self, spec: DeviceSpec) -> bool:
        """Attach a device and have its driver begin.

        False (recorded) where the id is in use, or there is no slot or no room. Who plugs a DIMM or dax device that was
        asked back and is still there wants it again: it is no longer asked back from then on.
        """
        self._context.recorder.compact()
        if spec.id in self._devices:
            self.keep(spec.id)
            return self._fail(spec.id, EEXIST, "it is attached already")
        node = self._nodes.of_device(spec.node, dax=isinstance(spec, DaxSpec))
        if node is None:
            return self._fail(spec.id, EINVAL, f"there is no node {spec.node}")
        if not possible(spec):
            return self._fail(spec.id, EINVAL, "there are no devices of these sizes")
        try:
            address = self._find_room(spec)
        except HotplugError as error:
            return self._fail(spec.id, error.errno, error.reason)
        self._attach(spec, address, node)
        return True

    def unplug(self, device: str) -> bool:
        """Ask the guest to give a DIMM or dax device back. False (recorded) where there is none, or it is busy.

        Of a dead guest, where what is busy stays so, each can be asked back once.
        """
        attached = self._devices.get(device)
        if attached is None or isinstance(attached, VirtioMem):
            return self._fail(device, ENODEV, "there is no such DIMM or dax device")
        if attached.busy and (device in self._asked_back or not self.died):
            return self._fail(device, EBUSY, _AT_WORK)
        self._asked_back.add(device)
        self._context.recorder.requested(self.env.now, attached.index, 0)
        attached.eject()
        return True

    def keep(self, device: str) -> bool:
        """Want a DIMM or dax device again whose removal was asked for: it is no longer asked back. False if not there.

        A removal that is under way goes on all the same.
        """
        attached = self._devices.get(device)
        if attached is None or isinstance(attached, VirtioMem):
            return False
        if device in self._asked_back:
            self._asked_back.discard(device)
            self._context.recorder.requested(self.env.now, attached.index, attached.size // self._context.page_bytes)
        return True

    def set_dax_state(self, device: str, word: str) -> bool:
        """Have user space write ``word`` to a dax device's ``state``. False (recorded) where there is none, or busy.

        Raises ValueError where the guest's kernel has no such file.
        """
        if self._machine.kernel_series < DAX_STATE_SINCE:
            raise ValueError(f"dax devices have a state from Linux 7.3 on; this machine runs {self._machine.kernel}")
        return self._of_dax(device, lambda dax: dax.write_state(word), wanted=word != UNPLUGGED)

    def online_memory(self, device: str, word: str) -> bool:
        """Have user space write ``word`` to each block of a dax device that is offline. False (recorded) as above."""
        attached = self._devices.get(device)
        if isinstance(attached, Dax) and attached.busy:
            return self._fail(device, EBUSY, _AT_WORK)
        return self._of_dax(device, lambda dax: dax.online_memory(word), wanted=True)

    def unbind(self, device: str) -> bool:
        """Have user space unbind a dax device from kmem. False (recorded) where there is none, or it is busy."""
        return self._of_dax(device, Dax.unbind, wanted=False)

    def bind(self, device: str) -> bool:
        """Have user space bind a dax device to kmem again. False (recorded) where there is none, or it is busy."""
        return self._of_dax(device, Dax.plug, wanted=True)

    def _of_dax(self, device: str, begin: Callable[[Dax], None], *, wanted: bool) -> bool:
        """Have something done to a dax device that nobody binds, unbinds or sets. False (recorded) where there is none.

        From then on it is ``wanted``, or asked back.
        """
        attached = self._devices.get(device)
        if not isinstance(attached, Dax):
            return self._fail(device, ENODEV, "there is no such dax device")
        if attached.locked:
            return self._fail(device, EBUSY, _AT_WORK)
        (self._asked_back.discard if wanted else self._asked_back.add)(device)
        pages = attached.size // self._context.page_bytes if wanted else 0
        self._context.recorder.requested(self.env.now, attached.index, pages)
        begin(attached)
        return True

    def resize(self, device: str, requested: int) -> bool:
        """Set a virtio-mem device's requested bytes.

        False (recorded) where there is none, or the size is not possible.
        """
        attached = self._devices.get(device)
        if not isinstance(attached, VirtioMem):
            return self._fail(device, ENODEV, "there is no such virtio-mem device")
        if not attached.resize(index(requested)):
            return self._fail(device, EINVAL, f"{requested} bytes are not whole device blocks within its region")
        return True

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        """Set what the guest's load ``name`` uses, see :meth:`sim.kernel.guest_link.GuestLink.set_demand`."""
        if self._guest is None:
            return False
        return self._guest.set_demand(name, kind, amount, wanted=wanted, node=node)

    def killed(self, name: str) -> bool:
        """Whether the process of the guest's load ``name`` was killed, and its demand was not set to 0 since."""
        return self._guest is not None and name in self._guest.killed

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> bool:
        """Have the guest drop clean page cache, reclaimable slab, or both. False where none is modelled or alive."""
        return self._guest is not None and self._guest.drop_caches(cache=cache, slab=slab)

    # What a host sees ------------------------------------------------------------------------------------------------

    @property
    def died(self) -> bool:
        """Whether the guest has died. It stays dead, whatever is asked of it."""
        return self._guest is not None and self._guest.died

    def present(self, device: str) -> bool:
        """Whether the device is attached."""
        return device in self._devices

    def busy(self, device: str) -> bool:
        """Whether the guest still works on the last request to the device."""
        attached = self._devices.get(device)
        return attached is not None and attached.busy

    @property
    def at_rest(self) -> bool:
        """Whether nobody in the guest is at work on memory, nor about to be."""
        return self._context.core.threads.at_rest

    def plugged(self, device: str) -> int:
        """Bytes of the device that the guest has, 0 where it is not attached."""
        attached = self._devices.get(device)
        return 0 if attached is None else attached.plugged_pages * self._context.page_bytes

    def requested(self, device: str) -> int:
        """Bytes of the device that were asked for last; of a DIMM its size."""
        attached = self._devices.get(device)
        if isinstance(attached, VirtioMem):
            return attached.requested
        return 0 if attached is None else attached.size

    def offline(self, device: str) -> int:
        """Bytes of the DIMM or dax device that the guest has and that are offline."""
        attached = self._devices.get(device)
        return attached.offline_pages * self._context.page_bytes if isinstance(attached, Dimm | Dax) else 0

    def mem_available(self) -> int | None:
        """MemAvailable in bytes as an agent in the guest would report it; None where no guest is modelled or alive."""
        return None if self._guest is None else self._guest.mem_available()

    def report(self) -> GuestReport | None:
        """Return what an agent in the guest reports; None where no guest is modelled or alive."""
        return None if self._guest is None else self._guest.report()

    def changed(self) -> simpy.Event:
        """Return the event of the next change of what the guest reports, or a device has."""
        return self._changes.next()

    # Inside ----------------------------------------------------------------------------------------------------------

    def _seen(self) -> tuple[object, ...]:
        """Return all of what :meth:`changed` is about."""
        devices = {name: (device.plugged_pages, device.busy) for name, device in self._devices.items()}
        return None if self._guest is None else self._guest.seen(), devices

    def _fail(self, device: str, errno: int, reason: str) -> bool:
        """Record that the host refuses, and tell whoever listens. False, for whoever asked."""
        self.failed_requests += 1
        attached = None if errno in {EEXIST, ENODEV} else self._devices.get(device)
        self._context.recorder.failed(self.env.now, NO_DEVICE if attached is None else attached.index, errno)
        self._context.core.listener.failed(device, HotplugError(errno, f"the host refuses: {reason}"))
        return False

    def _find_room(self, spec: DeviceSpec) -> int:
        """Return the address that the device gets. Raises HotplugError where there is none."""
        dimm = isinstance(spec, DimmSpec)
        return self._area.attach(
            spec.id,
            span(spec),
            align=spec.block_size if isinstance(spec, VirtioMemSpec) else 1,
            address=spec.address,
            in_slot=dimm,
            slot=spec.slot if isinstance(spec, DimmSpec) else None,
            reserved_too=isinstance(spec, DaxSpec),
        )

    def _attach(self, spec: DeviceSpec, address: int, node: int) -> None:
        """Attach a device and have its driver begin."""
        device = self._make(spec, address, node)
        self._changes.look()
        if isinstance(device, VirtioMem):
            if isinstance(spec, VirtioMemSpec) and spec.requested:
                device.resize(spec.requested)
        else:
            self._context.recorder.requested(self.env.now, device.index, device.size // self._context.page_bytes)
            device.plug()

    def _make(self, spec: DeviceSpec, address: int, node: int) -> Device:
        """Attach a device of which the guest has nothing yet."""
        context = self._context
        device: Device
        match spec:
            case DimmSpec():
                device = Dimm(context, spec.id, node, ranges_of(spec, address), done=self._driver_done)
            case VirtioMemSpec():
                parameters = parameters_of(spec, self._machine)
                device = VirtioMem(
                    context, spec.id, node, address, spec.max_size, spec.block_size, parameters=parameters
                )
            case DaxSpec():
                device = Dax(
                    context,
                    spec.id,
                    node,
                    ranges_of(spec, address),
                    bytes_for_pages=spec.bytes_for_pages,
                    self_host=spec.self_host,
                    done=self._driver_done,
                )
        self._devices[spec.id], self._specs[spec.id] = device, spec
        context.recorder.attached(self.env.now, device.index)
        return device

    def _driver_done(self, name: str, ok: bool) -> None:  # noqa: FBT001 - a callback's one answer
        device = self._devices.get(name)
        if ok and device is not None and not isinstance(device, VirtioMem) and device.gone:
            del self._devices[name], self._specs[name]
            self._area.detach(name)
            self._asked_back.discard(name)
            self._context.recorder.gone(self.env.now, device.index)


def _found(run: BlockRun) -> FoundRun:
    return FoundRun(run.first, run.blocks, NO_ZONE if run.state == NR_ZONES else run.state)
