"""What ``lsmem`` printed in a real machine, or would print in the one that files without it describe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.readers.reading import read_facts
from sim.snapshot.facts_picture import picture_of_facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sim.snapshot.picture import Picture


def picture_of_files(files: Sequence[str | Path]) -> Picture:
    """Return the blocks that files of one real machine list, or else those of the machine that they describe.

    Raises InputError with what cannot be read or reconciled.
    """
    facts = read_facts(files)
    picture = picture_of_facts(facts)
    if picture is not None:
        return picture
    # What takes half a second to import, and most files do without.
    from sim.experiment.imported import tables_of_facts
    from sim.experiment.load import load
    from sim.experiment.pictures import picture_at_start

    tables, told = tables_of_facts(facts)
    experiment = load(tables, idle=True)
    combination = experiment.combinations[0]
    picture = picture_at_start(experiment, combination)
    how = "boots" if combination.machine.spec.state is None else "has them by its zones"
    first = f"No file lists memory blocks: this is how the machine that they describe {how}."
    return replace(picture, remarks=(first, *told, *picture.remarks))
