"""Files as streams of bytes, decompressed as they are read: gzip and zstd by content, not by name."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sim.traces.told import TraceFaults

CHUNK: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"


def chunks(path: Path, faults: TraceFaults) -> Iterator[bytes]:
    """Yield the content of the file at ``path``, about a mebibyte at a time. Raises InputError."""
    try:
        if path.exists() and not path.is_file():  # a device or a pipe might never end
            faults.refuse("is not a file")
        with path.open("rb") as file:
            first = file.read(CHUNK)
            if first.startswith(_GZIP):
                yield from _gunzipped(first, iter(lambda: file.read(CHUNK), b""), faults)
                return
            while first:
                yield first
                first = file.read(CHUNK)
    except OSError as error:
        faults.refuse(f"cannot be read: {error.strerror or error}")


def _gunzipped(first: bytes, more: Iterator[bytes], faults: TraceFaults) -> Iterator[bytes]:
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    packed = first
    try:
        while True:
            data = member.decompress(packed, CHUNK)
            if data:
                yield data
            packed = member.unconsumed_tail
            if member.eof:
                packed = member.unused_data or next(more, b"")
                if not packed.startswith(_GZIP):
                    return  # the end, or padding, which the tools pass over as well
                member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            elif not packed:
                packed = next(more, b"")
                if not packed:
                    faults.refuse("is a gzip file that is cut short")
    except zlib.error as error:
        faults.refuse(f"is a gzip file with damaged data: {error}")
