"""What kernel a machine runs, on which architecture, and how it was told to put memory online."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sim.faults import shown
from sim.machine import cmdline
from sim.machine.architecture import ARCHITECTURES, ARM64, S390X, X86_64, architecture_of
from sim.machine.spec import DEFAULT_SERIES, FIRST_SERIES
from sim.memory.zones import ZONE_DMA, ZONE_DMA32
from sim.pages import PAGE_SIZES
from sim.readers.facts import BOOT_LOG, CMDLINE, SYSFS
from sim.snapshot.account import Assumed, Left, source
from sim.units import GIB, KIB, MIB, format_size, parse_series

if TYPE_CHECKING:
    from sim.machine.architecture import Architecture
    from sim.snapshot.block_map import BlockMap
    from sim.snapshot.evidence import Evidence, Said
    from sim.snapshot.wishes import Wishes

_SERIES = re.compile(r"\D*(\d{1,3})\.(\d{1,3})")
_KIB64: Final = 64 * KIB
_BY_NAME = re.compile(r"[+.-](16|64)kb?$", re.IGNORECASE)
"""How distributions end the name of a kernel with larger pages: ``el9.aarch64+64k``, ``generic-64k``."""

SHIPPED_WITH: Final = (
    (re.compile(r"\.el10"), "rhel-10"),
    (re.compile(r"6\.1\.[0-9]+-[0-9]+-(?:cloud-|rt-)?(?:amd64|arm64)$"), "debian-12"),
    (re.compile(r"6\.12\..*(?:\+deb13|-(?:amd64|arm64)$)"), "debian-13"),
    (re.compile(r"-(?:generic|lowlatency|aws|azure|gcp)(?:-64k)?$"), "ubuntu-rule"),
    (re.compile(r"-default$"), "opensuse"),
)
"""How releases of those who ship a kernel look, and the ``by`` of the policy ``as-shipped`` that goes with it."""

_SMALLEST_BLOCK: Final = 128 * MIB
_LARGE_SECTION: Final = 512 * MIB
_AS_UNAME_SAYS: Final = {"x86_64": X86_64.name, "aarch64": ARM64.name, "s390x": S390X.name}
_GUESTS_OWN: Final = (CMDLINE, BOOT_LOG)
"""Kinds of files that tell how the running kernel was started, before what a host would start it with."""

_MOVABLE_WORDS: Final = ("kernelcore", "kernelcore_percent", "movablecore", "movablecore_percent", "movable_node")
_OF_32_BITS: Final = "HighMem"
_PARAMETERS: Final = ("online_policy", "auto_movable_ratio", "auto_movable_numa_aware")


@dataclass(slots=True)
class KernelFacts:
    """The kernel of a machine: ``series``, ``architecture`` (None: x86-64 for want of knowledge), ``page_size``.

    ``line`` is the command line, ``read`` what it says; ``machine`` and ``policy`` what sysfs says beside it: keys of
    ``[[machines]]``, and of the policy ``kernel``.
    """

    series: str
    architecture: str | None
    page_size: int
    line: str | None = None
    read: cmdline.CommandLine = field(default_factory=cmdline.CommandLine)
    machine: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)

    @property
    def built_for(self) -> Architecture:
        """What the architecture fixes."""
        return architecture_of(self.architecture, self.page_size)

    @property
    def movable_at_boot(self) -> bool:
        """Whether the command line makes a ZONE_MOVABLE of memory that is there at boot."""
        return any(self.read.machine.get(word) for word in _MOVABLE_WORDS)


def kernel_facts(evidence: Evidence, wishes: Wishes, blocks: BlockMap | None) -> KernelFacts | None:
    """Return what is known of the kernel; what is not is assumed, and said. None where there are faults."""
    series = _series(evidence, wishes)
    page_size = _page_size(evidence, wishes)
    architecture = _architecture(evidence, wishes, blocks, page_size)
    if page_size is None and architecture == ARM64.name and blocks is not None and blocks.block_size == _LARGE_SECTION:
        page_size = _KIB64
        what = "pages of 64KiB: memory blocks of 512MiB are sections of such a kernel"
        evidence.account.assumed.append(Assumed(what, "--page-size SIZE"))
    if evidence.faults:
        return None
    if page_size is None:
        page_size = PAGE_SIZES[0]
        if architecture is None or len(ARCHITECTURES[architecture].page_sizes) > 1:
            evidence.account.assumed.append(Assumed("pages of 4KiB", "--page-size SIZE"))
    if architecture is None and page_size == PAGE_SIZES[0]:
        evidence.account.assumed.append(Assumed("architecture x86-64", "--architecture arm64 or s390x"))
    elif page_size not in architecture_of(architecture, page_size).page_sizes:
        evidence.faults.add(f"{architecture or X86_64.name} has no pages of {format_size(page_size)}")
        return None
    return KernelFacts(series, architecture, page_size)


def _series(evidence: Evidence, wishes: Wishes) -> str:
    """Return the kernel series; one that is older than what is modelled is replaced, and that is said."""
    said = evidence.one("kernel", "kernel", prefer=())
    release = wishes.kernel
    if release is None and said is not None:
        release = said.value or None
    match = _SERIES.match(release or "")
    if match is None:
        if release is not None:
            evidence.faults.add(f"kernel {shown(release)} has no series such as 6.12 in it; say it with --kernel")
        what = f"kernel {DEFAULT_SERIES}"
        evidence.account.assumed.append(Assumed(what, "--kernel SERIES, or a file with uname -r"))
        return DEFAULT_SERIES
    series = (int(match[1]), int(match[2]))
    if said is not None and not wishes.kernel:
        evidence.take(f"kernel {said.value}", said)
    if series < FIRST_SERIES:
        oldest = ".".join(map(str, FIRST_SERIES))
        what = f"kernel {oldest}, the oldest that is modelled, instead of {match[1]}.{match[2]}"
        evidence.account.assumed.append(Assumed(what, "--kernel SERIES"))
        return oldest
    return f"{match[1]}.{match[2]}"


def _page_size(evidence: Evidence, wishes: Wishes) -> int | None:
    said = evidence.one("page_size", "page size", format_size)
    if wishes.page_size is not None:
        return wishes.page_size
    if said is None:
        named = evidence.first("kernel")
        match = None if named is None else _BY_NAME.search(named.value)
        if named is None or match is None:
            return None
        size = int(match[1]) * KIB
        evidence.take(f"pages of {format_size(size)}, by the kernel's name", named)
        return size
    size = int(said.value)
    if size not in PAGE_SIZES:
        evidence.faults.add(f"{said.source}: pages of {format_size(size)} are not modelled")
    evidence.take(f"pages of {format_size(size)}", said)
    return size


def _architecture(evidence: Evidence, wishes: Wishes, blocks: BlockMap | None, page_size: int | None) -> str | None:
    said = evidence.one("architecture", "architecture")
    if wishes.architecture is not None:
        return wishes.architecture
    if said is not None:
        name = _AS_UNAME_SAYS.get(said.value)
        if name is not None:
            evidence.take(f"architecture {name}", said)
            return name
        known = ", ".join(ARCHITECTURES)
        evidence.faults.add(
            f"{said.source}: architecture {shown(said.value)} is not modelled; {known} are (--architecture)"
        )
        return None
    if blocks is not None and blocks.block_size < _SMALLEST_BLOCK:
        evidence.faults.add(
            f"memory blocks of {format_size(blocks.block_size)}: kernels of the architectures that are modelled have"
            f" {format_size(_SMALLEST_BLOCK)} and more (ppc64 has less, and is not). If it is one nevertheless, say"
            " which with --architecture"
        )
        return None
    if any(
        each.meminfo.get("HighTotal") or any(zone.zone == _OF_32_BITS and zone.present for zone in each.zones)
        for each in evidence.facts
    ):
        evidence.faults.add(
            f"there is memory in zone {_OF_32_BITS}, so the kernel has 32 bits, which is not modelled. To take it as"
            " another nevertheless, say which with --architecture"
        )
        return None
    found, why = _by_blocks(blocks) if blocks is not None else _by_zones(evidence)
    if found is None and page_size not in (None, *X86_64.page_sizes):
        found, why = ARM64.name, "the only one here with such pages"
    if found is not None:
        evidence.account.assumed.append(Assumed(f"architecture {found}: {why}", "--architecture NAME"))
    return found


def _by_blocks(blocks: BlockMap) -> tuple[str | None, str]:
    """Return the architecture that shows in zones and addresses of blocks, and how it shows."""
    first = min(blocks.blocks, default=0) * blocks.block_size
    if first >= GIB:
        return ARM64.name, f"memory begins at {format_size(first)}"
    zones = {block.zone for block in blocks.blocks.values()}
    if ZONE_DMA in zones and ZONE_DMA32 not in zones and first == 0:
        return S390X.name, "whole blocks are in zone DMA, which ends at 16MiB on x86-64"
    if ZONE_DMA32 in zones:
        return X86_64.name, "blocks from 0 on are in zone DMA32"
    return None, ""


def _by_zones(evidence: Evidence) -> tuple[str | None, str]:
    """Return the architecture that shows in the bounds of zones, and how it shows."""
    said = evidence.zones()
    zones = [] if said is None else [zone for zone in said.value if zone.present and zone.start is not None]
    if not zones:
        return None, ""
    first = min(zones, key=lambda zone: zone.start)
    start = first.start * PAGE_SIZES[0]
    if start >= GIB:
        return ARM64.name, f"memory begins at {format_size(start)}"
    if first.zone == "DMA" and (first.start + (first.spanned or 0)) * PAGE_SIZES[0] > X86_64.dma_end:
        with_dma32 = any(zone.zone == "DMA32" for zone in said.value) if said is not None else False
        return (ARM64 if with_dma32 else S390X).name, "zone DMA ends above 16MiB, where it ends on x86-64"
    return None, ""


def read_command_line(facts: KernelFacts, boot_memory: int | None, evidence: Evidence) -> None:
    """Read the command line into ``facts``, and what sysfs says of the kernel's parameters beside it."""
    said = evidence.one("cmdline", "kernel command line", prefer=_GUESTS_OWN)
    if said is not None and len(said.value) <= cmdline.LONGEST:
        facts.line = said.value
        facts.read = cmdline.read(
            said.value,
            boot_memory=boot_memory,
            architecture=facts.built_for,
            page_size=facts.page_size,
            series=parse_series(facts.series),
        )
        words = list(dict.fromkeys(facts.read.words.values()))
        evidence.take(f"command line: {' '.join(words) or 'no word that matters here'}", said)
        for remark in facts.read.remarks:
            evidence.account.left.append(Left(source(said.facts.file, remark.word), remark.what))
    _read_sysfs(facts, evidence)


