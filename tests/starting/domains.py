"""Domains and traces as people have them, for tests of experiments that start from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Q35 = "<os><type arch='x86_64' machine='pc-q35-9.2'>hvm</type></os>"


def virtio_mem(size: int, *, node: int = 0, requested: int = 0) -> str:
    """Return a virtio-mem device of ``size`` GiB, as libvirt writes it."""
    return (
        f"<memory model='virtio-mem'><target><size unit='GiB'>{size}</size><node>{node}</node>"
        f"<block unit='MiB'>2</block><requested unit='GiB'>{requested}</requested></target></memory>"
    )


def dimm(size: int) -> str:
    """Return a DIMM of ``size`` GiB."""
    return f"<memory model='dimm'><target><size unit='GiB'>{size}</size><node>0</node></target></memory>"


def domain(memory: int, *devices: str, most: str = "", cells: tuple[int, ...] = (), cmdline: str = "") -> str:
    """Return a domain's XML; ``memory`` in GiB is what it boots with, and its devices on top."""
    numa = "".join(f"<cell id='{n}' cpus='{n}' memory='{size}' unit='GiB'/>" for n, size in enumerate(cells))
    os = Q35.replace("</os>", f"<cmdline>{cmdline}</cmdline></os>") if cmdline else Q35
    return (
        f"<domain type='kvm'>{most}<memory unit='GiB'>{memory}</memory>{os}"
        + (f"<cpu><numa>{numa}</numa></cpu>" if numa else "")
        + f"<devices>{''.join(devices)}</devices></domain>"
    )


DOMAINS = {
    "virtio-mem": domain(36, virtio_mem(32), most="<maxMemory slots='16' unit='GiB'>36</maxMemory>", cells=(4,)),
    "virtio-mem without maxMemory": domain(12, virtio_mem(8, requested=1)),
    "two virtio-mem on two nodes": domain(
        72, virtio_mem(32), virtio_mem(32, node=1), most="<maxMemory unit='GiB'>72</maxMemory>", cells=(4, 4)
    ),
    "DIMMs": domain(6, dimm(1), dimm(1), most="<maxMemory slots='16' unit='GiB'>64</maxMemory>", cells=(4,)),
    "slots": domain(2, most="<maxMemory slots='16' unit='GiB'>16</maxMemory>"),
    "a DIMM and virtio-mem": domain(22, dimm(2), virtio_mem(16), most="<maxMemory slots='4' unit='GiB'>64</maxMemory>"),
    "nothing": domain(8),
    "maxMemory without slots": domain(4, most="<maxMemory unit='GiB'>32</maxMemory>"),
}


def used_csv(folder: Path, *, peak_mib: int = 6000, seconds: int = 3600, step: int = 60) -> Path:
    """Write what a machine used that is busy once, and return the file."""
    path = folder / "demand.csv"
    levels = [int(1000 + (peak_mib - 1000) * math.sin(math.pi * at / seconds)) for at in range(0, seconds + 1, step)]
    rows = [f"{1764000000 + number * step},{level}" for number, level in enumerate(levels)]
    path.write_text("\n".join(["timestamp,used_mib", *rows]) + "\n")
    return path
