"""Segments: files to which one process appends the cells that it finishes, each in one piece whose end is marked.

``<store>/unpacked/<name>.cells`` holds frames, one after the other: a head (JSON) and parts (bytes). Whoever is killed
while appending leaves half a frame at the end, which readers drop; so they do with frames that are no longer as they
were appended. Nobody appends to a segment that another process has begun, nor behind half a frame. Who packs a segment
locks it first, so that nothing is appended to what is gone.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import secrets
import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np

from sim.results.damage import unreadable
from sim.results.layout import UNPACKED
from sim.results.locks import holding, packing
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from sim.results.layout import Labels

_BEGIN: Final = b"memhp-2\n"
_END: Final = b"\nthe end"
_SIZES: Final = struct.Struct("<8sIIQI")
"""Beginning, length and CRC-32 of the head, length and CRC-32 of all parts."""

_SUFFIX: Final = ".cells"
_NAME: Final = re.compile(r"\d{20}-[0-9a-f]{16}\.cells")


# Appending ------------------------------------------------------------------------------------------------------------


class _Segment:
    """The segment that this process appends to in one store."""

    def __init__(self, store: Path) -> None:
        folder = store / UNPACKED
        self.path = folder / f"{time.time_ns():020d}-{secrets.token_hex(8)}{_SUFFIX}"
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # who has packed what was in the folder has just removed it
                self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
                break
        self.usable = True
        """Whether it is there and ends with a whole frame."""

    def append(self, frame: bytes) -> bool:
        """Append ``frame``; return False where the segment has been removed meanwhile."""
        with holding(self.file):
            self.usable = False
            if os.fstat(self.file).st_nlink == 0:
                return False
            before = os.lseek(self.file, 0, os.SEEK_END)
            try:
                rest = memoryview(frame)
                while rest:
                    rest = rest[os.write(self.file, rest) :]
            except BaseException:
                os.ftruncate(self.file, before)
                if not before:
                    self.path.unlink(missing_ok=True)
                raise
            self.usable = True
        return True


_segments: dict[tuple[int, Path], _Segment] = {}
_guard: Final = threading.Lock()
_MOST_OPEN: Final = 8
"""Segments that a process keeps open. Of a store whose segment was closed, it begins another one."""


def append(store: Path, head: Mapping[str, Any], parts: Sequence[bytes | memoryview]) -> None:
    """Append a frame to this process's segment in ``store``. Raises OSError where that is not possible.

    ``head`` (JSON) gets the lengths of the parts, and when this was.
    """
    sizes = [len(part) for part in parts]
    text = json.dumps({**head, "at": time.time_ns(), "parts": sizes}, separators=(",", ":")).encode()
    rest = 0
    for part in parts:
        rest = zlib.crc32(part, rest)
    frame = b"".join([_SIZES.pack(_BEGIN, len(text), zlib.crc32(text), sum(sizes), rest), text, *parts, _END])
    key = (os.getpid(), store)  # a process that was forked has none yet
    with _guard:
        while True:
            segment = _segments.get(key)
            try:
                if segment is None:
                    if len(_segments) >= _MOST_OPEN:
                        _close(next(iter(_segments)))
                    segment = _segments[key] = _Segment(store)
                if segment.append(frame):
                    return
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(store / UNPACKED)) from error
            finally:
                if segment is not None and not segment.usable:
                    _close(key)


def release(store: Path) -> None:
    """Close this process's segment in ``store``, as nothing more comes for now."""
    with _guard:
        _close((os.getpid(), store))


def _close(key: tuple[int, Path]) -> None:
    segment = _segments.pop(key, None)
    if segment is not None:
        os.close(segment.file)


@contextlib.contextmanager
def locked_for_packing(store: Path) -> Iterator[None]:
    """Keep others from packing what is in ``store`` meanwhile."""
    with packing(store):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # segments that others have begun, or there is none
                (store / UNPACKED).rmdir()


# Reading --------------------------------------------------------------------------------------------------------------


class Frame:
    """What was appended in one piece: its ``head`` and parts."""

    __slots__ = ("_content", "_start", "head")

    def __init__(self, content: mmap.mmap, offset: int) -> None:
        _, length, *_ = _SIZES.unpack_from(content, offset)
        begin = offset + _SIZES.size
        self.head: dict[str, Any] = json.loads(content[begin : begin + length])
        self._content, self._start = content, begin + length

    @property
    def key(self) -> str:
        """The cell's key."""
        return str(self.head["key"])

    @property
    def labels(self) -> Labels:
        """The labels of its machine, workload and policy."""
        machine, workload, policy = self.head["labels"]
        return machine, workload, policy

    @property
    def replication(self) -> int:
        """The cell's replication."""
        return int(self.head["replication"])

    def part(self, number: int) -> bytes:
        """Return one of its parts."""
        sizes = self.head["parts"]
        start = self._start + sum(sizes[:number])
        return self._content[start : start + sizes[number]]


class Broken(NamedTuple):
    """What of the segment at ``path`` cannot be read, in words; whether there is ``some`` of it that can.

    What is ``torn`` is the end, which may be of a run that is just being appended.
    """

    path: Path
    what: str
    some: bool
    torn: bool


