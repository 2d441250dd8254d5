"""The fast way to read CSV against the exact one: where both read a file, they read the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from sim.faults import InputError
from sim.traces.arrays import NotPlainError
from sim.traces.batches import SeriesNames
from sim.traces.csv_exact import read_exactly
from sim.traces.csv_fast import read_fast
from sim.traces.mapping import read_columns
from sim.traces.told import TraceFaults
from tests.traces.made import USE
from tests.traces.malformed import scribbled_text

_COLUMNS = read_columns(USE | {"missing": ["NaN", "-1"], "free": "use"})


def _read(reader: object, data: bytes) -> object:
    faults = TraceFaults(Path("trace"))
    series = SeriesNames(faults)
    content = iter([data[start : start + 100] for start in range(0, len(data), 100)])
    try:
        batches = list(reader(content, _COLUMNS, series, faults))  # type: ignore[operator]  # one of the two
    except NotPlainError:
        return "not plain"
    except InputError:
        return "refused"
    return (
        series.names,
        [code for batch in batches for code in batch.codes.tolist()],
        [t_us for batch in batches for t_us in batch.t_us.tolist()],
        *([value for batch in batches for value in batch.values[name].tolist()] for name in ("user", "free")),
    )


def test_the_fast_way_reads_what_the_exact_way_reads() -> None:
    seen: Counter[str] = Counter()
    for number in range(600):
        data = scribbled_text(number)

        fast, exact = _read(read_fast, data), _read(read_exactly, data)

        seen[fast if isinstance(fast, str) else "read"] += 1
        if not isinstance(fast, str):
            assert fast == exact, (number, data)
        elif fast == "refused":
            assert exact == "refused", (number, data)
    assert min(seen[each] for each in ("read", "not plain", "refused")) > 10, seen
