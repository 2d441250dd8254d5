"""HyperAlloc's controller on what it saw in its authors' runs, or in made-up ones of the same shape, by the command."""

from __future__ import annotations

import csv
import gzip
import random
from collections import defaultdict, deque
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import tomli_w
from click.testing import CliRunner

from sim.api import open_results
from sim.cli.main import main
from sim.record.recorder import EventKind
from sim.units import GIB, MIB, MICROSECONDS
from tests.support.pages import PAGE_SIZE
from tests.support.places import ROOT
from workloads.hyperalloc import Rule

if TYPE_CHECKING:
    from pathlib import Path

    from sim.api import Results

RULE: Final = Rule(2 * GIB, 16 * GIB, GIB, 0.9)
HEADER: Final = ("run", "t_s", "rss_mib", "small_mib", "huge_mib", "cached_mib", "total_mib")


class Sample(NamedTuple):
    """Seconds, and MiB: resident on the host, free, free in huge chunks, page cache, and the guest's size."""

    t_s: float
    rss: float
    small: float
    huge: float
    cached: float
    total: float

    @property
    def size(self) -> int:
        """The nominal size in bytes: at the start half a MiB less is reported."""
        return round(self.total / 1024) * GIB


def recorded(path: Path) -> dict[str, list[Sample]]:
    """Return the samples of each run that the controller was at work in."""
    runs: dict[str, list[Sample]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["run"].startswith("virtio-mem"):
                runs[row["run"]].append(Sample(*(float(row[name]) for name in HEADER[1:])))
    return runs


def experiment(path: Path, run: str, *, end: float = 0.0) -> dict[str, Any]:
    """Return an experiment that has a guest use what was used in ``run``, and the controller see what it saw."""
    common = {"path": str(path), "series": run}
    columns = {"time": "t_s", "series": "run"}
    demand = {
        "user": {"column": "total_mib", "less": ["small_mib", "cached_mib"], "unit": "1MiB"},
        "page_cache": {"column": "cached_mib", "unit": "1MiB"},
    }
    seen = {"free_huge": {"column": "huge_mib", "unit": "1MiB"}}
    return {
        "seed": 1,
        "replications": 1,
        "machines": [{"label": "2 GiB", "boot_memory": "2GiB"}],
        "guest": {"model": "linux"},
        "timing": {"profile": "qemu-vfio" if "vfio" in run else "qemu-bare"},
        "policies": [{"name": "online-movable"}],
        "workloads": [
            {
                "label": "build",
                "together": [
                    {"name": "guest-trace", **common, "columns": columns | demand, "includes_system": True, "end": end},
                    {"name": "hyperalloc", **common, "columns": columns | seen, "duration": end},
                ],
            }
        ],
    }


def run_of(tables: dict[str, Any], folder: Path) -> Results:
    """Run an experiment by the command."""
    file = folder / "experiment.toml"
    file.write_text(tomli_w.dumps(tables))
    result = CliRunner().invoke(main, ["run", str(file), "--out", str(folder), "--workers", "1", "--no-plots"])
    assert result.exit_code == 0, result.output
    return open_results(folder / "experiment")


def check(samples: list[Sample], results: Results, *, end: float = 0.0) -> int:
    """See each recorded size asked for at its sample and reached by the next; return how many were asked for."""
    samples = [sample for sample in samples if not end or sample.t_s <= end]
    events = results.events()
    expected = [
        (round(before.t_s * MICROSECONDS), after.size - 2 * GIB)
        for before, after in pairwise(samples)
        if after.size != before.size
    ]
    requests = events[events["kind"] == EventKind.REQUEST]
    asked = [
        (int(t_us), int(pages) * PAGE_SIZE) for t_us, pages in zip(requests["t_us"], requests["pages"], strict=True)
    ]
    if end and len(asked) == len(expected) + 1:
        asked.pop()  # decided at the last sample that is played
    assert asked == expected
    signs = {EventKind.PLUG: 1, EventKind.SUBPLUG: 1, EventKind.UNPLUG: -1, EventKind.SUBUNPLUG: -1}
    changes = [
        (int(t_us), signs[EventKind(kind)] * int(pages) * PAGE_SIZE)
        for t_us, kind, pages in zip(events["t_us"], events["kind"], events["pages"], strict=True)
        if kind in signs
    ]
    plugged = at = 0
    for sample in samples:
        while at < len(changes) and changes[at][0] < round(sample.t_s * MICROSECONDS):
            plugged += changes[at][1]
            at += 1
        assert plugged == sample.size - 2 * GIB, f"at {sample.t_s} s"
    assert not (events["kind"] == EventKind.OOM).any()
    return len(asked)


def shared_series(shared_dir: Path) -> Path:
    path = shared_dir / "data" / "hyperalloc-bench" / "series.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} of hyperalloc-bench")
    return path


