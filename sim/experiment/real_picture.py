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
    from sim.experiment.imported import experiment_tables
    from sim.experiment.load import load
    from sim.experiment.pictures import picture_at_start
    from sim.snapshot.assembly import put_together
    from sim.snapshot.wishes import Wishes

    imported = put_together(facts, Wishes())
    experiment = load(experiment_tables(imported), idle=True)
    picture = picture_at_start(experiment, experiment.combinations[0])
    how = "boots" if imported.machine.state is None else "has them by its zones"
    told = [
        f"No file lists memory blocks: this is how the machine that they describe {how}.",
        *(f"Contradiction: {each}" for each in imported.account.conflicts),
        *(f"Assumed: {each.what}" for each in imported.account.assumed),
    ]
    return replace(picture, remarks=(*told, *picture.remarks))
