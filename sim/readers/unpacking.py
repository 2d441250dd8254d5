"""Streams that may be compressed, and archives, read once from front to back with bounds on all that is counted.

gzip, bzip2, xz and tar, by content and not by name. Nothing is written, and links and devices in an archive are never
followed or made.
"""

from __future__ import annotations

import bz2
import lzma
import tarfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn, Protocol

from sim.faults import Fault, InputError
from sim.readers.dumps import Collector
from sim.readers.facts import Remark
from sim.readers.pasted import refusal
from sim.units import GIB, MIB, format_size

if TYPE_CHECKING:
    from sim.readers.dumps import Dump

_MOST_UNPACKED: Final = GIB
_LARGEST_HEADER: Final = MIB
_MOST_PARTS: Final = 20_000
_XZ_MEMORY: Final = 128 * MIB
_CHUNK: Final = 1 << 16
_SKIPPED_AT_ONCE: Final = MIB
_TAR_BLOCK: Final = 512
_DAMAGED: Final = "is an archive of tar that is damaged or cut short"
_NOT_READ: Final = (
    (b"PK\x03\x04", "a ZIP archive; unpack it, and give the folder"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"),
    (b"\x04\x22\x4d\x18", "compressed with lz4; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it, and give the folder"),
    (b"\x7fELF", "a program"),
)


class _Decompressor(Protocol):
    """What the three libraries have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _gzip() -> _Decompressor:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


_COMPRESSIONS: Final = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", "xz", _xz),
)


class Unpacked:
    """``stream`` without its compression, if it has one, as a file that is read and sought forwards only.

    Raises InputError for damage, and once more than a gibibyte has come out.
    """

    def __init__(self, file: str, stream: BinaryIO) -> None:
        self._file = file
        self._stream = stream
        self._taken = 0
        self._parts = 0
        self._input = self._next_chunk()
        self._output = b""
        self._position = 0
        self.last = b""
        """What the last read gave."""
        for magic, what in _NOT_READ:
            if self._input.startswith(magic):
                self.refuse(f"is {what}")
        self._compression = next((c for c in _COMPRESSIONS if self._input.startswith(c[0])), None)
        self._decompressor = self._compression[2]() if self._compression else None

    def refuse(self, what: str) -> NoReturn:
        """Raise InputError for the whole file."""
        raise refusal(self._file, Fault("", what))

    def peek(self) -> bytes:
        """Return the first bytes, as many as a header of tar has, without moving on."""
        while len(self._output) < _TAR_BLOCK and (more := self._more()):
            self._output += more
        return self._output[:_TAR_BLOCK]

    def read_whole(self, most: int) -> bytes:
        """Return all that is left; InputError if that is over ``most`` bytes."""
        parts = []
        size = 0
        while data := self.read(_SKIPPED_AT_ONCE):
            parts.append(data)
            size += len(data)
            if size > most:
                unpacked = f" unpacked (it is compressed with {self._compression[1]})" if self._compression else ""
                self.refuse(f"is over {format_size(most)}{unpacked}; give the part that is about memory")
        return b"".join(parts)

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        if size > max(_LARGEST_HEADER, _SKIPPED_AT_ONCE):
            self.refuse(f"holds a header of {format_size(size)}: it is damaged")
        parts = []
        left = size
        while left > 0:
            data = self._output or self._more()
            if not data:
                break
            parts.append(data[:left])
            self._output = data[left:]
            left -= len(parts[-1])
        self._position += size - left
        if self._position > _MOST_UNPACKED:
            self.too_large()
        self.last = b"".join(parts)
        return self.last

    def too_large(self) -> NoReturn:
        """Raise InputError because too much comes out."""
        self.refuse(f"holds over {format_size(_MOST_UNPACKED)}; pack only sys/devices/system/memory and .../node")

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._position

    def seek(self, position: int) -> int:
        """Move on to ``position``, or to the end if that comes first."""
        if position - self._position > _MOST_UNPACKED:
            self.too_large()
        if position < self._position:
            self.refuse("is damaged: its archive points backwards")
        while self._position < position and self.read(min(_SKIPPED_AT_ONCE, position - self._position)):
            pass
        return self._position

    def _more(self) -> bytes:
        """Return the next bytes of the content; none at its end."""
        if self._decompressor is None or self._compression is None:
            data, self._input = self._input, b""
            return data or self._next_chunk()
        try:
            return self._decompressed(self._decompressor, self._compression[0])
        except InputError:
            raise
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError) as error:
            reason = "it needs too much memory" if "limit" in str(error).lower() else "its data are damaged"
            self.refuse(f"is compressed with {self._compression[1]}, but {reason}")

    def _decompressed(self, decompressor: _Decompressor, magic: bytes) -> bytes:
        while True:
            if decompressor.eof:
                rest = decompressor.unused_data or self._input
                if len(rest) < len(magic):
                    rest += self._next_chunk()
                if not rest.startswith(magic) or self._compression is None:
                    return b""  # the end, or zeros and rubbish behind it, which the tools pass over as well
                self._parts += 1
                if self._parts > _MOST_PARTS:
                    self.refuse(f"is compressed in over {_MOST_PARTS:,} parts")
                self._decompressor = decompressor = self._compression[2]()
                self._input = rest
            data = decompressor.decompress(self._input, _CHUNK)
            self._input = getattr(decompressor, "unconsumed_tail", b"")
            if data or decompressor.eof:
                if data:
                    return data
                continue
            if not self._input:
                self._input = self._next_chunk()
                if not self._input:
                    raise EOFError

    def _next_chunk(self) -> bytes:
        """Return more of the file; none at its end."""
        data = self._stream.read(_CHUNK) or b""
        self._taken += len(data)
        if self._taken > _MOST_UNPACKED:
            self.too_large()
        return data


def is_tar(start: bytes) -> bool:
    """Return whether a content that begins with ``start`` is an archive of tar, by its first header's sum."""
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "replace")
    except (tarfile.HeaderError, ValueError, IndexError):
        return False
    return True


