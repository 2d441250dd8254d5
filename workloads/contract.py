"""What a workload is: a source of host requests in simulated time.

A workload says WHAT is asked of a guest and WHEN. It speaks to a :class:`Host` (plug, unplug, resize, demand) and never
touches memory blocks. Randomness comes only from the named streams it is given, so that under one seed the host wants
the same of two policies. A workload may look at what the host can see (sizes, whether a device is busy), which a real
management layer sees too; then what it asks for may differ. One whose requests shall be the same for every policy does
not. A third party's workload imports from :mod:`memhp_sim` alone.

A workload refuses parameters that make no sense with a ValueError: one sentence that begins with the parameter's name
and a colon. An error that carries several such sentences has them as its attribute ``faults``, see
:class:`sim.plugins.parameters.ParameterError`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    import numpy as np
    import simpy

    from sim.devices.specs import DeviceSpec
    from sim.guest.report import GuestReport as GuestReport  # noqa: PLC0414  for workloads, to be named in types


class Streams(Protocol):
    """Named random streams of one run."""

    def __call__(self, name: str) -> np.random.Generator:
        """Return the stream ``name``: the same generator at every call with this name."""


class Host(Protocol):
    """What the host (VMM, management layer) can ask of the guest's devices, and see of them. All sizes in bytes.

    A verb returns at once; what it starts goes on in simulated time. Asking for something impossible (an id in use, no
    free slot, an unknown device) is counted and recorded as a failed request, as a management layer would log it, and
    raises nothing.
    """

    @property
    def env(self) -> simpy.Environment:
        """The simulation's clock; its time unit is the microsecond.

        At each of them the guest comes first: what it does by itself at that microsecond is done when a workload's
        event happens, and what is asked for then has begun before the workload's next event of that microsecond.
        """

    def plug(self, spec: DeviceSpec) -> bool:
        """Plug a device (DIMM, dax device) or attach a virtio-mem device. False where the host itself refuses."""

    def unplug(self, device: str) -> bool:
        """Ask for the removal of a DIMM or dax device. False where it is not there or a removal is under way."""

    def keep(self, device: str) -> bool:
        """Want a DIMM or dax device again whose removal was asked for in vain. False where it is not there."""

    def set_dax_state(self, device: str, word: str) -> bool:
        """Have user space write ``word`` to the ``state`` of a dax device: all of its memory comes or goes at once.

        ``unplugged``, ``online``, ``online_kernel`` or ``online_movable``; what the kernel refuses is recorded. False
        where there is no such device, or it is busy. Raises ValueError where the guest's kernel is older than 7.3.
        """

    def online_memory(self, device: str, word: str) -> bool:
        """Have user space write ``word`` to each block of a dax device that is offline, as ``daxctl online-memory``.

        ``online``, ``online_kernel`` or ``online_movable``. A removal that a block refused has left others offline: the
        device is wanted again. False as above.
        """

    def unbind(self, device: str) -> bool:
        """Have user space unbind a dax device from kmem, whatever its blocks are. False as above.

        Where one is online the memory stays, and the device is lost until the guest is booted again.
        """

    def bind(self, device: str) -> bool:
        """Have user space bind a dax device to kmem again. False as above."""

    def resize(self, device: str, requested: int) -> bool:
        """Set a virtio-mem device's requested size. False where it is not there, or for no multiple of its block."""

    def set_demand(self, name: str, kind: str, amount: int, *, wanted: int | None = None, node: int = 0) -> bool:
        """Set what the guest's load ``name`` of ``kind``, on ``node``, uses to ``amount``.

        The kinds are those of ``docs/logs.md``; the amount is in bytes or a number of pieces, as the kind has it. False
        where no guest is modelled or alive, the load uses something of another kind, or its process was killed; it
        stays dead until its demand is set to 0.

        ``wanted`` is what the load would use if it could (None: ``amount``). Go on telling it when the load was killed,
        as if it lived, and whatever the guest does: less in use than wanted is demand not served.
        """

    def killed(self, name: str) -> bool:
        """Whether the process of load ``name`` was killed, and its demand was not set to 0 since."""

    def drop_caches(self, *, cache: bool = True, slab: bool = True) -> bool:
        """Have the guest drop clean page cache, reclaimable slab, or both; False where none is modelled or alive."""

    def mem_available(self) -> int | None:
        """MemAvailable in bytes, as an agent in the guest reports it; None where no guest is modelled or alive."""

    def report(self) -> GuestReport | None:
        """All figures that an agent in the guest reports, see :class:`sim.guest.report.GuestReport`; None as above."""

    def changed(self) -> simpy.Event:
        """Return the event of the next change of what :meth:`report`, :meth:`plugged` or :meth:`busy` say.

        It comes at the microsecond of the change, and never without one. All who ask between two changes get the same
        event; who asks again for each gets all of them. Whatever changes at the same moment afterwards belongs to it.
        Averages of pressure that rise are a change, those that fall are none. It costs something only while somebody
        waits for it.
        """

    @property
    def died(self) -> bool:
        """Whether the guest has died: what is asked of it from then on is recorded, and nothing ever answers it."""

    def present(self, device: str) -> bool:
        """Whether the device is attached."""

    def busy(self, device: str) -> bool:
        """Whether the guest is still working on the last request to this device."""

    @property
    def at_rest(self) -> bool:
        """Whether nobody in the guest is at work on memory, as somebody who looks into it would see.

        Neither a driver, nor a program in user space that is about to put blocks online. A virtio-mem device that tries
        again some time later is at rest until then. A guest that has died at work never is.
        """

    def plugged(self, device: str) -> int:
        """Bytes of this device that the guest has now."""

    def offline(self, device: str) -> int:
        """Bytes of this DIMM or dax device that the guest has and does not use, as their blocks are offline."""

    def requested(self, device: str) -> int:
        """Bytes of this device that were asked for last."""


