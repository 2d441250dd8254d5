"""What is planned is what a run of the same steps does: saved, run as a file is, and read again from its results."""

from __future__ import annotations

import tomllib
from collections import Counter
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tomli_w

from sim.api import load, run
from sim.experiment.effective_config import effective_tables
from sim.faults import InputError
from sim.memory.errors import NAMES
from sim.units import seconds_to_us
from sim.what_if.plan import answer
from sim.what_if.question import question
from sim.what_if.sources import Source
from tests.support.random_questions import random_question
from tests.support.reach import Reach
from tests.support.reread_run import Reread

if TYPE_CHECKING:
    from sim.record.run_result import RunResult
    from sim.what_if.answer import Figures, Outcome, Piece, Return, Step

SHORT, LONG = range(40), range(40, 1120)
STATES = "absent", "offline", "DMA32", "Normal", "Movable"
REACH = Reach(
    {f"{before} -> {after}": 0 for before, after in permutations(STATES, 2)}
    | {"absent -> Movable": 10, "absent -> Normal": 10, "absent -> offline": 3}
    | {"Normal -> absent": 1, "Movable -> absent": 1, "offline -> absent": 1}
    | {"failures": 3, "refused": 1, "kills": 1, "deaths": 1, "stays": 3, "starts from a state": 5}
)


@pytest.mark.parametrize(
    ("seeds", "least"), [(SHORT, 35), pytest.param(LONG, 1000, marks=pytest.mark.slow)], ids=["some", "a thousand"]
)
def test_what_is_planned_is_what_a_run_does(seeds: range, least: int) -> None:
    REACH.counts.clear()
    assert sum(map(agrees, seeds)) >= least, "of what is drawn, some cannot be"
    REACH.check()


def agrees(seed: int) -> bool:
    """Hold the plan of a random question to a run of it. False where there is no such machine."""
    try:
        tables, steps, words = random_question(seed)
        name = tables["policies"][0].get("label", tables["policies"][0]["name"])
        asked = question(Source(tables, "random", Path()), steps, policies=[name])
    except InputError:
        return False
    planned = answer(asked)
    REACH("starts from a state", asked.machine.state is not None)
    written = tomllib.loads(tomli_w.dumps(effective_tables(asked.experiment)))
    with TemporaryDirectory() as folder:
        results = run(load(written), folder)
        (row,) = results.runs().to_dict("records")
        assert row["status"] == "completed", words
        result = results.result(row["cell"])
    (outcome,) = planned.outcomes
    assert not outcome.error, words
    try:
        compare(outcome, result)
    except AssertionError as error:
        raise AssertionError(words) from error
    return True


def compare(outcome: Outcome, result: RunResult) -> None:
    """Go through both step by step."""
    reread = Reread(result)
    page, block_bytes = result.page_size, result.block_pages * result.page_size
    moments = [seconds_to_us(at) for at in (*(step.at for step in outcome.steps), *(back.at for back in outcome.back))]
    reread.until(moments[0])
    blocks = dict(reread.machine.blocks)
    assert outcome.before is not None
    same_figures(outcome.before, reread, page)
    died = False
    for step, start, end in zip(outcome.steps, moments, [*moments[1:], None], strict=False):
        there = len(reread.machine.blocks)
        window = reread.until(end)
        fold(step.pieces, blocks)
        assert blocks == reread.machine.blocks
        assert seconds_to_us(step.seconds) == (0 if window.last_us is None else window.last_us - start)
        assert errnos(step) == window.failures
        assert step.refused == window.refused
        assert len(step.kills) == window.kills
        added = len(reread.machine.blocks) - there
        assert step.memmap + step.hosted == added * block_bytes * 64 // page
        same_figures(step.after, reread, page)
        same_guest(step.after, result, end)
        died |= window.died
    wanted = returned = 0
    before, last = Counter(reread.machine.plugged), {}
    for back, end in zip(outcome.back, [*moments[len(outcome.steps) + 1 :], None], strict=False):
        had = reread.machine.plugged[back.device]
        window = reread.until(end)
        assert errnos(back) == window.failures
        assert len(back.kills) == window.kills
        left = reread.machine.plugged[back.device]
        assert back.returned == max(0, had - left) * page
        keeps = reread.machine.requested.get(back.device, 0) if back.asked.startswith("resize") else 0
        assert back.wanted == max(0, had - keeps) * page
        last[back.device] = keeps
        if back.returned < back.wanted:
            REACH("stays")
            for stay in back.stays:
                ids = range(stay.first, stay.first + stay.blocks)
                assert {reread.machine.blocks[block] for block in ids} == {stay.where}
            if left >= result.block_pages:
                assert back.stays
        died |= window.died
    for device, keeps in last.items():
        wanted += max(0, before[device] - keeps) * page
        returned += max(0, before[device] - reread.machine.plugged[device]) * page
    assert (outcome.wanted, outcome.returned) == (wanted, returned)
    assert 0 <= outcome.safe <= outcome.wanted
    assert outcome.died == died
    note(outcome)


