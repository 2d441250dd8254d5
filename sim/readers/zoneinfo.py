"""``/proc/zoneinfo``: zones of each node, in pages, as ``mm/vmstat.c`` writes them from 4.x to 7.x."""

from __future__ import annotations

import re
from typing import Final

from sim.faults import Fault, Faults
from sim.readers.bounds import MOST_DIGITS, no_node, no_size
from sim.readers.facts import Facts, Remark, ZoneView
from sim.units import KIB

_SMALLEST_PAGE: Final = 4 * KIB
_PAGES: Final = ("free", "min", "low", "high", "spanned", "present", "managed", "cma")

_ZONE: Final = re.compile(r"^[ \t]*Node[ \t]+([0-9]{1,9}),[ \t]+zone[ \t]+(\S{1,20})[ \t]*$")
_ZONE_ANYWHERE: Final = re.compile(_ZONE.pattern, re.MULTILINE)
_FIGURE: Final = re.compile(
    r"^[ \t]*(?:pages[ \t]+(free)|(min|low|high|spanned|present|managed|cma|nr_free_cma)|(start_pfn):)"
    r"[ \t]+([0-9]+)[ \t]*$"
)


def reads_as_zoneinfo(text: str) -> bool:
    """Whether ``text`` holds a zone as ``/proc/zoneinfo`` begins it."""
    return _ZONE_ANYWHERE.search(text) is not None


def read_zoneinfo(text: str, file: str) -> Facts:
    """Return the zones, in pages; empty ones too. InputError with all faults, by line."""
    facts, faults = Facts(file, "zoneinfo"), Faults()
    zones: dict[tuple[int, str], dict[str, int]] = {}
    figures: dict[str, int] | None = None
    first = 0
    for number, line in enumerate(text.split("\n"), 1):
        if match := _ZONE.match(line):
            zone = int(match[1]), match[2]
            if zone in zones:
                what = f"zone {zone[1]} of node {zone[0]} stands here again; are there two outputs? Give one"
                faults.include([Fault(f"line {number}", what)])
            figures = zones.setdefault(zone, {})
            figures.clear()
            if wrong := no_node(zone[0]):
                faults.include([Fault(f"line {number}", wrong)])
            first = first or number
        elif figures is not None and (match := _FIGURE.match(line)):
            name = match[1] or match[2] or match[3]
            if len(match[4]) > MOST_DIGITS or no_size(int(match[4]) * _SMALLEST_PAGE):
                faults.include([Fault(f"line {number}", "no machine has as many pages as this")])
            else:
                figures.setdefault(name, int(match[4]))
            _check_zone(figures, name, f"line {number}", faults)
    faults.raise_if_any(file)
    facts.zones = tuple(
        ZoneView(node, name, start=figures.get("start_pfn"), **{key: figures.get(key) for key in _PAGES})
        for (node, name), figures in sorted(zones.items(), key=lambda entry: entry[0][0])
    )
    if any(figures.get("nr_free_cma") and "cma" not in figures for figures in zones.values()):
        facts.remarks.append(Remark("nr_free_cma", "free pages of CMA only: how large it is does not stand there"))
    facts.places["zones"] = f"line {first} onwards"
    return facts


def _check_zone(figures: dict[str, int], name: str, where: str, faults: Faults) -> None:
    """Add a fault where the figure read last is larger than the one that it is a part of."""
    larger = {"present": "spanned", "managed": "present", "cma": "present"}.get(name)
    if larger is not None and name in figures and figures[name] > figures.get(larger, figures[name]):
        what = f"{name} is {figures[name]} pages, but {larger} only {figures[larger]}"
        faults.include([Fault(where, what)])
