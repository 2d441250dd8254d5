"""What a controller saw in a recorded run, for one that shall see that instead of what the simulated guest reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from sim.plugins.parameter_types import FilePath, Name
from workloads.parts.traces.columns import COLUMNS, opened
from workloads.parts.traces.playing import Chosen, check_series, check_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.plugins.parameters import Checker
    from sim.traces.samples import Trace

ObservedPath = Annotated[str | None, FilePath(), "a trace of what it saw; without it, it sees what the guest reports"]
ObservedColumns = Annotated[Mapping[str, Any] | None, COLUMNS, "which column of the trace is what"]
ObservedSeries = Annotated[
    str | None,
    Name(),
    "the series that every replication sees, or a pattern such as web-*; replication k sees the k-th that fits it,"
    " without it the k-th of the trace",
]


class Observed:
    """One ``quantity`` of a series of a trace, sample by sample, from the first sample on as fast as recorded."""

    def __init__(self, trace: Trace, chosen: Chosen, quantity: str, number: int = 0) -> None:
        self._trace = trace
        self._chosen = chosen
        self._quantity = quantity
        self._series = chosen.names[number]

    @property
    def end_us(self) -> int:
        """The microsecond of the last sample."""
        first, last = self._trace.span_us(self._series)
        return last - first

    @property
    def series(self) -> str | None:
        """The name of the series; None where the trace tells none apart."""
        return self._series or None

    @property
    def most_replications(self) -> int | None:
        """As many as there are series, where each is a replication."""
        return self._chosen.most_replications

    def of_replication(self, number: int) -> Observed:
        """Return what is seen in replication ``number``."""
        return Observed(self._trace, self._chosen, self._quantity, number) if self._chosen.each_its_own else self

    def samples(self) -> Iterator[tuple[int, int | None]]:
        """Yield (microsecond, bytes) of each sample; None for one that failed. Of one microsecond the last counts."""
        first, _ = self._trace.span_us(self._series)
        held: tuple[int, int | None] | None = None
        for samples in self._trace.samples(self._series):
            for t_us, value in zip(samples.t_us.tolist(), samples.values[self._quantity].tolist(), strict=True):
                if held is not None and held[0] < t_us - first:
                    yield held
                held = t_us - first, value if value >= 0 else None
        if held is not None:
            yield held


def observed(
    check: Checker, quantity: str, path: str | None, columns: Mapping[str, Any] | None, series: str | None
) -> Observed | None:
    """Return what the parameters of these names say; None where nothing is given. Adds what is wrong to ``check``.

    Raises ParameterError with all that is wrong with the trace.
    """
    if path is None:
        for name, value in {"columns": columns, "series": series}.items():
            if value is not None:
                check.fault(name, "must not be given without path, the trace that it is about")
        return None
    if columns is None:
        check.fault("columns", "must be given with path: which column is what")
        return None
    if not check.good("path", "columns", "series"):
        return None
    trace = opened(path, columns)
    if quantity not in trace.quantities:
        check.fault("columns", f"must tell {quantity}, which is what it looks at")
        return None
    if not check_series(check, trace, series):
        return None
    chosen = Chosen.of(trace, series)
    check_values(check, trace, chosen.names, (quantity,))
    return Observed(trace, chosen, quantity)