def same_guest(figures: Figures, result: RunResult, end_us: int | None) -> None:
    """Hold what the guest said to the sample of that moment, or the last one before it; one is taken every second."""
    if figures.mem_total is None:
        assert not result.guest
        return
    times, page = result.guest["t_us"], result.page_size
    first = len(times) if end_us is None else int(np.searchsorted(times, end_us))
    rows = [first - 1, *([first] if end_us in times else [])]
    samples = [{name: int(column[row]) * page for name, column in result.guest.items()} for row in rows]
    memmap = sum((figures.memmap or {}).values())
    # In a dead guest all but the memmap is 0.
    assert (figures.mem_total, figures.kernel_headroom, memmap) in [
        (sample["mem_total"] or figures.mem_total, sample["headroom"], sample["memmap"]) for sample in samples
    ]


def same_figures(figures: Figures, reread: Reread, page: int) -> None:
    machine = reread.machine
    assert (figures.movable, figures.kernel) == (machine.movable * page, machine.kernel * page)
    assert {name: size for name, size in figures.devices.items() if size} == {
        name: pages * page for name, pages in machine.plugged.items() if pages
    }


def fold(pieces: tuple[Piece, ...], blocks: dict[int, str]) -> None:
    """Change ``blocks`` as the pieces say."""
    for piece in pieces:
        for block in range(piece.first, piece.first + piece.blocks):
            assert blocks.get(block, "absent") == piece.before
            if piece.after == "absent":
                del blocks[block]
            else:
                blocks[block] = piece.after


def errnos(of: Step | Return) -> Counter[int]:
    numbers = {name: number for number, name in NAMES.items()}
    found: Counter[int] = Counter()
    for failure in of.failures:
        found[numbers[failure.errno]] += failure.times
    return found


def note(outcome: Outcome) -> None:
    for step in outcome.steps:
        REACH("failures", len(step.failures))
        REACH("refused", step.refused)
        REACH("kills", len(step.kills))
        for piece in step.pieces:
            REACH(f"{piece.before} -> {piece.after}")
    REACH("deaths", outcome.died)


def test_the_comparison_tells_a_difference() -> None:
    """One block that went elsewhere, one byte less that came back, one failure that was not told."""
    from dataclasses import replace

    tables: dict[str, Any] = {
        "machines": ({"boot_memory": "1GiB", "slots": 1},),
        "policies": ({"name": "contig-zones"},),
    }
    steps = [("plug", "dimm:1GiB"), ("plug", "dimm:1GiB")]
    asked = question(Source(tables, "x", Path()), steps, policies=["contig-zones"])
    planned = answer(asked)
    with TemporaryDirectory() as folder:
        results = run(asked.experiment, folder)
        result = results.result(results.runs()["cell"][0])
    (outcome,) = planned.outcomes
    compare(outcome, result)
    first, second = outcome.steps
    for other in (
        replace(outcome, steps=(replace(first, pieces=(replace(first.pieces[0], after="Movable"),)), second)),
        replace(outcome, steps=(replace(first, pieces=(replace(first.pieces[0], blocks=7),)), second)),
        replace(outcome, steps=(first, replace(second, failures=()))),
        replace(outcome, returned=outcome.returned - 1),
        replace(outcome, back=(outcome.back[0], replace(outcome.back[1], returned=0))),
    ):
        with pytest.raises(AssertionError):
            compare(other, result)
