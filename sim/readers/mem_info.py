"""The Mem-Info that a kernel prints when memory runs out or SysRq-M asks, as ``mm/show_mem.c`` does."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.faults import Fault, Faults, InputError
from sim.readers.bounds import no_node, no_size
from sim.readers.facts import Facts, Remark, ZoneView
from sim.readers.kernel_words import architecture_of_release
from sim.readers.pasted import Places
from sim.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEM_INFO: Final = re.compile(r"\bMem-[Ii]nfo:")
_ZONE: Final = re.compile(
    r"(?:\bNode[ \t]+([0-9]{1,9})[ \t]+)?\b(DMA|DMA32|Normal|HighMem|Movable|Device)[ \t]+free:[ \t]*([0-9]{1,15})kB"
)
_FIGURE: Final = re.compile(r"\b(min|low|high|present|managed):[ \t]*([0-9]{1,15})kB")
_FREE_LIST: Final = re.compile(r"\b(?:DMA|DMA32|Normal|HighMem|Movable): [0-9]+\*([1-9][0-9]{0,3})kB")
_INVOKED: Final = re.compile(r"(\S{1,40}) invoked oom-killer:[^\n]{0,300}?order=(-?[0-9]{1,3})")
_KILLED: Final = re.compile(r"Out of memory:? Kill(?:ed)? process ([0-9]{1,10}) \(([^)\n]{0,40})\)")
_KERNEL: Final = re.compile(r"\b(?:Not tainted|Tainted: [A-Z ]{1,40}) ([2-9]\.[0-9]{1,3}[\w.+~-]{0,80}) #")
_LONGEST_ZONE: Final = 3000
_MOST_KILLED: Final = 5
_WHOLE: Final = frozenset(("free", "min", "present"))


class _Zone(NamedTuple):
    """A zone's line: where it stands, and its figures in kB."""

    node: int
    name: str
    offset: int
    sizes: dict[str, int]


def reads_as_mem_info(text: str) -> bool:
    """Whether ``text`` holds zones as the kernel shows them when memory runs out, or when it is asked."""
    return _ZONE.search(text) is not None


def read_mem_info(text: str, file: str) -> Facts:
    """Return the zones of the last whole report in a log, in pages. InputError with all faults, by line."""
    facts, faults, lines = Facts(file, "Mem-Info"), Faults(), Places(text)
    reports = _reports(text)
    whole = [report for report in reports if all(zone.sizes.keys() >= _WHOLE for zone in report)]
    if not whole:
        where = lines.at(reports[-1][0].offset)
        raise InputError(file, [Fault(where, "a zone stands here without min: or present:; give the whole report")])
    begin = whole[-1][0].offset
    if len(reports) > 1:
        what = f"the last that is whole of {len(reports)} reports is taken"
        facts.remarks.append(Remark(lines.at(begin), what))
    if match := _FREE_LIST.search(text, begin):
        facts.page_size = int(match[1]) * KIB
        facts.places["page_size"] = lines.at(match.start())
    else:
        facts.remarks.append(Remark(lines.at(begin), "no lists of free pages: pages are taken as 4 KiB"))
    page = facts.page_size or 4 * KIB
    if page & (page - 1):
        faults.include([Fault(facts.places["page_size"], f"a page of {page // KIB} KiB is not possible")])
    facts.zones = tuple(_zone(zone, page, lines, faults) for zone in whole[-1])
    faults.raise_if_any(file)
    facts.places["zones"] = f"{lines.at(begin)} onwards"
    if match := next(iter(deque(_KERNEL.finditer(text), 1)), None):
        facts.kernel = match[1]
        facts.places["kernel"] = lines.at(match.start())
        facts.architecture = architecture_of_release(match[1])
        if facts.architecture is not None:
            facts.places["architecture"] = facts.places["kernel"]
    facts.remarks += _killed(text, lines)
    return facts


def _killed(text: str, lines: Places) -> Iterator[Remark]:
    """Yield who ran out of memory and who was killed: the last few of them."""
    for match in deque(_INVOKED.finditer(text), _MOST_KILLED):
        yield Remark(lines.at(match.start()), f"{match[1]} ran out of memory, asking for order {match[2]}")
    for match in deque(_KILLED.finditer(text), _MOST_KILLED):
        yield Remark(lines.at(match.start()), f"process {match[1]} ({match[2]}) was killed")


def _reports(text: str) -> list[list[_Zone]]:
    """Return the zones of each report: one begins where a zone stands again, or behind the word Mem-Info."""
    found = list(_ZONE.finditer(text))
    headings = [match.start() for match in _MEM_INFO.finditer(text)]
    reports: list[list[_Zone]] = []
    seen: set[tuple[int, str]] = set()
    heading = -1
    for match, following in zip_longest(found, found[1:]):
        zone = int(match[1] or 0), match[2]
        latest = bisect_left(headings, match.start())
        if zone in seen or latest != heading:
            reports.append([])
            seen.clear()
            heading = latest
        seen.add(zone)
        end = min(match.end() + _LONGEST_ZONE, following.start() if following else len(text))
        stop = text.find("lowmem_reserve", match.end(), end)
        sizes = {"free": int(match[3])}
        for figure in _FIGURE.finditer(text, match.end(), end if stop < 0 else stop):
            sizes.setdefault(figure[1], int(figure[2]))
        reports[-1].append(_Zone(*zone, match.start(), sizes))
    return reports


def _zone(zone: _Zone, page: int, lines: Places, faults: Faults) -> ZoneView:
    pages = {name: size * KIB // page for name, size in zone.sizes.items()}
    if wrong := no_node(zone.node) or no_size(max(zone.sizes.values()) * KIB):
        faults.include([Fault(lines.at(zone.offset), wrong)])
    if pages.get("managed", 0) > pages["present"]:
        faults.include([Fault(lines.at(zone.offset), f"zone {zone.name} has more managed than present")])
    return ZoneView(zone.node, zone.name, **pages)
