"""The tables that look-alikes are: columns by name, and as CSV files."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

Columns = Mapping[str, np.ndarray[Any, Any]]
"""Columns by name, all of one length: whole numbers, fractions (two decimals in a file), or words."""


def write_table(columns: Columns, path: Path) -> None:
    """Write ``columns`` to ``path``, compressed where its name ends in ``.gz``; the same bytes every time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = _text(columns).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data, 9, mtime=0)
    path.write_bytes(data)


def _text(columns: Columns) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(_word, column.tolist()) for column in columns.values()), strict=True))
    return text.getvalue()


def _word(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def read_table(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns of a CSV file, compressed or not, as numbers where every field is one, else as words.

    An empty field among numbers is NaN. For files of look-alikes and of what they are like; others are
    :mod:`sim.traces`'s.
    """
    import pandas as pd

    frame = pd.read_csv(path, keep_default_na=True)
    return {name: frame[name].to_numpy() for name in frame.columns}
