"""What a kernel says when it starts: release, command line, firmware's memory, the line "Memory: 1K/2K available".

As ``init/main.c`` and ``mm/page_alloc.c`` (``mem_init_print_info``) print it since 3.x, with or without what ``dmesg``,
``syslog`` and ``journalctl`` put before each line.
"""

from __future__ import annotations

import re
from typing import Final

from sim.faults import Fault, Faults
from sim.readers.bounds import MOST_DIGITS, MOST_MEMORY, no_node, no_size
from sim.readers.facts import BOOT_LOG, Facts, MemoryRange, NodeFacts, Remark, ZoneRange
from sim.readers.kernel_words import LONGEST_CMDLINE, architecture_of_release
from sim.readers.pasted import Places
from sim.units import KIB

_VERSION: Final = re.compile(r"\bLinux version ([2-9]\.[0-9]{1,3}[\w.+~-]{0,80})([^\n]*)")
_ARCHITECTURE: Final = re.compile(r"\b(x86_64|aarch64|s390x|powerpc64le|riscv64|loongarch64)-")
_MEMORY: Final = re.compile(r"\bMemory: ([0-9]+)[Kk]/([0-9]+)[Kk] available(?:\s{1,40}\(([^)]{0,600}))?")
_PART: Final = re.compile(r"([0-9]{1,15})[Kk] (absent|reserved|cma-reserved|init)\b")
_FREEING: Final = re.compile(r"\bFreeing ([^\n:]{1,60}?) memory: ([0-9]{1,12})K\b")
_NODE_RANGE: Final = re.compile(r"\bnode[ \t]+([0-9]{1,9}): \[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\]")
_ZONE_RANGE: Final = re.compile(r"\b(DMA|DMA32|Normal)[ \t]+\[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\]")
_MOVABLE_FROM: Final = re.compile(r"\bNode [0-9]{1,9}: 0x[0-9a-f]{1,16}\b")
_IN_A_LOG: Final = re.compile(r"(?:\b[Kk]ernel command|(?:^|[\]:>] {0,9})Command) line: *(\S[^\n]*)", re.MULTILINE)
_SIGNS: Final = (
    (re.compile(r"\bAArch64 Processor|CPU features: detected|Detected [PV]IPT I-cache on CPU"), "aarch64"),
    (re.compile(r"\bCPU: ARMv[4-8]|\bARMv[4-8]\w* Processor"), "armv7l"),
    (re.compile(r"\bMIPS: machine is|\bCPU0 revision is: [0-9a-f]{8} \("), "mips"),
    (re.compile(r"\briscv: |\belf_hwcap is 0x"), "riscv64"),
    (re.compile(r"\b(?:mmu_features|firmware_features)[ \t]*= 0x"), "ppc64"),
    (re.compile(r"\bLinux is running (?:as a z/VM guest|natively in LPAR|under KVM in 64-bit)"), "s390x"),
    (re.compile(r"\b[0-9]+MB HIGHMEM available"), "i686"),
    (re.compile(r"\bBIOS-e820:|\be820: |BIOS-provided physical RAM map"), "x86_64"),
)
"""What only a kernel for this architecture says, the first that is found counts."""

_BARE: Final = re.compile(r"\bBooting paravirtualized kernel on ([^\n]{1,60})|\bHypervisor detected: ([^\n]{1,60})")


def reads_as_boot_log(text: str) -> bool:
    """Whether ``text`` holds a line that a kernel says when it starts."""
    return any(pattern.search(text) for pattern in (_VERSION, _MEMORY, _IN_A_LOG))