def read_tar(file: str, unpacked: Unpacked) -> Dump:
    """Return what is of interest in an archive; InputError if it is damaged, too large or has too many members."""
    collector = Collector(file)
    try:
        with tarfile.open(fileobj=unpacked, mode="r:", encoding="utf-8", errors="replace") as tar:  # type: ignore[call-overload]
            while (member := tar.next()) is not None:
                tar.members.clear()  # or it keeps a million of them
                _take(collector, tar, member, unpacked)
            _check_end(collector, unpacked)
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, RecursionError, ArithmeticError) as error:
        if isinstance(error, InputError):
            raise
        unpacked.refuse(_DAMAGED)
    return collector.dump()


def _check_end(collector: Collector, unpacked: Unpacked) -> None:
    """Look at the block that ended the archive: zeros, or else tarfile took damage for an end."""
    if not unpacked.last:
        collector.remarks.append(Remark("the end", "the archive has no end mark: it may be cut short"))
    elif any(unpacked.last):
        unpacked.refuse(_DAMAGED)


def _take(collector: Collector, tar: tarfile.TarFile, member: tarfile.TarInfo, unpacked: Unpacked) -> None:
    collector.count(member.name)
    path = collector.inside(member.name)
    if path is None:
        return
    if member.isdir() or member.issym():
        collector.name(path)
    elif member.islnk():
        collector.link(path, collector.inside(member.linkname))
    elif member.isreg():
        if member.offset_data + member.size > _MOST_UNPACKED and not member.issparse():
            unpacked.too_large()
        if not collector.wants(path):
            return
        content = tar.extractfile(member) if 0 <= member.size <= collector.largest(path) else None
        if content is None:
            collector.leave(path)
        else:
            collector.take(path, content.read())
    else:
        collector.leave(path)
