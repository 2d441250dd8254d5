"""``/proc/meminfo`` and a node's ``meminfo``, as ``fs/proc/meminfo.c`` and ``drivers/base/node.c`` write them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, Faults
from sim.readers.bounds import MOST_DIGITS, no_node, no_size
from sim.readers.facts import Facts, NodeFacts, Remark
from sim.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterable

_MEMINFO: Final = re.compile(
    r"^[ \t]*(?:Node[ \t]+([0-9]{1,9})[ \t]+)?([A-Z][A-Za-z0-9_()]{2,40}):[ \t]+([0-9]{1,400})(?:[ \t]+(kB))?[ \t]*$"
)
_MEM_TOTAL: Final = re.compile(
    r"^[ \t]*(?:Node[ \t]+[0-9]{1,9}[ \t]+)?MemTotal:[ \t]+[0-9]+[ \t]+kB[ \t]*$", re.MULTILINE
)


def reads_as_meminfo(text: str) -> bool:
    """Whether ``text`` has a line ``MemTotal:``, of the machine or of a node."""
    return _MEM_TOTAL.search(text) is not None


def read_meminfo(text: str, file: str) -> Facts:
    """Return the machine's figures by name, and each node's MemTotal, in bytes. InputError with all faults, by line.

    Figures without a unit are counts (of huge pages), and are not among them.
    """
    facts, faults = Facts(file, "meminfo"), Faults()
    nodes: dict[int, dict[str, int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _MEMINFO.match(line)
        if match is None:
            continue
        where, node, name = f"line {number}", match[1], match[2]
        if len(match[3]) > MOST_DIGITS:
            faults.include([Fault(where, f"no machine has a {name} of {len(match[3])} digits")])
        elif match[4] is not None:
            figures = facts.meminfo if node is None else nodes.setdefault(int(node), {})
            if figures.setdefault(name, int(match[3]) * KIB) != int(match[3]) * KIB:
                what = f"{name} stands here again, with another size; are there two outputs? Give one"
                faults.include([Fault(where, what)])
            if node is not None and (wrong := no_node(int(node))):
                faults.include([Fault(where, wrong)])
            if name == "MemTotal":
                facts.places.setdefault("meminfo" if node is None else "nodes", where)
        elif name == "HugePages_Total" and node is None and int(match[3]):
            facts.remarks.append(Remark(where, f"{int(match[3])} huge pages are set aside; they are not taken"))
    _check_totals(facts, nodes.values(), faults)
    faults.raise_if_any(file)
    facts.nodes = tuple(NodeFacts(node, mem_total=figures.get("MemTotal")) for node, figures in sorted(nodes.items()))
    return facts


def _check_totals(facts: Facts, nodes: Iterable[dict[str, int]], faults: Faults) -> None:
    for place, figures in (("meminfo", facts.meminfo), *(("nodes", figures) for figures in nodes)):
        total, free = figures.get("MemTotal"), figures.get("MemFree", 0)
        if total is not None and (total == 0 or free > total or no_size(total)):
            faults.include([Fault(facts.places[place], f"MemTotal is {total // KIB} kB, MemFree {free // KIB} kB")])
