"""Memory blocks of real machines, as text, as JSON and as a copy of sysfs: all import, no block moves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from sim.experiment.imported import experiment_tables
from sim.experiment.load import load
from sim.faults import InputError
from sim.memory.zones import NR_ZONES, ZONE_BY_LABEL
from sim.readers.facts import Facts
from sim.readers.reading import read_facts
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.assembly import put_together
from sim.snapshot.lsmem_view import lsmem_json, lsmem_text
from sim.snapshot.wishes import Wishes
from tests.support.pictures import pictures, recorded_maps
from tests.support.sysfs_tree import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from sim.snapshot.picture import Picture


@pytest.mark.parametrize("form", ["text", "json", "tree"])
def test_the_maps_of_real_machines_import_and_keep_every_block(shared_dir: Path, tmp_path: Path, form: str) -> None:
    machines = recorded_maps(shared_dir)
    assert len(machines) >= 5
    for number, picture in enumerate(machines.values()):
        path = tmp_path / str(number)
        if form == "tree":
            write_tree(path, picture)
        else:
            path.write_text(lsmem_text(picture) if form == "text" else lsmem_json(picture))
        found = put_together(read_facts([path]), Wishes())
        machine = load(experiment_tables(found), idle=True).combinations[0].machine.spec
        assert machine.block_size == picture.block_size
        assert machine.state is not None
        runs = [run.cut(block, block + 1) for run in machine.state.blocks for block in range(run.first, run.end)]
        assert [run.first for run in runs] == [block.block for block in picture.blocks]
        for run, block in zip(runs, picture.blocks, strict=True):
            if block.state == "offline":
                assert run.state == NR_ZONES
            elif block.zones is not None:
                # Of several zones, an old kernel names the one first that the block is in.
                word = block.zones.split("/")[0]
                assert run.state == (SEVERAL_ZONES if word == "none" else ZONE_BY_LABEL[word])
            if block.node is not None:
                assert run.node == block.node
        if any(block.zones is None for block in picture.blocks):
            assert any("zones that their addresses" in each.what for each in found.account.assumed)


@given(pictures(known=True))
def test_whatever_lsmem_prints_becomes_a_machine_that_loads_or_is_refused_in_words(picture: Picture) -> None:
    facts = Facts("lsmem.txt", "lsmem", block_size=picture.block_size, blocks=picture.blocks)
    try:
        found = put_together([facts], Wishes())
    except InputError as error:
        told = str(error)
    else:
        told = ""
    if told:
        assert re.match(
            "these files together: (lsmem.txt: memory blocks of|no block that is online|nodes: boot mem)", told
        )
        return
    state = load(experiment_tables(found), idle=True).combinations[0].machine.spec.state
    assert state is not None
    offline = [block for run in state.blocks if run.state == NR_ZONES for block in range(run.first, run.end)]
    assert offline == [view.block for view in picture.blocks if view.state == "offline"]
