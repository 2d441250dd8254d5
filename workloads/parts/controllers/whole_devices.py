"""Memory in whole devices by need: one more is plugged where memory falls short, one is asked back where it is idle.

A DIMM or a card goes as a whole or not at all. Who asks one back and is refused has no part of it, and must have room
for all of it before asking: so one device is the distance between growing and shrinking, and on constant demand a
device that went in does not come out again, nor the other way round, whatever the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sim.devices.specs import DaxSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.devices.specs import DimmSpec
    from workloads.contract import GuestReport, Host
    from workloads.parts.controllers.controller import Beat

ORDERS: Final = ("newest", "oldest", "smallest", "emptiest-node")
"""Which device is asked back first: the one plugged last, or first, the smallest, or one on the node with the most free
memory; of equals the one plugged last."""

SIGNALS: Final = ("available", "free")
"""What is looked at: MemAvailable, as an agent in a guest reports it, or MemFree of nodes, as who packs a host does."""


class Figure(NamedTuple):
    """What there is, in bytes: ``left`` is available or free, of ``total``."""

    left: int
    total: int


@dataclass(frozen=True, slots=True)
class NeedRule:
    """When memory is short, and when a device is idle. In bytes, and in shares of the total from 0 to 1; both hold.

    Raises ValueError where a device might be called idle that would be missed at once.
    """

    low: int = 0
    low_share: float = 0.0
    spare: int = 0
    spare_share: float = 0.0

    def __post_init__(self) -> None:
        if self.spare < self.low or self.spare_share < self.low_share:
            raise ValueError("what has to be left without a device is less than what memory is short under")

    def short(self, figure: Figure) -> bool:
        """Whether a device is to be plugged: less is left than ``low``, or than ``low_share`` of the total."""
        return figure.left < max(self.low, self.low_share * figure.total)

    def idle(self, figure: Figure, size: int) -> bool:
        """Whether a device of ``size`` is not needed: without it ``spare`` and ``spare_share`` would still be left."""
        left, total = figure.left - size, figure.total - size
        return left >= max(self.spare, self.spare_share * total)


def figure_of(report: GuestReport, signal: str, nodes: Sequence[int]) -> Figure:
    """Return what is looked at: with the signal ``available`` all memory, else what is free of ``nodes``, or of all."""
    if signal == "available":
        return Figure(report.available, report.total)
    if not nodes:
        return Figure(report.free, report.total)
    totals, free = zip(*map(report.node, nodes), strict=True)
    return Figure(sum(free), sum(totals))


class Verbs(Protocol):
    """How devices of one kind come and go."""

    def plug(self, host: Host, spec: DimmSpec | DaxSpec) -> bool:
        """Have the device's memory come. False where the host refuses."""
        ...

    def ask_back(self, host: Host, spec: DimmSpec | DaxSpec) -> bool:
        """Ask for the device's memory. False where the host refuses."""
        ...

    def keep(self, host: Host, spec: DimmSpec | DaxSpec) -> int:
        """Want a device again that was refused. Returns the bytes of it that are to come online again."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How often is asked, in microseconds.

    A device is not asked back sooner than ``hold`` after it was plugged, nor before it has been idle for ``idle``. A
    plug that failed is tried again after ``retry``. A device that was refused is asked for again after ``again``, twice
    that after the second refusal, and so on up to ``again_most``.
    """

    hold: int
    idle: int
    retry: int
    again: int
    again_most: int


@dataclass(frozen=True, slots=True)
class Need:
    """By what is decided: ``signal`` and ``nodes`` say what is looked at, ``order`` which idle device goes first.

    At most ``at_once`` are plugged at a look.
    """

    rule: NeedRule
    patience: Patience
    signal: str
    nodes: tuple[int, ...]
    at_once: int
    order: str


