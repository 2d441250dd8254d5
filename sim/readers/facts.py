"""What one file says of a machine, before anything is concluded from it.

A reader takes only what stands there; what files say together is for others. Sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

CMDLINE: Final = "cmdline"
BOOT_LOG: Final = "boot log"
SYSFS: Final = "sysfs"
LIBVIRT: Final = "libvirt"
QEMU: Final = "qemu"
QEMU_COMMAND: Final = "qemu command line"
"""Kinds of files, as :attr:`Facts.kind` has them: those that others go by."""

HOST_KINDS: Final = frozenset({LIBVIRT, QEMU, QEMU_COMMAND})
"""Kinds of files that come from the host; all others come from the guest, or from a machine without a host."""


class Remark(NamedTuple):
    """Something that stands in a file and is not taken: ``where`` in it (``line 3``, ``/domain/memory``), and why."""

    where: str
    what: str


class BlockView(NamedTuple):
    """One memory block as sysfs shows it; None where a source does not say.

    ``state`` is ``online``, ``offline`` or ``going-offline``. ``zones`` is what ``valid_zones`` reads, words separated
    by ``/`` as ``lsmem`` prints them: an online block's zone or ``None`` (several zones), an offline block's choices.
    """

    block: int
    state: str
    zones: str | None = None
    node: int | None = None
    removable: bool | None = None
    phys_device: int | None = None


class ZoneView(NamedTuple):
    """A zone as ``/proc/zoneinfo`` shows it, in pages; None where a source does not say."""

    node: int
    zone: str
    free: int | None = None
    min: int | None = None
    low: int | None = None
    high: int | None = None
    spanned: int | None = None
    present: int | None = None
    managed: int | None = None
    start: int | None = None
    cma: int | None = None


class MemoryRange(NamedTuple):
    """Bytes [start, end) of memory of a node, as firmware told a kernel."""

    node: int
    start: int
    end: int


class ZoneRange(NamedTuple):
    """Bytes [start, end) that a kernel has for a zone, whatever memory lies there."""

    zone: str
    start: int
    end: int


class NodeFacts(NamedTuple):
    """A NUMA node: whether it has ``cpus``; ``boot_memory`` as the host gave it, ``mem_total`` as the guest has it.

    ``listed`` is what firmware told a kernel of it, by a boot log: a little less than the host gave.
    """

    node: int
    cpus: bool | None = None
    boot_memory: int | None = None
    mem_total: int | None = None
    listed: int | None = None


class DeviceFacts(NamedTuple):
    """A memory device as its host describes it. ``kind``: ``dimm``, ``nvdimm``, ``virtio-mem`` or another word.

    ``size`` is a DIMM's size or a virtio-mem device's region (``max-size``, ``memaddr`` onwards); ``plugged`` what of
    the region the guest has; ``where`` the place in the file.
    """

    id: str
    kind: str
    size: int | None = None
    node: int | None = None
    address: int | None = None
    block_size: int | None = None
    requested: int | None = None
    plugged: int | None = None
    slot: int | None = None
    where: str = ""


@dataclass(slots=True)
class Facts:
    """What ``file`` (its name as given), recognised as ``kind`` (``lsmem``, ``zoneinfo``, ``libvirt`` ...), says.

    ``places`` names the place of each field that is set, for the account of what was taken from where: by the field's
    name, ``line 3``, ``/domain/maxMemory`` or the name of a file within a folder or archive.

    ``meminfo`` holds ``/proc/meminfo`` by its names, in bytes; ``free`` what ``free`` prints, by its columns
    (``total``, ``used``, ``free``, ``shared``, ``buff/cache``, ``available``), in bytes. ``memory_available`` and
    ``memory_known`` are the two figures of the boot log's "Memory:" line, ``reserved`` what of the second is not to be
    had then, and ``freed`` what of that the kernel gives back before it starts ``init``. ``auto_online_blocks`` and
    ``parameters`` (of ``memory_hotplug``, by name) are as sysfs has them. ``boot_memory`` and ``max_memory`` are the
    host's words, ``machine_type`` QEMU's name of the machine (``pc-q35-9.2``).
    """

    file: str
    kind: str
    places: dict[str, str] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    block_size: int | None = None
    page_size: int | None = None
    blocks: tuple[BlockView, ...] = ()
    zones: tuple[ZoneView, ...] = ()
    nodes: tuple[NodeFacts, ...] = ()
    ranges: tuple[MemoryRange, ...] = ()
    zone_ranges: tuple[ZoneRange, ...] = ()
    devices: tuple[DeviceFacts, ...] = ()
    online_total: int | None = None
    offline_total: int | None = None
    meminfo: dict[str, int] = field(default_factory=dict)
    free: dict[str, int] = field(default_factory=dict)
    memory_available: int | None = None
    memory_known: int | None = None
    reserved: int | None = None
    freed: int | None = None
    cma_reserved: int | None = None
    cmdline: str | None = None
    kernel: str | None = None
    architecture: str | None = None
    bare_metal: bool | None = None
    auto_online_blocks: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    boot_memory: int | None = None
    max_memory: int | None = None
    slots: int | None = None
    machine_type: str | None = None