def shipped_with(evidence: Evidence) -> str | None:
    """Return by whom the kernel is shipped, as the policy ``as-shipped`` names them; None where it does not show."""
    said = evidence.first("kernel")
    if said is None:
        return None
    return next((by for release, by in SHIPPED_WITH if release.search(said.value)), None)


def crash_kernel(facts: KernelFacts, boot_memory: int, evidence: Evidence) -> int:
    """Return the bytes that a command line keeps for a kernel after a crash, of about so much boot memory."""
    said = next((said for said in evidence.all("cmdline") if len(said.value) <= cmdline.LONGEST), None)
    if said is None:
        return 0
    series = parse_series(facts.series)
    read = cmdline.read(
        said.value, boot_memory=boot_memory, architecture=facts.built_for, page_size=facts.page_size, series=series
    )
    return int(read.machine.get("crashkernel") or 0)


def _read_sysfs(facts: KernelFacts, evidence: Evidence) -> None:
    """Take what sysfs says now, which goes before what the kernel was started with."""
    said = evidence.one("auto_online_blocks", "auto_online_blocks", prefer=(SYSFS,))
    if said is not None:
        _take_parameter(facts, "default_state", said.value, said, evidence)
    parameters = evidence.first("parameters")
    if parameters is None:
        return
    values: dict[str, str] = parameters.value
    for name in _PARAMETERS:
        if name in values:
            value = _parameter(name, values[name])
            if value is None:
                where = source(parameters.facts.file, name)
                evidence.account.left.append(Left(where, f"{values[name]!r} is no value of this parameter"))
            else:
                _take_parameter(facts, name, value, parameters, evidence)
    memmap = {"Y": True, "1": True, "force": "force"}.get(values.get("memmap_on_memory", ""))
    if memmap is not None and "memmap_on_memory" not in facts.read.machine:
        facts.machine["memmap_on_memory"] = memmap
        evidence.take("memmap_on_memory", parameters)


def _parameter(name: str, text: str) -> str | int | bool | None:
    if name == "auto_movable_ratio":
        return int(text) if text.isdecimal() and len(text) < len(str(1 << 63)) else None
    if name == "auto_movable_numa_aware":
        return {"Y": True, "1": True, "N": False, "0": False}.get(text)
    return text if text in cmdline.ONLINE_POLICIES else None


def _take_parameter(facts: KernelFacts, name: str, value: Any, said: Said, evidence: Evidence) -> None:  # noqa: ANN401
    """Take a parameter of the policy ``kernel`` from sysfs; that the command line says something else is told."""
    facts.policy[name] = value
    evidence.take(f"{name} {value}", said)
    by_line = facts.read.policy.get(name, value)
    if by_line != value:
        evidence.account.conflicts.append(
            f"{name}: {value} ({said.source}); {by_line} (command line). The first, which is newer, is taken"
        )
