"""Shipped logs against the simulation: the sizes in their order, and the times with the profiles of their own hosts."""

from __future__ import annotations

import csv
import itertools
from statistics import median
from typing import TYPE_CHECKING

import pytest

from sim.units import GIB, MIB
from tests.support.logged_times import Row, hyperalloc, sizes_reached, table
from tests.support.places import ROOT
from tests.support.shared import by_module

if TYPE_CHECKING:
    from pathlib import Path

WITHIN = 1.5
"""The factor within which logged and simulated times have to agree."""

PAGE = (ROOT / "docs" / "logs.md").read_text("utf-8")


@pytest.fixture(scope=by_module)
def rows() -> list[Row]:
    return table()


@pytest.mark.parametrize(("log", "boot"), [("neonvm-pr705", GIB), ("sail-2026", 1976 * MIB)])
def test_every_request_of_a_log_is_reached_by_the_next_one_as_it_was(log: str, boot: int) -> None:
    reached = sizes_reached(log, boot)
    assert len(reached) == 5
    assert [size for size, _ in reached] == [plugged for _, plugged in reached]


def test_times_agree_with_what_was_logged(rows: list[Row]) -> None:
    for row in rows:
        assert 0 < row.factor <= (1.0 if row.sort == "at most" else WITHIN), row


def test_of_each_log_a_time_is_compared_that_no_profile_was_taken_from(rows: list[Row]) -> None:
    assert {row.log for row in rows} == {row.log for row in rows if row.sort != "taken from it"}
    assert sum(row.sort == "measured" for row in rows) == 5


def test_the_page_has_the_table(rows: list[Row]) -> None:
    assert "\n".join(row.markdown() for row in rows) in PAGE


def test_logged_times_are_those_of_the_data(rows: list[Row], shared_dir: Path) -> None:
    data = shared_dir / "data" / "kernel-hotplug-logs"
    with (data / "events.csv").open(encoding="utf-8", newline="") as file:
        events = list(csv.DictReader(file))
    logged = {(row.log, row.what): row.logged_ms for row in rows}

    def times(log: str, event: str) -> list[float]:
        return [float(row["uptime_s"]) * 1000 for row in events if (row["log"], row["event"]) == (log, event)]

    requests, rebuilt = times("neonvm-pr705", "request"), times("neonvm-pr705", "zonelists-rebuilt")
    since = [then - request for request, then in zip(requests, rebuilt, strict=True)]
    names = ["growth 1: first block online", "shrink 1: last block gone", "growth 2: first block online",
             "shrink 2: last block gone", "growth 3: first block online"]  # fmt: skip
    assert [logged["neonvm-pr705", name] for name in names] == pytest.approx(since, abs=1e-3)
    for log in ("neonvm-pr705", "sail-2026"):
        at = times(log, "request")
        names = [name for of, name in logged if of == log and name.endswith(": complete")]
        assert [logged[log, name] for name in names] == pytest.approx(
            [then - before for before, then in itertools.pairwise(at)], abs=1e-3
        )
    nemu = [*times("nemu-71", "block-offlined"), *times("nemu-71", "block-offline-failed")]
    assert [nemu[4] - nemu[0], nemu[5] - nemu[4]] == pytest.approx(
        [ms for (log, _), ms in logged.items() if log == "nemu-71"], abs=1e-3
    )
    offlined = times("linux-mm-2013", "block-offlined")
    assert offlined[7] - offlined[0] == pytest.approx(29.878, abs=1e-3)
    with (data / "sail-stepped-meminfo.csv").open(encoding="utf-8", newline="") as file:
        samples = [(float(row["t_s"]), float(row["memtotal_gib"])) for row in csv.DictReader(file)]
    jumps = [(then - before) * 1000 for (before, less), (then, more) in itertools.pairwise(samples) if more > less]
    assert [ms for (_, what), ms in logged.items() if "jump" in what] == pytest.approx(jumps)


@pytest.mark.parametrize(("profile", "vfio"), [("qemu-bare", "0"), ("qemu-vfio", "1")])
def test_eighteen_gib_come_and_go_as_fast_as_they_did(profile: str, vfio: str, shared_dir: Path) -> None:
    """Every iteration; the first ones of a shrink, which are slower, too. The profiles are medians of the others."""
    with (shared_dir / "data" / "hyperalloc-bench" / "latencies.csv").open(encoding="utf-8", newline="") as file:
        measured = [row for row in csv.DictReader(file) if (row["candidate"], row["vfio"]) == ("virtio-mem", vfio)]
    simulated = dict(zip(("grow", "shrink"), hyperalloc(profile), strict=True))
    factors = [
        max(ratio, 1 / ratio)
        for row in measured
        if row["op"] in simulated
        for ratio in [simulated[row["op"]] / float(row["seconds"])]
    ]
    assert len(factors) > 20
    assert max(factors) <= WITHIN
    assert median(factors) < 1.05


def test_the_page_says_how_fast_18_gib_are_with_either_profile() -> None:
    for profile in ("qemu-bare", "qemu-vfio"):
        grow, shrink = hyperalloc(profile)
        assert f"| `{profile}` | {grow:.3f} | " in PAGE
        assert f" | {shrink:.3f} | " in PAGE
