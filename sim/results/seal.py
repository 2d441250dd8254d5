"""The seal of a pack: it tells whether a file is as it was written, and whether it is the one that its name says.

It stands between the data and the footer of a Parquet file, where other programs do not look, and holds the checksums
of both, so that a file and what tells whether it is whole are never apart. The footer is checked whenever a pack is
opened, the data before any of it is read.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.results.layout import LAYOUT

if TYPE_CHECKING:
    from typing import BinaryIO

    import pyarrow as pa

_PARQUET: Final = b"PAR1"
_FOOTER_END: Final = struct.Struct("<I4s")
"""Length of the footer, and what a Parquet file ends with."""
_MARK: Final = b"memhpsim"
_SEAL_END: Final = struct.Struct("<II8s")
"""Length and CRC-32 of the seal's text, and what tells that it is one."""
_MOST_TEXT: Final = 1 << 12
_READ: Final = 1 << 20

NO_SEAL: Final = "is no file of this program, or its end is missing"


class Seal(NamedTuple):
    """What a seal says: the ``pack`` that the file is, its ``layout``, and the CRC-32 of ``data`` and ``footer``."""

    pack: str
    layout: int
    data: int
    footer: int


def write_seal(file: BinaryIO, pack: str) -> None:
    """Seal the Parquet file that was written to ``file``, which can be read too, as the one named ``pack``."""
    file.seek(-_FOOTER_END.size, 2)
    length, _ = _FOOTER_END.unpack(file.read(_FOOTER_END.size))
    begin = file.seek(-_FOOTER_END.size - length, 2)
    footer = file.read()
    file.seek(0)
    crc, left = 0, begin
    while left:
        read = file.read(min(left, _READ))
        crc, left = zlib.crc32(read, crc), left - len(read)
    text = json.dumps(Seal(pack, LAYOUT, crc, zlib.crc32(footer))._asdict()).encode()
    file.seek(begin)
    file.write(b"".join([text, _SEAL_END.pack(len(text), zlib.crc32(text), _MARK), footer]))


class SealedFile:
    """A file as its seal describes it; ``end`` is where its data end. Raises ValueError, in words, where it has none.

    That is also raised where the footer is not as it was written, or another version of the program has written it.
    """

    def __init__(self, content: pa.MemoryMappedFile) -> None:
        size = content.size()
        if size == 0:
            raise ValueError("is empty")
        length, mark = _at(content, size - _FOOTER_END.size, _FOOTER_END)
        begin = size - _FOOTER_END.size - length
        if mark != _PARQUET or begin < _SEAL_END.size:
            raise ValueError(NO_SEAL)
        said, crc, mark = _at(content, begin - _SEAL_END.size, _SEAL_END)
        self.end: Final = begin - _SEAL_END.size - said
        if mark != _MARK or said > _MOST_TEXT or self.end < 0:
            raise ValueError(NO_SEAL)
        text = content.read_at(said, self.end)
        if zlib.crc32(text) != crc:
            raise ValueError(_CHANGED)
        told = json.loads(text)
        if told["layout"] != LAYOUT:
            raise ValueError(f"has the layout {told['layout']}, and this version of the program {LAYOUT}")
        self.seal: Final = Seal(**told)
        if zlib.crc32(content.read_at(size - begin, begin)) != self.seal.footer:
            raise ValueError(_CHANGED)
        self._content = content

    def check_data(self) -> None:
        """Raise ValueError where the data are not as they were written; all of them are read for it."""
        crc = 0
        for start in range(0, self.end, _READ):
            crc = zlib.crc32(self._content.read_at(min(_READ, self.end - start), start), crc)
        if crc != self.seal.data:
            raise ValueError(_CHANGED)


_CHANGED: Final = "is damaged: its checksum is not that of what it holds"


def _at(content: pa.MemoryMappedFile, start: int, form: struct.Struct) -> tuple[Any, ...]:
    """Return what of the ``form`` that stand at ``start``. Raises ValueError before the file's beginning."""
    if start < 0:
        raise ValueError(NO_SEAL)
    return form.unpack(content.read_at(form.size, start))