class WholeDevices:
    """Plugs and asks back ``specs``, one for each slot, by a rule. Implements ``Watcher`` of ``watch.py``.

    At a look some are plugged, the lowest free slot first, or one is asked back; nothing is asked for
    while the guest is at work on one. A device that is refused stays asked back, and the next one by ``order`` is asked
    for at the look that sees it; once it is no longer idle, it is kept. One that the host took and the guest could not
    add is taken out of its slot again.
    """

    def __init__(
        self,
        host: Host,
        specs: Sequence[DimmSpec | DaxSpec],
        verbs: Verbs,
        need: Need,
        beat: Beat,
    ) -> None:
        self._host = host
        self._specs = specs
        self._verbs = verbs
        self._need = need
        self._rule = need.rule
        self._patience = need.patience
        self._beat = beat
        self._since: dict[str, int] = {}
        """By device that was plugged: when."""
        self._new: set[str] = set()
        """Devices of which it is not known yet whether the guest has added them."""
        self._leaving: DimmSpec | DaxSpec | None = None
        self._asked: dict[str, tuple[int, int]] = {}
        """By device that was refused: when it is asked for again, and how long that wait is."""
        self._plug_us = 0
        self._idle_since: int | None = None

    def look(self, now_us: int) -> int | None:
        """Look at the guest, and plug a device or ask for one."""
        report = self._host.report()
        if report is None:
            return None
        next_beat = self._beat.after(now_us)
        if any(self._host.busy(spec.id) for spec in self._specs):
            return next_beat
        if not self._settle(now_us):
            return next_beat
        seen = figure_of(report, self._need.signal, self._need.nodes)
        figure = self._keep_what_is_needed(seen)
        if self._rule.short(figure):
            asked = self._grow(figure, now_us)
        else:
            asked = figure != seen or self._shrink(figure, report, now_us)
        return next_beat if asked else None

    def _settle(self, now_us: int) -> bool:
        """See what became of the last requests. False where a device has to be taken out of its slot first."""
        failed = [spec for spec in self._specs if spec.id in self._new and not self._host.plugged(spec.id)]
        self._new.clear()
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            if self._host.plugged(leaving.id):
                wait = self._asked.get(leaving.id, (0, 0))[1]
                wait = min(2 * wait, self._patience.again_most) if wait else self._patience.again
                self._asked[leaving.id] = now_us + wait, wait
            else:
                self._asked.pop(leaving.id, None)
                del self._since[leaving.id]
        for spec in failed:
            self._plug_us = now_us + self._patience.retry
            del self._since[spec.id]
            self._host.unplug(spec.id)
        return not failed

    def _keep_what_is_needed(self, figure: Figure) -> Figure:
        """Keep devices that were refused and are not idle any more. Returns what there is once they are whole."""
        for spec in self._specs:
            if spec.id in self._asked and not self._idle(figure, spec):
                del self._asked[spec.id]
                back = self._verbs.keep(self._host, spec)
                figure = Figure(figure.left + back, figure.total + back)
        return figure

    def _idle(self, figure: Figure, spec: DimmSpec | DaxSpec) -> bool:
        """Whether a device is not needed: of one that was refused, what has gone offline is not missed any more."""
        gone = self._host.offline(spec.id) if spec.id in self._asked else 0
        return self._rule.idle(figure, spec.size - gone)

    def _grow(self, figure: Figure, now_us: int) -> bool:
        """Plug what is missing. Returns whether to look again, whatever happens."""
        self._idle_since = None
        empty = [spec for spec in self._specs if spec.id not in self._since]
        if not empty or now_us < self._plug_us:
            return bool(empty)
        for spec in empty[: self._need.at_once]:
            if not self._rule.short(figure):
                break
            if not self._verbs.plug(self._host, spec):
                self._plug_us = now_us + self._patience.retry
                break
            self._since[spec.id] = now_us
            self._new.add(spec.id)
            figure = Figure(figure.left + spec.size, figure.total + spec.size)
        return True

    def _shrink(self, figure: Figure, report: GuestReport, now_us: int) -> bool:
        """Ask for a device that is idle. Returns whether to look again, whatever happens."""
        idle = [spec for spec in self._specs if spec.id in self._since and self._idle(figure, spec)]
        if not idle:
            self._idle_since = None
            return False
        if self._idle_since is None:
            self._idle_since = now_us
        if now_us >= self._idle_since + self._patience.idle:
            for spec in in_order(idle, self._need.order, self._since, report):
                if now_us >= self._since[spec.id] + self._patience.hold and now_us >= self._asked.get(spec.id, (0,))[0]:
                    if self._verbs.ask_back(self._host, spec):
                        self._leaving = spec
                    break
        return True


def want_again(host: Host, spec: DimmSpec | DaxSpec, word: str) -> int:
    """Want a device again that was refused, and have a dax device's blocks that went offline put online by ``word``.

    Returns the bytes of these. A DIMM's blocks the kernel has put back itself.
    """
    back = host.offline(spec.id) if isinstance(spec, DaxSpec) else 0
    if not back:
        host.keep(spec.id)
        return 0
    return back if host.online_memory(spec.id, word) else 0


def in_order(
    specs: Sequence[DimmSpec | DaxSpec], order: str, since: Mapping[str, int], report: GuestReport
) -> list[DimmSpec | DaxSpec]:
    """Return devices in the ``order`` in which they are asked for; ``since`` is when each was plugged."""
    newest = sorted(enumerate(specs), key=lambda item: (since[item[1].id], item[0]), reverse=True)
    devices = [spec for _, spec in newest]
    if order == "oldest":
        devices.reverse()
    elif order == "smallest":
        devices.sort(key=lambda spec: spec.size)
    elif order == "emptiest-node":
        devices.sort(key=lambda spec: -report.node(spec.node)[1])
    return devices
