"""What is kept of a folder or archive: the files that say something of memory, by path, and names that do.

A copy of ``/sys`` and ``/proc``, or of parts of them, below any folders; files beside them are kept as texts, for
readers to recognise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, shown
from sim.readers.facts import Remark
from sim.readers.pasted import Piece, clean, refusal
from sim.units import KIB, MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGEST_TEXT: Final = 16 * MIB
_LARGEST_ATTRIBUTE: Final = 64 * KIB
_LARGEST_OTHER: Final = 4 * MIB
_MOST_OTHERS: Final = 200
_MOST_KEPT: Final = 32 * MIB
_MOST_MEMBERS: Final = 500_000
_DEEPEST: Final = 32
_LONGEST: Final = 1024
_LISTED: Final = 3
_MOST_NOTED: Final = 1000

MEMORY_BLOCK: Final = re.compile(r"memory(\d{1,18})", re.ASCII)
NODE: Final = re.compile(r"node(\d{1,9})", re.ASCII)
_BLOCK_FILES: Final = frozenset(("state", "valid_zones", "removable", "phys_device", "phys_index", "online"))
_MEMORY_FILES: Final = frozenset(("block_size_bytes", "auto_online_blocks"))
_NODE_FILES: Final = frozenset(("meminfo", "cpulist", "cpumap"))
_PARAMETERS: Final = ("memory_hotplug", "parameters")
_OF_SOS: Final = frozenset(("kernel", "libvirt", "memory", "virsh"))
_OTHERS_OF_SYSFS: Final = re.compile(
    r"uevent|probe|(?:soft|hard)_offline_page|crash_hotplug|online|possible|has_[a-z_]+|control|async"
    r"|autosuspend_delay_ms|(?:runtime|wakeup)_?[a-z_]*"
)
_SYSFS: Final = re.compile(r"(?:^|/)sys/(?:block|bus|class|dev|devices|firmware|fs|hypervisor|kernel|module|power)/")


def is_attribute(parts: list[str]) -> bool:
    """Return whether the file at this path is one that sysfs has of memory blocks, nodes or ``memory_hotplug``."""
    name = parts[-1]
    if name in _MEMORY_FILES:
        return True
    if len(parts) < 2:  # noqa: PLR2004 - a file's name and its folder's
        return False
    folder = parts[-2]
    if name in _BLOCK_FILES:
        return MEMORY_BLOCK.fullmatch(folder) is not None
    if name in _NODE_FILES:
        return NODE.fullmatch(folder) is not None
    return tuple(parts[-3:-1]) == _PARAMETERS


def _in_proc(path: str) -> bool:
    return "proc" in path.split("/")


def listed(paths: Sequence[str]) -> str:
    """Return the first few of ``paths`` as a remark shows them, and how many more there are."""
    more = f" and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
    return ", ".join(shown(path, quote="") for path in paths[:_LISTED]) + more


@dataclass(frozen=True, slots=True)
class Dump:
    """What is in ``file``, a folder or archive.

    ``attributes`` are sysfs' files by path, without blanks around; ``names`` the paths of folders and links such as
    ``memory/memory32/node0``, which say something by being there; ``others`` the texts of other files; ``remarks`` what
    was not read.
    """

    file: str
    attributes: Mapping[str, str]
    names: tuple[str, ...]
    others: tuple[Piece, ...]
    remarks: tuple[Remark, ...]


class Collector:
    """Keeps what is of interest in ``file``, within bounds; whoever walks it asks first, and hands over contents."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._attributes: dict[str, str] = {}
        self._names: dict[str, None] = {}
        self._others: list[Piece] = []
        self._left: dict[str, list[str]] = {}
        self.remarks: list[Remark] = []
        self._members = 0
        self._kept = 0

    def count(self, path: str) -> None:
        """Count one more member; InputError if there are too many."""
        self._members += 1
        if self._members > _MOST_MEMBERS:
            what = f"has over {_MOST_MEMBERS:,} members; give sys/devices/system/memory and sys/devices/system/node"
            raise refusal(self._file, Fault("", what))
        if len(path) > _LONGEST:
            self._note("a longer name than is read", path)

    def inside(self, path: str) -> str | None:
        """Return a member's path without its detours; None, and a remark, if it leads outside or too deep."""
        parts = [part for part in path.split("/", _DEEPEST + 1) if part not in ("", ".")]
        if ".." in parts:
            self._note("a path that leads outside", path)
            return None
        if not parts or len(parts) > _DEEPEST or len(path) > _LONGEST:
            return None
        return "/".join(parts)

    def is_inside(self, path: str) -> bool:
        """Return whether the folder at ``path`` is looked into: not one that lies too deep."""
        return path.count("/") < _DEEPEST

    def name(self, path: str) -> None:
        """Keep the name of a folder or link if it says something: a block's node, a node's block."""
        parts = path.rsplit("/", 2)[-2:]
        if len(parts) < 2:  # noqa: PLR2004 - a name and its folder's
            return
        one, other = (MEMORY_BLOCK, NODE) if parts[1].startswith("node") else (NODE, MEMORY_BLOCK)
        if one.fullmatch(parts[0]) and other.fullmatch(parts[1]):
            self._names[path] = None

    def link(self, path: str, to: str | None) -> None:
        """Keep, for a hard link, what was kept for the earlier member ``to``."""
        if to is not None and to in self._attributes and is_attribute(path.split("/")):
            self._attributes[path] = self._attributes[to]

    def wants(self, path: str) -> bool:
        """Return whether the content of the file at ``path`` is of interest."""
        parts = path.split("/")
        if is_attribute(parts):
            return True
        if _SYSFS.search(path) or _OTHERS_OF_SYSFS.fullmatch(parts[-1]):
            return False  # other attributes, of which there are many
        if any(MEMORY_BLOCK.fullmatch(part) or NODE.fullmatch(part) for part in parts[:-1]):
            return False
        if "sos_commands" in parts[:-1] and not _OF_SOS.intersection(parts):
            return False  # what a sos report has of other things
        if len(self._others) < _MOST_OTHERS:
            return True
        self._note(f"more than {_MOST_OTHERS} other files", path)
        return False

    def largest(self, path: str) -> int:
        """Return how many bytes the file at ``path`` may have."""
        if is_attribute(path.split("/")):
            return _LARGEST_ATTRIBUTE
        return LARGEST_TEXT if _in_proc(path) else _LARGEST_OTHER

    def take(self, path: str, data: bytes) -> None:
        """Keep the content of the file at ``path``."""
        if len(data) > self.largest(path):
            self.leave(path)
            return
        self._kept += len(data)
        attribute = is_attribute(path.split("/"))
        if self._kept > _MOST_KEPT and attribute:
            what = f"has over {format_size(_MOST_KEPT)} of files to read; give sys/devices/system/memory and .../node"
            raise refusal(self._file, Fault("", what))
        if attribute:
            self._attributes[path] = clean(data).strip()
        elif not data.strip(b" \t\r\n\0"):
            self._note(
                "empty, as tar packs files of /proc; copy it with cat first" if _in_proc(path) else "empty", path
            )
        elif self._kept > _MOST_KEPT:
            self._note(f"more than {format_size(_MOST_KEPT)} in all", path)
        else:
            self._others.append(Piece(f"{self._file}:{path}", clean(data)))

    def leave(self, path: str) -> None:
        """Note that what is at ``path`` could not be read, or is no file."""
        self._note("not a file, too large, or not readable", path)

    def _note(self, why: str, path: str) -> None:
        paths = self._left.setdefault(why, [])
        if len(paths) < _MOST_NOTED:
            paths.append(path[:_LONGEST])

    def dump(self) -> Dump:
        """Return all that was kept."""
        remarks = self.remarks
        for why, paths in self._left.items():
            remarks.append(Remark(listed(paths), f"not read: {why}"))
        return Dump(self._file, self._attributes, tuple(self._names), tuple(self._others), tuple(remarks))
