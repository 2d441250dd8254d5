"""A copy of ``/sys/devices/system/memory`` and ``.../node``: a folder or archive, below any folders, or of several.

As ``drivers/base/memory.c`` and ``drivers/base/node.c`` write it, from kernels 3.x on: what an older one lacks is
missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, Faults, shown
from sim.readers.bounds import HIGHEST_BLOCK, MOST_BLOCKS, no_block_size, no_node, no_size
from sim.readers.dumps import MEMORY_BLOCK, NODE
from sim.readers.facts import SYSFS, BlockView, Facts, NodeFacts, Remark
from sim.readers.pasted import refusal
from sim.units import KIB

if TYPE_CHECKING:
    from sim.readers.dumps import Dump

_ABOVE: Final = frozenset(("memory", "node", "system", "devices", "sys", "module", "memory_hotplug", "parameters"))
_STATES: Final = ("online", "offline", "going-offline")
_ZONES: Final = re.compile(r"[A-Za-z0-9]{1,20}(?:[ \t]+[A-Za-z0-9]{1,20})*")
_MEM_TOTAL: Final = re.compile(r"\bMemTotal:[ \t]*([0-9]{1,15}) kB")


@dataclass(slots=True)
class _Copy:
    """One machine's files: attributes of blocks by number, of nodes by number, and of all by name."""

    blocks: dict[int, dict[str, str]] = field(default_factory=dict)
    block_nodes: dict[int, set[int]] = field(default_factory=dict)
    nodes: dict[int, dict[str, str]] = field(default_factory=dict)
    general: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def read_sysfs(dump: Dump) -> list[Facts]:
    """Return what each copy of a machine's sysfs in ``dump`` says; none if there is none.

    Raises InputError with all faults, each with the path within the folder or archive.
    """
    copies: dict[str, _Copy] = {}
    for path, text in dump.attributes.items():
        _sort(copies, path, text)
    for path in dump.names:
        _sort(copies, path, None)
    faults = Faults()
    found = [_facts(dump.file, root, copy, faults) for root, copy in sorted(copies.items())]
    if faults:
        raise refusal(dump.file, *faults)
    return [facts for facts in found if facts.places]


def _sort(copies: dict[str, _Copy], path: str, text: str | None) -> None:
    """Put a file, or the name of a folder or link, where it belongs: to which machine, block or node."""
    parts = path.split("/")
    name, folders = parts[-1], parts[:-1]
    while folders and (folders[-1] in _ABOVE or MEMORY_BLOCK.fullmatch(folders[-1]) or NODE.fullmatch(folders[-1])):
        folders.pop()
    copy = copies.setdefault("/".join(folders), _Copy())
    parent = parts[-2] if len(parts) > 1 else ""
    block, node = MEMORY_BLOCK.fullmatch(parent), NODE.fullmatch(parent)
    if text is None:
        inner = MEMORY_BLOCK.fullmatch(name) if node else NODE.fullmatch(name)
        numbers = (inner, node) if node else (block, inner)
        if numbers[0] and numbers[1]:
            copy.block_nodes.setdefault(int(numbers[0][1]), set()).add(int(numbers[1][1]))
    elif block:
        copy.blocks.setdefault(int(block[1]), {})[name] = text
        copy.places.setdefault("blocks", path.rsplit("/", 2)[0] if path.count("/") > 1 else ".")
    elif node:
        copy.nodes.setdefault(int(node[1]), {})[name] = text
        copy.places.setdefault("nodes", path.rsplit("/", 2)[0] if path.count("/") > 1 else ".")
    elif parent == "parameters":
        copy.parameters[name] = text
        copy.places.setdefault("parameters", path.rsplit("/", 1)[0])
    else:
        copy.general[name] = text
        copy.places[{"block_size_bytes": "block_size"}.get(name, name)] = path


