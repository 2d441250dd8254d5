"""Files as streams of bytes, decompressed as they are read: gzip and zstd by content, not by name."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

from sim import progress
from sim.opening import UnreadableError, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sim.traces.told import TraceFaults

CHUNK: Final = 1 << 20
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_NOT_READ: Final = (
    (b"PK\x03\x04", "a ZIP archive (or a spreadsheet): give the CSV file that is in it"),
    (b"BZh", "compressed with bzip2: use gzip or zstd"),
    (b"\xfd7zXZ\x00", "compressed with xz: use gzip or zstd"),
    (b"\x04\x22\x4d\x18", "compressed with lz4: use gzip or zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: give the CSV file that is in it"),
    (b"SQLite format 3\x00", "a database of SQLite: write its table as CSV or Parquet"),
    (b"ARROW1", "a file of Arrow: write it as Parquet"),
)


def start_of(path: Path, faults: TraceFaults) -> bytes:
    """Return the first bytes of the content of the file at ``path``. Raises InputError."""
    return next(chunks(path, faults), b"")[:4096]


def chunks(path: Path, faults: TraceFaults) -> Iterator[bytes]:
    """Yield the content of the file at ``path``, about a mebibyte at a time. Raises InputError."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            first = file.read(CHUNK)
            for magic, what in _NOT_READ:
                if first.startswith(magic):
                    faults.refuse(f"is {what}")
            if first.startswith(_GZIP):
                yield from _gunzipped(first, _all(file, file.read(CHUNK), path.name, size), faults)
            elif first.startswith(_ZSTD):
                file.seek(0)
                yield from _unzstd(file, faults)
            else:
                yield from _all(file, first, path.name, size)
    except UnreadableError as error:
        faults.refuse(str(error))
    except OSError as error:
        faults.refuse(f"cannot be read: {error.strerror or error}")


def _all(file: BinaryIO, first: bytes, name: str, size: int) -> Iterator[bytes]:
    while first:
        yield first
        progress.tell(name, file.tell(), size)
        first = file.read(CHUNK)


def _gunzipped(first: bytes, more: Iterator[bytes], faults: TraceFaults) -> Iterator[bytes]:
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    packed = first
    try:
        while True:
            if data := member.decompress(packed, CHUNK):
                yield data
            packed = member.unconsumed_tail
            if member.eof:
                packed = member.unused_data or next(more, b"")
                if not packed.startswith(_GZIP):
                    return  # the end, or padding, which the tools pass over as well
                member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            elif not packed and not (packed := next(more, b"")):
                faults.refuse("is a gzip file that is cut short")
    except zlib.error as error:
        faults.refuse(f"is a gzip file with damaged data: {error}")


def _unzstd(file: BinaryIO, faults: TraceFaults) -> Iterator[bytes]:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as stream:
            while data := stream.read(CHUNK):
                yield data
    except (OSError, pa.ArrowException) as error:
        faults.refuse(f"is a zstd file that is damaged or cut short: {error}")


def without_mark(content: Iterator[bytes]) -> Iterator[bytes]:
    """Yield ``content`` without the byte order mark that programs of Windows put before text in UTF-8."""
    yield next(content, b"").removeprefix(BYTE_ORDER_MARK)
    yield from content


def unix_lines(content: Iterator[bytes]) -> Iterator[bytes]:
    """Yield ``content`` with every end of a line, also that of DOS or of old Macs, as a newline."""
    held = b""
    for chunk in content:
        data = held + chunk
        held = b"\r" if data.endswith(b"\r") else b""
        data = data[: len(data) - len(held)]
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if data:
            yield data
    if held:
        yield b"\n"
