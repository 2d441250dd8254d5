"""Reading files of any kind that is known: each is recognised by its content, not by its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.faults import Fault, InputError, raise_all
from sim.readers.boot_log import read_boot_log, reads_as_boot_log
from sim.readers.dumps import listed
from sim.readers.facts import Remark
from sim.readers.free_text import read_free, reads_as_free
from sim.readers.kernel_words import (
    read_cmdline,
    read_getconf,
    read_uname,
    reads_as_cmdline,
    reads_as_getconf,
    reads_as_uname,
)
from sim.readers.libvirt_xml import read_libvirt, reads_as_libvirt
from sim.readers.lsmem_json_text import read_lsmem_json, reads_as_lsmem_json
from sim.readers.lsmem_text import read_lsmem, reads_as_lsmem
from sim.readers.mem_info import read_mem_info, reads_as_mem_info
from sim.readers.meminfo import read_meminfo, reads_as_meminfo
from sim.readers.opening import open_input
from sim.readers.pasted import Piece, pieces, refusal
from sim.readers.qemu_command import read_qemu_command, reads_as_qemu_command
from sim.readers.qemu_devices import read_memory_devices, reads_as_memory_devices
from sim.readers.sysfs_copy import read_sysfs
from sim.readers.sysfs_listing import read_sysfs_listing, reads_as_sysfs_listing
from sim.readers.zoneinfo import read_zoneinfo, reads_as_zoneinfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from sim.readers.dumps import Dump
    from sim.readers.facts import Facts


class Reader(NamedTuple):
    """One kind of text: its ``name`` for people, whether a text is (or holds) one, and what it says.

    ``recognises`` is quick and never fails. ``read`` gets the text and the file's name; it raises InputError with all
    faults of a text that is recognised and cannot be right. Places are ``line 1`` for the text's first line and so on.
    """

    name: str
    recognises: Callable[[str], bool]
    read: Callable[[str, str], Facts]


READERS: Final = (
    Reader("lsmem", reads_as_lsmem, read_lsmem),
    Reader("lsmem --json", reads_as_lsmem_json, read_lsmem_json),
    Reader("grep -r . /sys/devices/system/memory", reads_as_sysfs_listing, read_sysfs_listing),
    Reader("/proc/zoneinfo", reads_as_zoneinfo, read_zoneinfo),
    Reader("/proc/meminfo", reads_as_meminfo, read_meminfo),
    Reader("free", reads_as_free, read_free),
    Reader("/proc/cmdline", reads_as_cmdline, read_cmdline),
    Reader("uname", reads_as_uname, read_uname),
    Reader("getconf PAGESIZE", reads_as_getconf, read_getconf),
    Reader("a boot log", reads_as_boot_log, read_boot_log),
    Reader("an out-of-memory report", reads_as_mem_info, read_mem_info),
    Reader("libvirt's domain XML", reads_as_libvirt, read_libvirt),
    Reader("QEMU's info memory-devices or query-memory-devices", reads_as_memory_devices, read_memory_devices),
    Reader("QEMU's command line", reads_as_qemu_command, read_qemu_command),
)
_MOST_FAULTS: Final = 20
_LINE: Final = re.compile(r"\bline ([0-9]{1,9})\b")


def read_facts(paths: Iterable[str | Path], readers: Sequence[Reader] = READERS) -> list[Facts]:
    """Return what the files, folders and archives at ``paths`` say; ``-`` is standard input. At least one for each.

    Several outputs pasted into one file, and several files in a folder or archive, are read one by one. Raises
    InputError with the faults of all of them.
    """
    found: list[Facts] = []
    errors: list[InputError] = []
    for path in paths:
        try:
            found += _read(path, readers)
        except InputError as error:
            errors.append(error)
    raise_all(errors, f"{len(errors)} files")
    return found


def _read(path: str | Path, readers: Sequence[Reader]) -> list[Facts]:
    opened = open_input(path)
    found = _read_text(opened, readers) if isinstance(opened, Piece) else _read_dump(opened, readers)
    if not found:
        names = ", ".join(reader.name for reader in readers)
        what = f"is not recognised; what is read: {names}, a copy of /sys/devices/system/memory (folder or tar)"
        raise refusal(str(path), Fault("", what))
    return found


def _read_text(whole: Piece, readers: Sequence[Reader]) -> list[Facts]:
    """Return what each part of a text says to each reader that knows it; InputError with the faults of all."""
    found: list[Facts] = []
    faults: list[Fault] = []
    for piece in pieces(whole):
        for reader in readers:
            if reader.recognises(piece.text):
                try:
                    found.append(_moved(reader.read(piece.text, whole.file), piece.line - 1))
                except InputError as error:
                    faults += (Fault(_later(fault.key, piece.line - 1), fault.what) for fault in error.faults)
    if len(faults) > _MOST_FAULTS:
        faults[_MOST_FAULTS:] = [Fault("", f"and {len(faults) - _MOST_FAULTS} more")]
    if faults:
        raise refusal(whole.file, *faults)
    return found


def _later(place: str, lines: int) -> str:
    """Return a place in a part of a file as a place in the file, ``lines`` further down."""
    return _LINE.sub(lambda match: f"line {int(match[1]) + lines}", place) if lines else place


def _moved(facts: Facts, lines: int) -> Facts:
    facts.places = {field: _later(place, lines) for field, place in facts.places.items()}
    facts.remarks = [Remark(_later(remark.where, lines), remark.what) for remark in facts.remarks]
    facts.devices = tuple(device._replace(where=_later(device.where, lines)) for device in facts.devices)
    return facts


def _read_dump(dump: Dump, readers: Sequence[Reader]) -> list[Facts]:
    """Return what a folder or archive says; files in it that are not recognised, or have faults, become remarks."""
    found = read_sysfs(dump)
    remarks = list(dump.remarks)
    unknown: list[str] = []
    errors: list[InputError] = []
    for other in dump.others:
        try:
            facts = _read_text(other, readers)
        except InputError as error:
            errors.append(error)
            remarks.append(Remark(other.file, f"not read: {error.faults[0]}"))
            continue
        found += facts
        if not facts:
            unknown.append(other.file.removeprefix(f"{dump.file}:"))
    if unknown:
        remarks.append(Remark(listed(unknown), "not recognised"))
    if not found and errors:
        raise errors[0]
    if found:
        found[0].remarks += remarks
    return found