def read_boot_log(text: str, file: str) -> Facts:
    """Return what the last start in a log says. InputError with all faults, by line."""
    facts, faults, lines = Facts(file, BOOT_LOG), Faults(), Places(text)
    starts = [match.start() for match in _VERSION.finditer(text)]
    begin = starts[-1] if starts else 0
    if len(starts) > 1:
        facts.remarks.append(Remark(lines.at(starts[0]), f"the kernel starts {len(starts)} times; the last is taken"))
    _take_release(facts, text, begin, lines)
    if match := _IN_A_LOG.search(text, begin):
        facts.cmdline = match[1].rstrip()[:LONGEST_CMDLINE]
        facts.places["cmdline"] = lines.at(match.start())
    if match := _MEMORY.search(text, begin):
        _take_memory(facts, match, lines.at(match.start()), faults)
        _take_freed(facts, match, text)
    nodes: dict[int, int] = {}
    ranges: list[MemoryRange] = []
    for match in _NODE_RANGE.finditer(text, begin):
        size = int(match[3], 16) - int(match[2], 16) + 1
        if wrong := "the range ends before it begins" if size <= 0 else no_size(size) or no_node(int(match[1])):
            faults.include([Fault(lines.at(match.start()), wrong)])
        nodes[int(match[1])] = nodes.get(int(match[1]), 0) + size
        ranges.append(MemoryRange(int(match[1]), int(match[2], 16), int(match[3], 16) + 1))
        facts.places.setdefault("nodes", lines.at(match.start()))
    faults.raise_if_any(file)
    if not _MOVABLE_FROM.search(text, begin):  # else ZONE_MOVABLE is boot memory, from there on
        facts.zone_ranges = tuple(
            ZoneRange(match[1], int(match[2], 16), int(match[3], 16) + 1) for match in _ZONE_RANGE.finditer(text, begin)
        )
    facts.ranges = tuple(ranges)
    if ranges:
        facts.places["ranges"] = facts.places["nodes"]
    facts.nodes = tuple(NodeFacts(node, listed=size) for node, size in sorted(nodes.items()))
    return facts


def _take_release(facts: Facts, text: str, begin: int, lines: Places) -> None:
    if match := _VERSION.search(text, begin):
        facts.kernel = match[1]
        facts.places["kernel"] = lines.at(match.start())
        built = _ARCHITECTURE.search(match[2])
        facts.architecture = built[1].replace("powerpc64le", "ppc64le") if built else architecture_of_release(match[1])
        if facts.architecture is not None:
            facts.places["architecture"] = facts.places["kernel"]
    for pattern, architecture in _SIGNS:
        if facts.architecture is None and (match := pattern.search(text, begin)):
            facts.architecture = architecture
            facts.places["architecture"] = lines.at(match.start())
    if match := _BARE.search(text, begin):
        facts.bare_metal = bool(match[1]) and match[1].startswith("bare hardware")
        facts.places["bare_metal"] = lines.at(match.start())


def _take_memory(facts: Facts, match: re.Match[str], where: str, faults: Faults) -> None:
    """Set the figures of the line "Memory: 1K/2K available (... 3K reserved, 4K cma-reserved)"."""
    parts = {name: int(size) * KIB for size, name in _PART.findall(match[3] or "")}
    digits = max(len(match[1]), len(match[2]))
    available, known = (int(size) * KIB if digits <= MOST_DIGITS else MOST_MEMORY + 1 for size in (match[1], match[2]))
    known -= parts.get("absent", 0)
    if available > known or known <= 0 or max(known, *parts.values(), 0) > MOST_MEMORY:
        what = "the first figure is what the second has free, so it cannot be larger; and no machine has over 4 PiB"
        faults.include([Fault(where, what)])
        return
    facts.memory_available, facts.memory_known = available, known
    facts.places["memory_available"] = facts.places["memory_known"] = where
    if parts.get("absent"):
        facts.remarks.append(Remark(where, f"{parts['absent'] // KIB}K absent are not counted as memory"))
    if "reserved" in parts:
        facts.reserved = parts["reserved"]
        facts.places["reserved"] = where
    if "cma-reserved" in parts:
        facts.cma_reserved = parts["cma-reserved"]
        facts.places["cma_reserved"] = where


def _take_freed(facts: Facts, match: re.Match[str], text: str) -> None:
    """Set what the kernel says that it frees after the line, or else its init section, which it always frees."""
    said = {what: int(size) * KIB for what, size in _FREEING.findall(text, match.end())}
    if not any("unused kernel" in what or "initmem" in what for what in said):
        said["init"] = next((int(size) * KIB for size, name in _PART.findall(match[3] or "") if name == "init"), 0)
    freed = sum(said.values())
    if facts.reserved is not None and 0 < freed <= facts.reserved:
        facts.freed = freed
        facts.places["freed"] = facts.places["reserved"]
