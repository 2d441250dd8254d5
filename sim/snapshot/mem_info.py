"""The Mem-Info that a kernel prints when memory runs out or SysRq-M asks, as ``mm/show_mem.c`` does."""

from __future__ import annotations

import re
from collections import deque
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, Faults, shown
from sim.snapshot.facts import Facts, Remark
from sim.snapshot.pasted import Places
from sim.snapshot.picture import ZoneView
from sim.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEM_INFO: Final = re.compile(r"\bMem-[Ii]nfo:")
_ZONE: Final = re.compile(
    r"(?:\bNode[ \t]+([0-9]{1,9})[ \t]+)?\b(DMA|DMA32|Normal|HighMem|Movable|Device)[ \t]+free:[ \t]*([0-9]{1,15})kB"
)
_FIGURE: Final = re.compile(r"\b(min|low|high|present|managed):[ \t]*([0-9]{1,15})kB")
_FREE_LIST: Final = re.compile(r"\b(?:DMA|DMA32|Normal|HighMem|Movable): [0-9]+\*([0-9]{1,4})kB")
_INVOKED: Final = re.compile(r"(\S{1,40}) invoked oom-killer:[^\n]{0,300}?order=(-?[0-9]{1,3})")
_KILLED: Final = re.compile(r"Out of memory:? Kill(?:ed)? process ([0-9]{1,10}) \(([^)\n]{0,40})\)")
_LONGEST_ZONE: Final = 3000
_MOST_KILLED: Final = 5


def reads_as_mem_info(text: str) -> bool:
    """Whether ``text`` holds zones as the kernel shows them when memory runs out, or when it is asked."""
    return _MEM_INFO.search(text) is not None or _ZONE.search(text) is not None


def read_mem_info(text: str, file: str) -> Facts:
    """Return the zones of the last report in a log, in pages. InputError with all faults, by line."""
    facts, faults, lines = Facts(file, "Mem-Info"), Faults(), Places(text)
    starts = [match.start() for match in _MEM_INFO.finditer(text)]
    begin = starts[-1] if starts else 0
    if len(starts) > 1:
        facts.remarks.append(Remark(lines.at(starts[0]), f"there are {len(starts)} reports; the last is taken"))
    if match := _FREE_LIST.search(text, begin):
        facts.page_size = int(match[1]) * KIB
        facts.places["page_size"] = lines.at(match.start())
    page = facts.page_size or 4 * KIB
    if facts.page_size is None:
        facts.remarks.append(Remark(lines.at(begin), "no lists of free pages: pages are taken as 4 KiB"))
    if page & (page - 1) or not page:
        faults.include([Fault(facts.places["page_size"], f"a page of {page // KIB} KiB is not possible")])
    zones = list(_zones(text, begin, page, lines, faults))
    if not zones:
        faults.include(
            [Fault(lines.at(begin), "Mem-Info stands here, but no zones (free:...kB min:...kB); give the whole")]
        )
    faults.raise_if_any(file)
    facts.zones = tuple(zones)
    facts.places["zones"] = f"{lines.at(begin)} onwards"
    facts.remarks += _killed(text, lines)
    return facts


def _killed(text: str, lines: Places) -> Iterator[Remark]:
    """Yield who ran out of memory and who was killed: the last few of them."""
    for match in deque(_INVOKED.finditer(text), _MOST_KILLED):
        yield Remark(lines.at(match.start()), f"{match[1]} ran out of memory, asking for order {match[2]}")
    for match in deque(_KILLED.finditer(text), _MOST_KILLED):
        yield Remark(lines.at(match.start()), f"process {match[1]} ({match[2]}) was killed")


def _zones(text: str, begin: int, page: int, lines: Places, faults: Faults) -> Iterator[ZoneView]:
    found = list(_ZONE.finditer(text, begin))
    seen: set[tuple[int, str]] = set()
    for match, following in zip_longest(found, found[1:]):
        zone = int(match[1] or 0), match[2]
        if zone in seen:  # a later report, of which the heading is missing
            return
        seen.add(zone)
        end = min(match.end() + _LONGEST_ZONE, following.start() if following else len(text))
        stop = text.find("lowmem_reserve", match.end(), end)
        sizes = {"free": int(match[3])}
        for figure in _FIGURE.finditer(text, match.end(), end if stop < 0 else stop):
            sizes.setdefault(figure[1], int(figure[2]))
        pages = {name: size * KIB // page for name, size in sizes.items()}
        if pages.get("managed", 0) > pages.get("present", pages.get("managed", 0)):
            what = f"zone {shown(zone[1])} has more managed than present"
            faults.include([Fault(lines.at(match.start()), what)])
        yield ZoneView(zone[0], zone[1], **pages)