class Workload(ABC):
    """A source of host requests.

    A subclass takes its parameters as keyword arguments of ``__init__`` (sizes in bytes, times in seconds), each of
    which its annotation describes, see :mod:`sim.plugins.parameters`.

    ``ends_run`` is a class attribute of workloads that take as long as the guest does: the run ends when :meth:`run`
    has returned, and :meth:`duration` is the most that it can last.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    ends_run: ClassVar[bool] = False

    @abstractmethod
    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, object]:
        """Yield SimPy events and call the host's verbs in between. Ends when the workload has nothing more to ask."""

    @abstractmethod
    def duration(self) -> float:
        """Seconds of simulated time after which the run shall end (the engine stops there).

        0 stands for no end of its own: it runs for as long as others that it runs together with.
        """

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """Return the parameters with which memory is asked for ``pace`` times as fast, and all else is as it was.

        ``parameters`` are all that the workload is made of, but for those that are not given and have no default. Of
        one that asks for no memory they are returned as they are; None where this cannot be said of a workload.
        """
        del parameters, pace
        return None

    def for_replication(self, number: int) -> Workload:
        """Return the workload of replication ``number`` (from 0): itself, where replications differ by draws alone.

        One that plays recordings has a recording for each, so that the recorded machines are the sample.
        """
        del number
        return self

    def most_replications(self) -> int | None:
        """Return how many replications there are to play; None where there is no limit, as random draws have none."""
        return None

    def recording(self) -> str | None:
        """Return the name of the recording that is played, as results tell it; None where none is."""
        return None

    def node_capacity(self) -> Iterable[int]:
        """Nodes that this workload plugs memory into or runs programs on: a machine without them is refused at once."""
        return (0,)

    def needs_dimms(self) -> bool:
        """Whether this workload plugs DIMMs: a machine whose kind has none is refused at once."""
        return False

    def needs_kernel(self) -> str | None:
        """Kernel series, such as ``"7.3"``, from which on there is what this workload asks for; None for any.

        A machine with an older one is refused at once.
        """
        return None
