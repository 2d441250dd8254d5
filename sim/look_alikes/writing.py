"""The look-alikes as files, and the real files as tables that the same figures can be measured in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.look_alikes.data_sets import DATA_SETS
from sim.look_alikes.tables import read_table, write_table

if TYPE_CHECKING:
    from pathlib import Path

    from sim.look_alikes.data_sets import DataSet
    from sim.look_alikes.figures import Tables


def write_look_alikes(folder: Path) -> None:
    """Write the files of all look-alikes into ``folder``."""
    for data_set in DATA_SETS.values():
        for role, table in data_set.tables().items():
            if name := data_set.files[role].name:
                write_table(table, folder / name)


def real_tables(data_set: DataSet, folder: Path) -> Tables:
    """Return the tables of the real data in ``folder`` by their role, series called as the look-alike's."""
    tables = {}
    for role, file in data_set.files.items():
        if file.real:
            table = read_table(folder / file.real)
            for name, real in data_set.aliases.items():
                table["machine"] = np.where(table["machine"] == real, name, table["machine"])
            tables[role] = table
    return tables
