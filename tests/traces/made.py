"""Traces as files, made from what they hold: the same samples in every format."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sim.traces.samples import Trace

USE = {"time": "t", "series": "vm", "user": {"column": "use", "unit": "1MiB"}}
#: A sample: series, seconds, MiB or None.
Row = tuple[str, float, float | None]


def written(folder: Path, text: str | bytes, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def everything(trace: Trace) -> dict[str, list[tuple[int, ...]]]:
    """Return for each series its samples: time in microseconds, then the quantities in order."""
    return {
        series: [
            tuple(map(int, row))
            for samples in trace.samples(series)
            for row in zip(samples.t_us, *(samples.values[name] for name in trace.quantities), strict=True)
        ]
        for series in trace.series
    }


def plainly(rows: Sequence[Row]) -> dict[str, list[tuple[int, ...]]]:
    """Return what :func:`everything` must be for ``rows``, worked out sample by sample."""
    origin = min(round(t * 1e6) for _, t, _ in rows)
    held: dict[str, list[tuple[int, ...]]] = {}
    for series, t, use in rows:
        amount = -1 if use is None else round(use * (1 << 20))
        held.setdefault(series, []).append((round(t * 1e6) - origin, amount))
    return held


def csv_text(rows: Sequence[Row]) -> str:
    lines = [f"{vm},{t!r},{'' if use is None else repr(use)}" for vm, t, use in rows]
    return "\n".join(["vm,t,use", *lines, ""])


def parquet_bytes(columns: Mapping[str, Any]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), stream)
    return stream.getvalue()


def prometheus_text(results: Sequence[tuple[Mapping[str, str], Sequence[Sequence[Any]]]]) -> str:
    result = [{"metric": dict(labels), "values": [list(pair) for pair in values]} for labels, values in results]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})
