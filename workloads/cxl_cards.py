"""CXL memory as whole dax devices: cards that come while memory is short, and go as a whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from sim.devices.specs import DAX_STATE_SINCE, ONLINE, ONLINE_WORDS, UNPLUGGED, DaxSpec
from sim.plugins.parameter_types import Name, Size, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import GIB, format_size
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
from workloads.parts.controllers.whole_devices import WholeDevices, want_again
from workloads.parts.parameters import NODE, PAGES, PLACE, OwnEnd, Period, Start, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.devices.specs import DimmSpec
    from workloads.contract import Host
    from workloads.parts.controllers.watch import Watcher

WAYS: Final = ("daxctl", "state")
"""How a card's memory goes: by daxctl, block by block; or by the device's ``state``, all of it at once."""

_MOST_CARDS: Final = 64
_MOST_RANGES: Final = 16
_SELF_HOST_SINCE: Final = "6.8"
"""Kernel series from which on a dax device has the attribute ``memmap_on_memory``."""


class CxlCards(Controller):
    """Brings a card while memory is short, and asks one back where all of it would not be missed.

    A card is one dax device that kmem makes memory of, on ``node``, which would have no CPUs. Which zones its blocks go
    to is the policy's affair, as for any memory. There are two ``way`` s back:

    * ``daxctl`` (``reconfigure-device --mode=devdax --force``): each block is written ``offline``, then the device is
      unbound from kmem, on which its memory goes. If one block refuses, nothing is unbound: the card stays, though
      without the blocks that went offline. Once it is needed again ``word`` is written to these (``online-memory``).
    * ``state`` (Linux 7.3): the word ``unplugged`` is written to the device. All blocks go, or each is put online again
      in the zone that it had. The card stays bound, and ``word`` is written when it is needed.

    Of the words ``online`` asks the policy, the others do not; daxctl writes ``online_movable``, or with
    ``--no-movable`` ``online``. What puts memory online by a rule of udev finds nothing to do then.

    No controller of cards is published: the rule and its defaults are those of ``dimm-controller``. Nothing is random
    here, but what is asked for depends on the guest. It needs a guest that is modelled. Raises ParameterError with all
    faults at once.
    """

    name: ClassVar[str] = "cxl-cards"
    summary: ClassVar[str] = "CXL cards, each a whole dax device, that come while memory is short and go when idle"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        cards: Annotated[int, Whole(1, _MOST_CARDS), "number of cards"] = 4,
        size: Annotated[int, PAGES, "size of a card"] = 64 * GIB,
        ranges: Annotated[int, Whole(1, _MOST_RANGES), "address ranges that a card is made of, all of one size"] = 1,
        gap: Annotated[int, Size(zero=True), "addresses between two ranges of a card"] = 0,
        memmap_on_memory: Annotated[
            bool, "the memmap of a card lies on the card (Linux 6.8, where the machine has memmap_on_memory as well)"
        ] = False,
        node: Annotated[int, NODE, "NUMA node of the cards"] = 1,
        way: Annotated[str, Word(WAYS), "how a card goes"] = "daxctl",
        word: Annotated[str, Word(ONLINE_WORDS), "what is written to have a card's memory back"] = ONLINE,
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
            int, PLACE, "where the first card lies, each further one behind; 0 stands for where there is room"
        ] = 0,
        duration: OwnEnd = 0.0,
        device: Annotated[str, Name(), "card n is called this and n"] = "cxl",
    ) -> None:
        if check.good("size", "ranges") and size % ranges:
            check.fault("ranges", f"must divide the size of a card, {format_size(size)}, but is {ranges}")
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
        lengths = (size // ranges,) * ranges if ranges > 1 else ()
        stride = size + gap * (ranges - 1)
        self._cards = [
            DaxSpec(
                f"{device}{number}",
                size,
                node,
                address + number * stride if address else None,
                self_host=memmap_on_memory,
                ranges=lengths,
                gap=gap,
            )
            for number in range(cards)
        ]
        self._kernel = _SELF_HOST_SINCE if memmap_on_memory else None
        self._way = way
        self._word = word
        super().__init__(Beat.of(start, period, duration), nodes=[node])

    @classmethod
    def at_pace(cls, parameters: Mapping[str, Any], pace: float) -> Mapping[str, Any] | None:
        """It looks, waits and tries again faster."""
        return shortened(parameters, pace, "period", "idle", "hold", "retry", "again", "again_most")

    def needs_kernel(self) -> str | None:
        """Linux 7.3 for the ``state`` of a device, 6.8 for its ``memmap_on_memory``."""
        return ".".join(map(str, DAX_STATE_SINCE)) if self._way == "state" else self._kernel

    def watcher(self, host: Host) -> Watcher:
        """Return who looks at the memory that is left."""
        verbs = _ByState(self._word) if self._way == "state" else _ByDaxctl(self._word)
        return WholeDevices(host, self._cards, verbs, self._need, self._beat)


class _ByDaxctl:
    """A card is bound to kmem and unbound again."""

    def __init__(self, word: str) -> None:
        self._word = word

    def plug(self, host: Host, spec: DimmSpec | DaxSpec) -> bool:
        return host.plug(spec)

    def ask_back(self, host: Host, spec: DimmSpec | DaxSpec) -> bool:
        return host.unplug(spec.id)

    def keep(self, host: Host, spec: DimmSpec | DaxSpec) -> int:
        return want_again(host, spec, self._word)


class _ByState:
    """A card stays bound; its memory comes and goes."""

    def __init__(self, word: str) -> None:
        self._word = word

    def plug(self, host: Host, spec: DimmSpec | DaxSpec) -> bool:
        return host.set_dax_state(spec.id, self._word) if host.present(spec.id) else host.plug(spec)

    def ask_back(self, host: Host, spec: DimmSpec | DaxSpec) -> bool:
        return host.set_dax_state(spec.id, UNPLUGGED)

    def keep(self, host: Host, spec: DimmSpec | DaxSpec) -> int:
        host.keep(spec.id)
        return 0
