"""Many requests in little room: what differs from one to the next as numbers in arrays, all else kept once.

A log may hold millions; as objects they would take some 200 bytes each.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

import numpy as np

from workloads.parts.requests.request import Request

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    import numpy.typing as npt

_AT_ONCE = 1 << 14


class KeptRequests(Sequence[Request]):
    """Requests, each made when it is asked for. ``patterns`` are all that differ in more than time and size."""

    def __init__(self, requests: Iterable[Request] = ()) -> None:
        self.patterns: list[Request] = []
        self._times, self._sizes, self._codes = array("q"), array("q"), array("q")
        self._plain: dict[tuple[str, str, str], int] = {}
        self._whole: set[int] = set()
        """Patterns that are of one request, whose size may be beyond an array's."""
        for request in requests:
            self.append(request)

    def append(self, request: Request) -> None:
        """Add a request."""
        self._whole.add(len(self.patterns))
        self._times.append(request.t_us)
        self._sizes.append(0)
        self._codes.append(len(self.patterns))
        self.patterns.append(request)

    def add(self, t_us: int, op: str, device: str, kind: str, size: int) -> None:
        """Add a request that says nothing else."""
        code = self._plain.get((op, device, kind))
        if code is None:
            code = self._plain[op, device, kind] = len(self.patterns)
            self.patterns.append(Request(0, op, device, kind=kind))
        self._times.append(t_us)
        self._sizes.append(size)
        self._codes.append(code)

    def sort(self) -> None:
        """Put them in order of time and turn, others as they were added."""
        times, codes = np.frombuffer(self._times, np.int64), np.frombuffer(self._codes, np.int64)
        turns = np.array([pattern.turn for pattern in self.patterns], dtype=np.int64)[codes]
        if len(times) and (np.diff(times) <= 0).any():
            self._take(np.lexsort((turns, times)), times)

    def faster(self, speed: float, but: Container[str]) -> KeptRequests:
        """Return these requests at their times divided by ``speed``, in order of time; not those of ops in ``but``."""
        times, codes = np.frombuffer(self._times, np.int64), np.frombuffer(self._codes, np.int64)
        timed = np.array([pattern.op not in but for pattern in self.patterns], dtype=bool)[codes]
        times = np.where(timed, np.rint(times / speed).astype(np.int64), times)
        other = KeptRequests()
        other.patterns, other._plain, other._whole = self.patterns, self._plain, self._whole
        other._times, other._sizes, other._codes = self._times, self._sizes, self._codes
        other._take(np.argsort(times, kind="stable"), times)
        return other

    def _take(self, order: npt.NDArray[np.int64], times: npt.NDArray[np.int64]) -> None:
        sizes, codes = np.frombuffer(self._sizes, np.int64), np.frombuffer(self._codes, np.int64)
        self._times, self._sizes, self._codes = (
            array("q", values[order].tobytes()) for values in (times, sizes, codes)
        )

    def __len__(self) -> int:
        return len(self._times)

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> list[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | list[Request]:
        """Return the request, or requests, at ``index``."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._made(self._times[index], self._codes[index], self._sizes[index])

    def __iter__(self) -> Iterator[Request]:
        for start in range(0, len(self), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            yield from map(self._made, self._times[part], self._codes[part], self._sizes[part])

    def _made(self, t_us: int, code: int, size: int) -> Request:
        pattern = self.patterns[code]
        if code in self._whole:
            return pattern if pattern.t_us == t_us else replace(pattern, t_us=t_us)
        return Request(t_us, pattern.op, pattern.device, size=size, kind=pattern.kind)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
