"""What workloads have in common that plug whole devices by need: their parameters, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

from sim.plugins.parameter_types import Number, Seconds, Size, Whole, Word
from sim.units import format_size, seconds_to_us
from workloads.parts.controllers.whole_devices import ORDERS, SIGNALS, Need, NeedRule, Patience
from workloads.parts.parameters import NODES

if TYPE_CHECKING:
    from sim.plugins.parameters import Checker

_SHARE: Final = Number(0.0, 1.0)

Low = Annotated[int, Size(zero=True), "one more is plugged while less than this is left"]
LowShare = Annotated[float, _SHARE, "one more is plugged while less than this share of the total is left"]
Spare = Annotated[int, Size(zero=True), "one is asked back if this much is left without it; 0 stands for low"]
SpareShare = Annotated[
    float, _SHARE, "one is asked back if this share of the total is left without it; 0 stands for low_share"
]
Signal = Annotated[str, Word(SIGNALS), "what is looked at: MemAvailable, or MemFree of watch_nodes"]
WatchNodes = Annotated[Sequence[int] | None, NODES, "signal free: nodes whose memory counts; by default all"]
AtOnce = Annotated[int, Whole(1, 256), "most that are plugged at a look"]
Idle = Annotated[float, Seconds(zero=True), "one is asked back when there has been an idle one for so long"]
Hold = Annotated[float, Seconds(zero=True), "none is asked back sooner than this after its plug"]
Order = Annotated[str, Word(ORDERS), "which idle one is asked back first"]
Retry = Annotated[float, Seconds(), "a plug that failed is tried again after this"]
Again = Annotated[float, Seconds(), "one that was refused is asked for again after this, then after twice as long ..."]
AgainMost = Annotated[float, Seconds(), "... and so on, up to this"]


def need_of(  # noqa: PLR0913  one argument for each parameter
    check: Checker,
    *,
    low: int,
    low_share: float,
    spare: int,
    spare_share: float,
    signal: str,
    watch_nodes: Sequence[int] | None,
    at_once: int,
    idle: float,
    hold: float,
    order: str,
    retry: float,
    again: float,
    again_most: float,
) -> Need:
    """Return what the parameters of these names come to. Raises ParameterError with all that is wrong by then."""
    if check.good("low", "low_share") and not low and not low_share:
        check.fault("low", "must be more than 0, or low_share: with neither nothing is ever short")
    if check.good("low", "spare") and 0 < spare < low:
        check.fault("spare", f"must be at least low, {format_size(low)}, but is {format_size(spare)}")
    if check.good("low_share", "spare_share") and 0 < spare_share < low_share:
        check.fault("spare_share", f"must be at least low_share, {low_share:g}, but is {spare_share:g}")
    if check.good("signal", "watch_nodes") and signal == "available" and watch_nodes is not None:
        check.fault("watch_nodes", "is of the signal free: MemAvailable is one figure for all nodes")
    if check.good("again", "again_most") and again_most < again:
        check.fault("again_most", f"must be at least again, {again:g}, but is {again_most:g}")
    check.done()
    return Need(
        rule=NeedRule(low, low_share, spare or low, spare_share or low_share),
        patience=Patience(*(seconds_to_us(seconds) for seconds in (hold, idle, retry, again, again_most))),
        signal=signal,
        nodes=tuple(watch_nodes or ()),
        at_once=at_once,
        order=order,
    )
