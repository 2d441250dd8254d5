"""What an onlining policy is, and what it may look at.

A policy answers one question, once for each memory block that is put online with the plain word ``online``: a kernel
zone, or ZONE_MOVABLE? It sees the block in question (:class:`ZoneRequest`) and a read-only view of memory
(:class:`sim.memory.view.MemoryView`), and nothing else: no clock, no device, no workload. It may be told of blocks
that have gone (:meth:`Policy.on_offline`) and of kernel zones that run short (:meth:`Policy.on_pressure`). Only a
bound looks ahead (:meth:`Policy.foresee`).

A third party adds a policy by subclassing :class:`Policy` and naming the class as an entry point of the group
``memhp_sim.policies``, or as ``path/to/file.py:Class`` in an experiment. It imports from :mod:`memhp_sim` alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from sim.memory.zones import NoZone, OnlineType, ZoneType, zone_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sim.memory.groups import GroupView
    from sim.memory.view import MemoryView
    from sim.record.run_result import Foreseen, RunResult


class Reason:
    """Collects why a policy decided as it did. Told more than once, the last line counts."""

    __slots__ = ("numbers", "text")

    def __init__(self) -> None:
        self.text = ""
        self.numbers: Mapping[str, int] = {}

    def __call__(self, text: str, **numbers: int) -> None:
        """Tell one line for a person, and the figures in it (pages). A figure that does not apply is left out."""
        self.text = text
        self.numbers = numbers


class ZoneRequest:
    """The block that is about to go online. Valid only during the call that it is passed to: the object is reused.

    Attributes: ``node`` (NUMA node id), ``first_page`` (page frame number of the block's first page), ``pages``
    (pages of the block, self-hosted memmap included), ``group`` (the memory group that the block belongs to, or None),
    ``why`` (a :class:`Reason` to be told, where somebody asks; None otherwise, that is nearly always).
    """

    __slots__ = ("first_page", "group", "node", "pages", "why")

    def __init__(
        self, node: int, first_page: int, pages: int, group: GroupView | None, why: Reason | None = None
    ) -> None:
        self.node = node
        self.first_page = first_page
        self.pages = pages
        self.group = group
        self.why = why

    def __repr__(self) -> str:
        group = "no group" if self.group is None else f"group {self.group.id}"
        return f"ZoneRequest(node {self.node}, pages {self.first_page}+{self.pages}, {group})"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and why it was taken: ``reason`` is one line for a person, ``numbers`` the figures in it (pages)."""

    zone: ZoneType | NoZone
    reason: str
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class UserSpaceRule:
    """What a program such as udev does about a block that has appeared and is offline, where the rule applies.

    ``online_type`` is the word that it writes to the block's ``state``; OFFLINE: none, the block stays as it is.
    ``delay_us`` are the microseconds between the block's appearance and the write. The rule applies where all of these
    hold: the block is on one of ``nodes``, of one of ``devices`` (``dimm``, ``virtio-mem``, ``dax``; ``none`` for a
    block of no device), the machine is of one of ``architectures`` and is ``bare_metal`` or not. Empty, or None, is
    any.
    """

    online_type: OnlineType
    delay_us: int = 0
    nodes: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    bare_metal: bool | None = None


@dataclass(frozen=True, slots=True)
class UserSpaceRules:
    """A program in the guest that puts blocks online: the first of ``rules`` that applies counts, without one none.

    ``begins_us`` is when it begins, in microseconds since the guest is up: blocks that are there by then, and would
    have had their turn before, get it then. ``buffer`` is how many events may wait for it (the receive buffer of its
    netlink socket): those of blocks that appear while it is full are lost, and the blocks stay offline; None: no event
    is. What fails although the block is there is tried ``tries`` times, ``try_again_us`` microseconds apart.
    """

    rules: tuple[UserSpaceRule, ...]
    begins_us: int = 0
    buffer: int | None = None
    tries: int = 1
    try_again_us: int = 0


@dataclass(frozen=True, slots=True)
class InLinux:
    """What a Linux is told so that it decides as a policy does.

    ``default_state`` is the word for new blocks (``memhp_default_state=``, ``auto_online_blocks``). ``online_policy``
    decides a plain ``online``, as ``memory_hotplug.online_policy`` has it, with ``ratio`` (percent) and ``numa_aware``
    where that is ``auto-movable``, else None. ``movable_node`` is the boot parameter. ``rules`` are those of a program
    in user space, None where there is none.
    """

    default_state: OnlineType
    online_policy: str = "contig-zones"
    ratio: int | None = None
    numa_aware: bool | None = None
    movable_node: bool = False
    rules: UserSpaceRules | None = None


class Foresight(Protocol):
    """What a policy may know that overrides :meth:`Policy.foresee`: the clock, and what would happen."""

    def now(self) -> int:
        """Return the simulated microsecond, at any time during the run."""

    def rehearse(self, policy: Policy, *, brief: bool = False) -> RunResult:
        """Return what the run would leave behind under another policy: same machine, traffic and random streams.

        A ``brief`` rehearsal ends where it fails first (see :data:`sim.scores.failures.FAILING`), and nothing is
        sampled in it; up to there it has the same events. What is wrong with the policy or the workload is raised as
        :class:`sim.faults.MemhpSimError`.
        """

    def rivals(self) -> Sequence[Callable[[], Policy]]:
        """Return what makes the experiment's other policies, for one that :attr:`Policy.wants_rivals`; else none.

        Policies that want rivals themselves are not among them.
        """


class Policy(ABC):
    """An onlining policy.

    A subclass takes its parameters as keyword arguments of ``__init__``, each of which its annotation describes, see
    :mod:`sim.plugins.parameters`. Class attributes: ``name`` (as used in experiments and listings) and ``summary``, one
    line. Instance attributes: ``auto_online`` is what the kernel's ``auto_online_blocks`` is set to, that is the word
    with which every new block is put online (only ONLINE asks :meth:`zone_for`), and ``user_space`` an optional program
    that acts on blocks left offline. ``wants_rivals`` is a class attribute of policies that :meth:`foresee`: whether
    they are told the experiment's other policies. What they found is in ``foreseen``, and reaches the results.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    wants_rivals: ClassVar[bool] = False

    auto_online: OnlineType = OnlineType.ONLINE
    user_space: UserSpaceRules | None = None
    foreseen: Foreseen | None = None

    @abstractmethod
    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Return the zone (a :class:`ZoneType` or its number) of the node that the block shall go to. Pure and fast.

        DMA and DMA32 are for blocks below the end of their span, NORMAL and MOVABLE for any; what Linux could not give
        fails.

        LEAVE_OFFLINE: the block shall go nowhere. A new one stays offline, as if the kernel put none online; a program
        that writes a plain ``online`` to it is refused (EPERM), and may write another word.
        Where ``request.why`` is not None, somebody wants to know the reason: tell it what was tested. Telling is up to
        the policy, and must not change the answer.
        """

    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        """Return what :meth:`zone_for` returns, with the reason that it tells. Called only when somebody asks."""
        request.why = why = Reason()
        try:
            zone = zone_or_none(self.zone_for(request, memory))
        finally:
            request.why = None
        return Explanation(zone, why.text or f"{self.name}: {zone.label}", why.numbers)

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide ``count`` adjacent blocks at once, ``request`` being the first: runs of (blocks, zone), in order.

        The result must be what ``count`` block-by-block calls give if every block is put online before the next is
        decided, or left offline. None says that this run has to be decided block by block. Blocks of a dynamic group
        take their memmap one by one, each before it is decided: who asks the guest answers None for them.
        """
        return None

    def foresee(self, foresight: Foresight) -> Policy | None:
        """Look at what is to come, once, before the run begins. For policies that no kernel could have: bounds.

        Return the policy that is to decide in the run instead, as if it had been asked for; None for this one.
        """
        return None

    @property
    def configured_ratio(self) -> int | None:
        """MOVABLE : KERNEL in percent that this policy aims not to exceed, or None where it has no such aim."""
        return None

    def in_linux(self) -> InLinux | None:
        """Return how Linux is told to do the same; None where no Linux has it, as of a policy of one's own."""
        return None

    def on_offline(self, node: int, zone: int, pages: int) -> None:
        """Told after a block of ``pages`` left ``zone`` of ``node``. For policies that keep state."""

    def on_pressure(self, node: int, kernel_headroom: int) -> None:
        """Told that the kernel zones of ``node`` have run short, with the pages left to kernel requests on it.

        They are short when none of them has room above its low watermark, not even with page cache and reclaimable slab
        given up, and when a kernel request has failed (then the pages are 0). Told once, and again only after there was
        room in between. If the memmap of added memory takes the last room, this comes before :meth:`zone_for`. Without
        a guest model nothing runs short. For policies that keep state.
        """


def in_linux(policy: Policy) -> InLinux | None:
    """Return how Linux is told to do what ``policy`` does; None where no Linux can.

    A class that decides otherwise than the one that says it, from which it is derived, is not believed, nor one that
    takes other parameters.
    """
    says = _definer(type(policy), "in_linux")
    others = (_definer(type(policy), name) for name in ("zone_for", "zones_for_run", "__init__"))
    return policy.in_linux() if all(issubclass(says, other) for other in others) else None


def _definer(cls: type, name: str) -> type:
    return next(each for each in cls.__mro__ if name in vars(each))
