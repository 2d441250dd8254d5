"""Reading files of any kind that is known: each is recognised by its content, not by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.faults import Fault, InputError
from sim.snapshot.facts import Remark
from sim.snapshot.opening import open_input
from sim.snapshot.pasted import Piece, pieces, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from sim.snapshot.dumps import Dump
    from sim.snapshot.facts import Facts


class Reader(NamedTuple):
    """One kind of text: its ``name`` for people, whether a text is (or holds) one, and what it says.

    ``recognises`` is quick and never fails; ``read`` raises InputError with all faults of a text that is recognised and
    cannot be right.
    """

    name: str
    recognises: Callable[[str], bool]
    read: Callable[[Piece], Facts]


READERS: Final[tuple[Reader, ...]] = ()


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
    if len(errors) == 1:
        raise errors[0]
    if errors:
        faults = [
            Fault(f"{error.source}: {fault.key}".removesuffix(": "), fault.what)
            for error in errors
            for fault in error.faults
        ]
        raise InputError(f"{len(errors)} files", faults)
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
                    found.append(reader.read(piece))
                except InputError as error:
                    faults += error.faults
    if faults:
        raise refusal(whole.file, *faults)
    return found


def _read_dump(dump: Dump, readers: Sequence[Reader]) -> list[Facts]:
    """Return what a folder or archive says; files in it that are not recognised, or have faults, become remarks."""
    found: list[Facts] = []
    remarks = list(dump.remarks)
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
            remarks.append(Remark(other.file, "not recognised"))
    if not found and errors:
        raise errors[0]
    if found:
        found[0].remarks += remarks
    return found