def test_the_rule_gives_every_size_that_was_asked_for(shared_dir: Path) -> None:
    sizes = 0
    for samples in recorded(shared_series(shared_dir)).values():
        size = 2 * GIB
        for sample in samples:
            assert sample.size == size, f"at {sample.t_s} s"
            size = RULE.next(size, round(sample.huge * MIB))
            sizes += 1
    assert sizes > 14_000


@pytest.mark.parametrize("run", ["virtio-mem-0", "virtio-mem-vfio-1"])
def test_the_first_minutes_of_a_recorded_run_are_asked_for_and_reached_as_they_were(
    run: str, shared_dir: Path, tmp_path: Path
) -> None:
    path = shared_series(shared_dir)
    results = run_of(experiment(path, run, end=300.0), tmp_path)
    assert check(recorded(path)[run], results, end=300.0) > 5


@pytest.mark.slow
def test_all_of_every_recorded_run_is_asked_for_and_reached_as_it_was(shared_dir: Path, tmp_path: Path) -> None:
    path = shared_series(shared_dir)
    for number, (run, samples) in enumerate(recorded(path).items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert check(samples, run_of(experiment(path, run), folder)) >= 40


@pytest.mark.slow
def test_in_a_closed_loop_it_resizes_about_as_the_page_says(shared_dir: Path, tmp_path: Path) -> None:
    """The page "Controllers": resizes, and sizes while it builds (2,460 s), of recorded runs and of the model."""
    path = shared_series(shared_dir)
    page = (ROOT / "docs" / "controllers.md").read_text("utf-8")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in page.splitlines() if "| virtio-mem" in row]
    runs = recorded(path)
    assert {row[0] for row in rows} == set(runs)
    for run, *figures in rows:
        (tmp_path / run).mkdir()
        tables = experiment(path, run)
        tables["workloads"][0]["together"][1] = {"name": "hyperalloc", "period": 1.72}
        events = run_of(tables, tmp_path / run).events()
        requests = events[events["kind"] == EventKind.REQUEST]
        asked = deque(zip(requests["t_us"].tolist(), (requests["pages"] * PAGE_SIZE + 2 * GIB).tolist(), strict=True))
        size, resizes = 2 * GIB, len(asked)
        here, there, apart = [], [], []
        for sample in runs[run]:
            while asked and asked[0][0] < sample.t_s * MICROSECONDS:
                _, size = asked.popleft()
            if sample.t_s <= 2460:
                here.append(size / GIB)
                there.append(sample.size / GIB)
                apart.append(abs(here[-1] - there[-1]))
        changes = sum(one.size != other.size for one, other in pairwise(runs[run]))
        assert [int(figure) for figure in figures[:2]] == [changes, pytest.approx(resizes, abs=5)]
        means = [fmean(there), fmean(here), fmean(apart)]
        assert [float(figure) for figure in figures[2:]] == pytest.approx(means, abs=0.25)


def made_up(rng: random.Random) -> list[Sample]:
    """Return a run of the same shape: what a build uses goes up and down, and the rule follows what is free of it."""
    size, used, t_s, samples = 2 * GIB, GIB // 4, 0.0, []
    for _ in range(250):
        used = min(max(used + rng.choice((-1, 0, 0, 1)) * rng.randrange(600 * MIB), GIB // 4), size - GIB // 8)
        cached = rng.randrange(GIB // 16)
        huge = int((size - used - cached) * rng.uniform(0.5, 1.0)) if size > used + cached else 0
        small = size - used - cached
        samples.append(Sample(round(t_s, 2), 0.0, *(round(amount / MIB, 2) for amount in (small, huge, cached, size))))
        size = RULE.next(size, round(samples[-1].huge * MIB))
        t_s += rng.uniform(1.6, 1.9)
    return samples


def test_a_made_up_run_is_asked_for_and_reached_as_it_was(tmp_path: Path) -> None:
    samples = made_up(random.Random(5))  # noqa: S311  not for secrets
    path = tmp_path / "series.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        rows.writerows(["virtio-mem-vfio-7", *sample] for sample in samples)
    assert check(samples, run_of(experiment(path, "virtio-mem-vfio-7"), tmp_path)) > 20
