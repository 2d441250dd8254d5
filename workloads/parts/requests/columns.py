"""The columns of a log of host requests: what its writer writes, its reader reads and its page describes.

The same for both forms: a CSV file names them in its first line, a JSONL file at each value.
"""

from __future__ import annotations

from typing import Final, NamedTuple

DEVICE_KINDS: Final = ("dimm", "virtio-mem", "dax")

_PLUG: Final = ("plug", "attached")


class Column(NamedTuple):
    """A column: its unit, what it means, the operations that have a use for it, and of a plug the kinds of device."""

    name: str
    unit: str
    meaning: str
    ops: tuple[str, ...] = ()
    kinds: tuple[str, ...] = DEVICE_KINDS


OPS: Final = {
    "plug": "a DIMM or dax device is plugged, a virtio-mem device attached",
    "unplug": "a DIMM or dax device is asked back",
    "keep": "a DIMM or dax device that was asked back, and is still there, is wanted again",
    "resize": "a virtio-mem device gets a new requested size",
    "demand": "a load in the guest uses so much from now on; where the guest is modelled",
    "drop-caches": "the guest drops clean page cache, reclaimable slab, or both",
    "state": "a word is written to a dax device's `state`; from Linux 7.3 on",
    "online": "a word is written to each block of a dax device that is offline, as by `daxctl online-memory`",
    "unbind": "a dax device is unbound from kmem, whatever its blocks are",
    "bind": "a dax device is bound to kmem again",
    "attached": "no request: the machine has this device when the run starts",
    "stop": "no request: who asks has nothing more to ask, and the run ends",
    "end": "no request: the run ends here at the latest, before anything else of this moment",
}
"""What a row says happens, by its word."""

COLUMNS: Final = (
    Column("t_s", "s", "seconds since the guest booted, or since any other moment: the replay's time 0", tuple(OPS)),
    Column("op", "-", "what happens", tuple(OPS)),
    Column("device", "-", "the device's id, or the load's name", (
        *_PLUG, "unplug", "keep", "resize", "demand", "state", "online", "unbind", "bind",
    )),
    Column("kind", "-", f"of device: {', '.join(DEVICE_KINDS)}; or of load: see \"Loads\"", (
        *_PLUG, "demand",
    )),
    Column("size_bytes", "B", "the size of a DIMM or dax device, or those of its ranges with `+` between them; the "
           "requested size of a virtio-mem device; what a load uses from now on (pieces for files, processes, pipes "
           "and sockets)", (*_PLUG, "resize", "demand")),
    Column("wanted_bytes", "B", "what a load would use if it could, in the unit of `size_bytes` (empty: as much)",
           ("demand",)),
    Column("node", "-", "NUMA node of the device or load (empty: 0)", (*_PLUG, "demand")),
    Column("block_bytes", "B", "block size of the device (empty: 2 MiB)", _PLUG, ("virtio-mem",)),
    Column("max_bytes", "B", "size of the device's region", _PLUG, ("virtio-mem",)),
    Column("address", "-", "the device's first byte, such as `0x108000000` or `5GiB`; of a dax device also in "
           "`soft_reserved` memory (empty: where there is room)", _PLUG),
    Column("slot", "-", "number of the slot (empty: the first that is free)", _PLUG, ("dimm",)),
    Column("gap_bytes", "B", "bytes between two ranges (empty: 0)", _PLUG, ("dimm", "dax")),
    Column("unplug_online", "-", "`no`: the guest's driver gives back no memory that is online (empty: yes)", _PLUG,
           ("virtio-mem",)),
    Column("force_bbm", "-", "`yes`: the guest's driver works in big blocks (empty: no)", _PLUG, ("virtio-mem",)),
    Column("bbm_block_bytes", "B", "how big they are at least (empty: as small as possible)", _PLUG, ("virtio-mem",)),
    Column("bytes_for_pages", "-", "`yes`: the group is registered with its size in bytes for pages, as by kernels "
           "before commit 46e66dab8565 of 2023 (empty: no)", _PLUG, ("dax",)),
    Column("self_host", "-", "`yes`: the device shall hold its own memmap (empty: no)", _PLUG, ("dax",)),
    Column("count", "1", "how many DIMMs, called by `device` and a number from 0 on (empty: one, called by `device`)",
           ("plug",), ("dimm",)),
    Column("interval_s", "s", "with `count`: seconds from one to the next (empty: 0)", ("plug",), ("dimm",)),
    Column("state", "-", "what is written: `unplugged`, `online`, `online_kernel` or `online_movable` to the device's "
           "`state`, the last three to that of blocks; 1 (page cache), 2 (slab) or 3 (both) to `drop_caches`",
           ("state", "online", "drop-caches")),
    Column("turn", "1", "of several rows of one moment: how often the guest has done by then what it does at that "
           "moment (empty: 0). Rows of one turn are asked in one go", (
               "plug", "unplug", "keep", "resize", "demand", "drop-caches", "state", "online", "unbind", "bind",
               "stop",
           )),
    Column("refused", "-", "`yes`: host or guest say no. Such a row is asked as it stands, whatever it asks for", (
        "plug", "unplug", "keep", "resize", "demand", "drop-caches", "state", "online", "unbind", "bind",
    )),
    Column("note", "-", "anything; not read", tuple(OPS)),
)  # fmt: skip
"""All columns, in the order in which they are written."""

NAMES: Final = tuple(column.name for column in COLUMNS)

REQUIRED: Final = NAMES[:3]
"""Columns that a CSV file must have."""

USED: Final = {op: frozenset(column.name for column in COLUMNS if op in column.ops) for op in OPS}
"""By operation: the columns that it has a use for."""

OF_KIND: Final = {kind: frozenset(column.name for column in COLUMNS if kind in column.kinds) for kind in DEVICE_KINDS}
"""By kind of device: the columns that a plug of it has a use for."""