def _facts(file: str, root: str, copy: _Copy, faults: Faults) -> Facts:
    facts = Facts(f"{file}:{root}" if root else file, SYSFS, places=dict(copy.places))
    facts.block_size = _block_size(copy, faults)
    facts.auto_online_blocks = copy.general.get("auto_online_blocks")
    facts.parameters = dict(sorted(copy.parameters.items()))
    above = copy.places.get("blocks", "")
    if len(copy.blocks) > MOST_BLOCKS:
        faults.include([Fault(above, f"more than {MOST_BLOCKS:,} blocks; no machine has as many")])
        return facts
    facts.blocks = tuple(
        _block(number, attributes, copy, above, facts, faults) for number, attributes in sorted(copy.blocks.items())
    )
    online = sum(view.state == "online" for view in facts.blocks)
    if facts.blocks and facts.block_size:
        facts.online_total = online * facts.block_size
        facts.offline_total = (len(facts.blocks) - online) * facts.block_size
        facts.places["online_total"] = facts.places["offline_total"] = above
    facts.nodes = tuple(
        _node(number, attributes, copy.places["nodes"], faults) for number, attributes in sorted(copy.nodes.items())
    )
    return facts


def _block_size(copy: _Copy, faults: Faults) -> int | None:
    text = copy.general.get("block_size_bytes")
    if text is None:
        if copy.blocks:
            faults.include([Fault(copy.places["blocks"], "the file block_size_bytes is not there; copy it too")])
        return None
    try:
        size = int(text, 16) if len(text) <= 16 else 0  # noqa: PLR2004 - digits of 64 bits
    except ValueError:
        size = 0
    if wrong := no_block_size(size):
        what = f"{shown(text)} is not a size in hexadecimal such as 8000000: {wrong}"
        faults.include([Fault(copy.places["block_size"], what)])
        return None
    return size


def _block(number: int, attributes: dict[str, str], copy: _Copy, above: str, facts: Facts, faults: Faults) -> BlockView:
    where = f"{above}/memory{number}"
    state = attributes.get("state") or {"0": "offline", "1": "online"}.get(attributes.get("online", ""), "")
    zones = attributes.get("valid_zones") or None
    removable, device = attributes.get("removable"), attributes.get("phys_device")
    if number >= HIGHEST_BLOCK:
        faults.include([Fault(where, "no machine has a block of this number")])
    if state not in _STATES:
        what = f"the state {shown(state)} is none of {', '.join(_STATES)}" if state else "its state is not there"
        faults.include([Fault(f"{where}/state", what)])
    if zones and not _ZONES.fullmatch(zones):
        faults.include([Fault(f"{where}/valid_zones", f"{shown(zones)} are not names of zones such as Normal Movable")])
        zones = None
    nodes = sorted(copy.block_nodes.get(number, ()))
    if nodes and (wrong := no_node(nodes[-1])):
        faults.include([Fault(where, wrong)])
    if len(nodes) > 1:
        facts.remarks.append(Remark(where, f"on nodes {', '.join(map(str, nodes))}; taken as on node {nodes[0]}"))
    return BlockView(
        number,
        state,
        zones="/".join("None" if zone == "none" else zone for zone in zones.split()) if zones else None,
        node=nodes[0] if nodes else None,
        removable={"0": False, "1": True}.get(removable or ""),
        phys_device=int(device) if device and device.isdecimal() and len(device) < 12 else None,  # noqa: PLR2004
    )


def _node(number: int, attributes: dict[str, str], above: str, faults: Faults) -> NodeFacts:
    total = _MEM_TOTAL.search(attributes.get("meminfo", ""))
    size = int(total[1]) * KIB if total else None
    if wrong := no_node(number) or no_size(size or 0):
        faults.include([Fault(f"{above}/node{number}", wrong)])
    cpus = attributes.get("cpulist")
    if cpus is None and "cpumap" in attributes:
        cpus = attributes["cpumap"].strip("0, \n")
    return NodeFacts(number, cpus=None if cpus is None else bool(cpus), mem_total=size)
