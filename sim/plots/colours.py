"""How policies look: colours that people with any colour vision tell apart, the same for a policy in every plot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.record.blockmap import BlockState

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#8a6a1c")
"""After Okabe and Ito, "Color Universal Design" (2008), without yellow, which does not show on white."""

DARK: Final = "#222222"
GREY: Final = "#777777"

DASHES: Final[tuple[Any, ...]] = ("solid", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (6, 1.4, 1.4, 1.4)), (0, (9, 2)))
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "p", "h")

ZONE_COLOURS: Final[Mapping[int, str]] = {
    BlockState.ABSENT: "#ffffff",
    BlockState.SEVERAL_ZONES: "#8d99a6",
    BlockState.DMA: "#16324f",
    BlockState.DMA32: "#3f6a8f",
    BlockState.NORMAL: "#1f4e79",
    BlockState.MOVABLE: "#f2a93b",
    BlockState.OFFLINE: "#c9ccd1",
}
"""Of a memory map: kernel zones are dark, MOVABLE is bright, which also shows in grey."""

ZONE_NAMES: Final[Mapping[int, str]] = {
    BlockState.ABSENT: "not there",
    BlockState.SEVERAL_ZONES: "several zones",
    BlockState.DMA: "DMA",
    BlockState.DMA32: "DMA32",
    BlockState.NORMAL: "Normal",
    BlockState.MOVABLE: "MOVABLE",
    BlockState.OFFLINE: "offline",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a policy looks: no two of an experiment have the same colour, and of those near each other not the rest."""

    colour: str
    dashes: Any
    marker: str


_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?=\s*(?:%|[KMGT]i?B|m?s)?\s*$)")
_FEWEST_SWEPT: Final = 3
"""Policies that differ in a number alone and are as many get shades of one colour, from light to dark."""

_LIGHTEST, _DARKEST = 0.35, -0.55
_STEP: Final = 0.11


def swept_families(policies: Sequence[str]) -> dict[str, list[str]]:
    """Return the policies that differ only in the number at their end, by what they have in common."""
    families: dict[str, list[str]] = {}
    for policy in policies:
        if found := _NUMBER.search(policy):
            families.setdefault(policy[: found.start()], []).append(policy)
    return {family: members for family, members in families.items() if len(members) >= _FEWEST_SWEPT}


def policy_looks(policies: Sequence[str]) -> dict[str, Look]:
    """Return the look of each of an experiment's ``policies``, all of which must be given to keep looks stable."""
    shades: dict[str, list[tuple[str, float]]] = {}
    for family, members in swept_families(policies).items():
        # In the order of the numbers, whatever that of the experiment is.
        for place, policy in enumerate(sorted(members, key=_number)):
            shade = _LIGHTEST + (_DARKEST - _LIGHTEST) * place / (len(members) - 1)
            shades.setdefault(policy, []).append((family, shade))
    groups = list(dict.fromkeys(shades[policy][0][0] if policy in shades else policy for policy in policies))
    looks: dict[str, Look] = {}
    for number, policy in enumerate(policies):
        family, shade = shades[policy][0] if policy in shades else (policy, 0.0)
        place = groups.index(family)
        # A palette that is used up begins again, in another shade and with another dash.
        rounds = place // len(PALETTE)
        base = shaded(PALETTE[place % len(PALETTE)], (0.0, -0.45, 0.45, -0.7, 0.65)[rounds % 5])
        cue = number if policy in shades else rounds
        dashes = DASHES[cue % len(DASHES)]
        colour = _unlike(shaded(base, shade), {look.colour for look in looks.values()})
        looks[policy] = Look(colour, dashes, MARKERS[number % len(MARKERS)])
    return looks


def _unlike(colour: str, others: Container[str]) -> str:
    """Return ``colour``, or the one most like it that is none of ``others``: lighter, darker, lighter still."""
    found, away = colour, 0.0
    while found in others:
        away = -away if away > 0 else _STEP - away
        # What would be white or black begins again at the other end.
        found = shaded(colour, (away + 1) % 2 - 1)
    return found


def policy_colours(policies: Sequence[str]) -> dict[str, str]:
    """Return the colour of each of an experiment's ``policies``, all of which must be given to keep colours stable."""
    return {policy: look.colour for policy, look in policy_looks(policies).items()}


def shaded(colour: str, by: float) -> str:
    """Return ``colour`` lighter (``by`` above 0, white at 1) or darker (below 0, black at -1)."""
    parts = (part + (1 - part) * by if by > 0 else part * (1 + by) for part in _parts(colour))
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def readable(colour: str) -> str:
    """Return ``colour``, darker where letters in it would be hard to read on white (WCAG 2.1, contrast of 4.5)."""
    darker = colour
    for step in range(1, 20):
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(darker)]  # noqa: PLR2004
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        if 1.05 / (luminance + 0.05) >= 4.5:  # noqa: PLR2004
            break
        darker = shaded(colour, -0.05 * step)
    return darker


def _number(policy: str) -> float:
    found = _NUMBER.search(policy)
    return float(found.group()) if found else 0.0


def _parts(colour: str) -> tuple[float, ...]:
    """Return red, green and blue, from 0 to 1, of a colour such as ``#0072b2``."""
    # Not by matplotlib, which the report, drawn in these colours, need not load.
    return tuple(int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
