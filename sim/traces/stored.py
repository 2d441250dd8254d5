"""A trace that was split by series: held in memory, or read from its index as it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.faults import unknown_name
from sim.traces.samples import Samples, Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from sim.traces.splitting import Run

_AT_ONCE: Final = 1 << 16
"""Samples that are handed out at a time."""


class StoredTrace(Trace):
    """A trace of ``names``' series, whose samples lie in ``runs``.

    ``spans``: the times of their first and last samples. ``told``: of each series (rows) which quantities (columns)
    have a value.
    """

    def __init__(
        self,
        names: Sequence[str],
        quantities: Sequence[str],
        runs: Sequence[Run],
        spans: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
        told: npt.NDArray[np.bool_],
        *,
        in_memory: bool = False,
    ) -> None:
        self._codes = {name: code for code, name in enumerate(names)}
        self._quantities = tuple(quantities)
        self._runs = runs
        self._first_us, self._last_us = spans
        self._told = told
        self._origin_us = int(self._first_us.min())
        self.in_memory = in_memory

    @property
    def quantities(self) -> Sequence[str]:
        """The quantities, in the order of :data:`~sim.traces.samples.QUANTITIES`."""
        return self._quantities

    @property
    def series(self) -> Sequence[str]:
        """The names of all series."""
        return tuple(self._codes)

    def samples(self, series: str) -> Iterator[Samples]:
        """Yield the samples of ``series``. Raises KeyError, with what would be right, where there is none."""
        code = self._code(series)
        for run in self._runs:
            part = run.of(code)
            for start in range(part.start, part.stop, _AT_ONCE):
                t_us, *values = run.columns.read(slice(start, min(start + _AT_ONCE, part.stop)))
                yield Samples(t_us - self._origin_us, dict(zip(self._quantities, values, strict=True)))

    def span_us(self, series: str) -> tuple[int, int]:
        """Return the times of the first and the last sample of ``series``. Raises KeyError as above."""
        code = self._code(series)
        return int(self._first_us[code]) - self._origin_us, int(self._last_us[code]) - self._origin_us

    def told(self, series: str) -> Sequence[str]:
        """Return the quantities of which any sample of ``series`` has a value. Raises KeyError as above."""
        return [name for name, told in zip(self._quantities, self._told[self._code(series)], strict=True) if told]

    def _code(self, series: str) -> int:
        if series not in self._codes:
            raise KeyError(unknown_name("series", series, self._codes))
        return self._codes[series]
