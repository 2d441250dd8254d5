"""Files of sysfs as one text: what ``grep -r . /sys/devices/system/memory`` prints, a path and a value in each line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, InputError
from sim.readers.dumps import Dump, is_attribute
from sim.readers.sysfs_copy import read_sysfs

if TYPE_CHECKING:
    from sim.readers.facts import Facts

_LINE: Final = re.compile(
    r"^[ \t]*(\.{0,2}/?(?:[\w.+-]{1,60}/){0,20}(?:memory[0-9]{1,18}/(?:state|valid_zones|removable|phys_device|online)"
    r"|block_size_bytes|auto_online_blocks|node[0-9]{1,9}/cpulist|memory_hotplug/parameters/\w{1,60})):[ \t]*(.*)$",
    re.MULTILINE,
)


def reads_as_sysfs_listing(text: str) -> bool:
    """Whether ``text`` has a line such as ``/sys/devices/system/memory/memory32/state:online``."""
    return _LINE.search(text) is not None


def read_sysfs_listing(text: str, file: str) -> Facts:
    """Return what the lines say, as of a copy of the files. InputError with all faults, by path."""
    attributes: dict[str, str] = {}
    for match in _LINE.finditer(text):
        path = match[1].lstrip("./")
        if is_attribute(path.split("/")):
            attributes.setdefault(path, match[2].strip())
    found = read_sysfs(Dump(file, attributes, (), (), ()))
    if len(found) != 1:
        raise InputError(file, [Fault("", "holds files of sysfs of more than one machine; give one")])
    found[0].file = file
    return found[0]