class Segments:
    """The segments in ``store`` as they are now; of each cell the frame that was appended last.

    A context; what it was open for stays readable in it even where it is packed meanwhile. With ``locked``, nobody
    appends to them until it ends. Some 90 bytes for each cell are held in memory, and nothing else.
    """

    def __init__(self, store: Path, *, locked: bool = False) -> None:
        self._stack = contextlib.ExitStack()
        self._contents: list[mmap.mmap] = []
        self.paths: list[Path] = []
        keys, places = bytearray(), bytearray()
        self._others: list[tuple[int, int]] = []
        self.damaged: list[Broken] = []
        for path in segment_files(store):
            content = self._open(path, locked=locked)
            if content is None:
                continue
            number = len(self._contents)
            self._contents.append(content)
            broken: list[tuple[str, bool]] = []
            some = False
            for offset, head in _frames(content, broken):
                some = True
                if "key" in head:
                    keys += head["key"].encode().ljust(_KEY, b"\0")
                    places += _PLACE.pack(head["at"], head["unit"], number, offset)
                else:
                    self._others.append((number, offset))
            self.damaged += [Broken(path, what, some=some, torn=torn) for what, torn in broken]
        found = np.frombuffer(bytes(keys), dtype=f"S{_KEY}")
        where = np.frombuffer(bytes(places), dtype=_PLACES)
        order = np.lexsort((where["at"], found))
        found, where = found[order], where[order]
        last = np.ones(len(found), dtype=bool)
        last[:-1] = found[1:] != found[:-1]
        self._keys, self._where = found[last], where[last]

    def _open(self, path: Path, *, locked: bool) -> mmap.mmap | None:
        try:
            file = self._stack.enter_context(path.open("r+b" if locked else "rb"))
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or path.is_symlink():  # else it was packed just now
                self.damaged.append(Broken(path, unreadable(path, error), some=False, torn=False))
            return None
        if locked:
            self._stack.enter_context(holding(file.fileno()))
        self.paths.append(path)
        if os.fstat(file.fileno()).st_size == 0:
            self.damaged.append(Broken(path, "is empty, as where a process was killed", some=False, torn=True))
            return None
        return self._stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return self.find(str(key)) is not None if len(self._keys) else False

    @property
    def keys(self) -> npt.NDArray[np.bytes_]:
        """The keys of all cells, in order."""
        return self._keys

    def units(self) -> Iterator[tuple[str, int]]:
        """Yield the keys of all cells, in order, each with what stands for those that it shares a pack with."""
        for key, number in zip(self._keys.tolist(), self._where["unit"].tolist(), strict=True):
            yield key.decode(), number

    def find(self, key: str) -> Frame | None:
        """Return the frame of the cell ``key``; None where there is none."""
        name = key.encode()
        place = int(self._keys.searchsorted(name)) if len(self._keys) else 0
        return self.frame(place) if place < len(self._keys) and self._keys[place] == name else None

    def frame(self, place: int) -> Frame:
        """Return the frame of the cell whose key stands at ``place``."""
        where = self._where[place]
        return Frame(self._contents[int(where["file"])], int(where["offset"]))

    def frames(self, places: Iterable[int] | None = None) -> Iterator[Frame]:
        """Yield the frames of the cells whose keys stand at ``places``, of all where None."""
        for place in range(len(self)) if places is None else places:
            yield self.frame(place)

    def others(self) -> Iterator[Frame]:
        """Yield the frames that are of no single cell."""
        for number, offset in self._others:
            yield Frame(self._contents[number], offset)


_KEY: Final = 64
"""Bytes that a key may have; those of this program have half of it."""
_PLACE: Final = struct.Struct("<QQIQ")
_PLACES: Final = np.dtype([("at", "<u8"), ("unit", "<u8"), ("file", "<u4"), ("offset", "<u8")])


def _frames(content: mmap.mmap, broken: list[tuple[str, bool]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield where each whole frame begins, and its head; add to ``broken``, in words, what lies between them."""
    offset, end = 0, len(content)
    while offset < end:
        head, after = _frame_at(content, offset)
        if head is not None:
            yield offset, head
        else:
            found = content.find(_BEGIN, offset + 1)
            after = end if found < 0 else found
            torn = found < 0 and content[offset : offset + len(_BEGIN)] == _BEGIN[: end - offset]
            what = "ends within a run, as where a process was killed" if torn else "is damaged"
            broken.append((f"{what} ({counted(after - offset, 'byte')} from {offset} on)", torn))
        offset = after


def _frame_at(content: mmap.mmap, offset: int) -> tuple[dict[str, Any] | None, int]:
    """Return the head of the frame that begins at ``offset``, None where it is not whole, and where it ends."""
    if offset + _SIZES.size > len(content):
        return None, offset
    begin, length, crc, rest, crc_of_rest = _SIZES.unpack_from(content, offset)
    head = offset + _SIZES.size
    middle, last = head + length, head + length + rest
    after = last + len(_END)
    if begin != _BEGIN or after > len(content) or content[last:after] != _END:
        return None, offset
    text = content[head:middle]
    if zlib.crc32(text) != crc or zlib.crc32(content[middle:last]) != crc_of_rest:
        return None, offset
    return json.loads(text), after


def segment_files(store: Path) -> list[Path]:
    """Return what stands where segments do, in order; not all of it need be one, nor a file."""
    folder = store / UNPACKED
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []
