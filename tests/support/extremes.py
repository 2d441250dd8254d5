"""Files of machines that hang together and are out of all proportion: by number, the same every time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBERS = (0, 1, 2, 5, 31, 32, 1023, 1 << 20, 1 << 31, (1 << 40) - 1, 10**9 - 1, 10**14)
_NODES = (0, 0, 0, 1, 7, 1023, 1024, 10**9 - 1)


def _number(draw: random.Random) -> int:
    return draw.choice((*_NUMBERS, draw.randrange(1 << 20)))


def _lsmem(draw: random.Random) -> str:
    size = 1 << draw.choice((12, 16, 20, 24, 27, 27, 27, 28, 30, 31, 33, 40, 45))
    rows = ["RANGE SIZE STATE REMOVABLE BLOCK NODE ZONES"]
    at = 0
    for _ in range(draw.randrange(1, 6)):
        at += draw.choice((0, 0, 1, 24, 1 << 16, 1 << 30, 1 << 36))
        blocks = draw.choice((1, 2, 16, 100, 1 << 12))
        state = draw.choice(("online yes", "online no", "offline ", "on->off "))
        zone = draw.choice(("None", "DMA", "DMA32", "Normal", "Movable", "Normal/Movable", "Device", "x"))
        place = f"0x{at * size:016x}-0x{(at + blocks) * size - 1:016x} {blocks * size}"
        rows.append(f"{place} {state} {at}-{at + blocks - 1} {draw.choice(_NODES)} {zone}")
        at += blocks
    return "\n".join(rows) + "\n"


def _zoneinfo(draw: random.Random) -> str:
    text = ""
    for _ in range(draw.randrange(1, 6)):
        spanned = _number(draw)
        present = draw.randrange(spanned + 1)
        text += (
            f"Node {draw.choice(_NODES)}, zone {draw.choice(('DMA', 'DMA32', 'Normal', 'Movable', 'Device', 'Foo'))}\n"
        )
        text += f"  pages free {_number(draw)}\n min {_number(draw)}\n spanned {spanned}\n present {present}\n"
        text += (
            f" managed {draw.randrange(present + 1)}\n cma {draw.randrange(present + 1)}\n start_pfn: {_number(draw)}\n"
        )
    return text


def _meminfo(draw: random.Random) -> str:
    total = _number(draw) + 1
    return (
        f"MemTotal: {total} kB\nMemFree: {draw.randrange(total + 1)} kB\nMemAvailable: {_number(draw)} kB\n"
        f"Node {draw.choice(_NODES)} MemTotal: {_number(draw)} kB\n"
    )


def _free(draw: random.Random) -> str:
    total = _number(draw) + 1
    used = draw.randrange(total + 1)
    heading = f"$ free -{draw.choice('bkmg')}\n total used free shared buff/cache available\n"
    return f"{heading}Mem: {total} {used} {total - used} 0 {_number(draw)} {_number(draw)}\n"


def _cmdline(draw: random.Random) -> str:
    words = ("mem={}M", "kernelcore={}%", "movablecore={}G", "cma={}M", "hugepages={}", "crashkernel={}M", "swiotlb={}")
    return "root=/dev/vda " + " ".join(word.format(_number(draw)) for word in draw.sample(words, 3)) + "\n"


def _log(draw: random.Random) -> str:
    known = _number(draw)
    return (
        f"Linux version {draw.randrange(2, 10)}.{draw.randrange(999)}.1 (x86_64-linux-gnu-gcc)\nMemory: "
        f"{draw.randrange(known + 1)}K/{known}K available (1K kernel code, {_number(draw)}K reserved)\n"
        f"  node {draw.choice(_NODES)}: [mem 0x0-0x{_number(draw):x}]\n"
    )


def _libvirt(draw: random.Random) -> str:
    cells = "".join(
        f"<cell id='{draw.choice((cell, cell, _number(draw)))}' memory='{_number(draw)}' unit='GiB'/>"
        for cell in range(draw.randrange(1, 4))
    )
    devices = "".join(
        f"<memory model='{draw.choice(('dimm', 'virtio-mem', 'nvdimm', 'virtio-pmem'))}'><target>"
        f"<size unit='MiB'>{_number(draw)}</size><node>{draw.choice(_NODES)}</node>"
        f"<block unit='KiB'>{1 << draw.randrange(40)}</block><requested unit='KiB'>{_number(draw)}</requested></target>"
        f"<address base='0x{_number(draw):x}'/></memory>"
        for _ in range(draw.randrange(4))
    )
    return (
        f"<domain type='kvm'><maxMemory slots='{_number(draw)}' unit='GiB'>{_number(draw)}</maxMemory>"
        f"<cpu><numa>{cells}</numa></cpu><devices>{devices}</devices></domain>"
    )


def _qemu(draw: random.Random) -> str:
    return "".join(
        f'Memory device [{draw.choice(("dimm", "virtio-mem", "nvdimm"))}]: "d{device}"\n  addr: 0x{_number(draw):x}\n'
        f"  memaddr: 0x{_number(draw):x}\n  slot: {_number(draw)}\n  node: {draw.choice(_NODES)}\n"
        f"  size: {_number(draw)}\n"
        f"  max-size: {_number(draw)}\n  block-size: {1 << draw.randrange(45)}\n  requested-size: {_number(draw)}\n"
        for device in range(draw.randrange(1, 4))
    )


_FILES: tuple[Callable[[random.Random], str], ...] = (
    _lsmem, _zoneinfo, _meminfo, _free, _cmdline, _log, _libvirt, _qemu,
)  # fmt: skip


def extreme(number: int) -> list[str]:
    """Return one to five files of this number, as texts, each of another kind."""
    draw = random.Random(number)  # noqa: S311 - not for secrets
    return [write(draw) for write in draw.sample(_FILES, draw.choice((1, 1, 2, 3, 5)))]
