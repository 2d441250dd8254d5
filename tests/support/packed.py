"""What the files of a results folder hold, read with nothing but pyarrow; and taking cells out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path


def packs(store: Path, table: str) -> list[Path]:
    """Return the files of a table."""
    return sorted((store / table).rglob("*.parquet"))


def cells_in(store: Path, table: str) -> set[str]:
    """Return the keys of the cells that have rows in the files of a table."""
    return {key for path in packs(store, table) for key in pq.read_table(path, columns=["cell"])["cell"].to_pylist()}


def tables_of(store: Path, policy: str) -> list[str]:
    """Return the tables in whose files a policy has rows."""
    return [
        table
        for table in ("details", "events", "guest", "runs", "series", "timings")
        if any(policy in pq.read_table(path, columns=["policy"])["policy"].to_pylist() for path in packs(store, table))
    ]
