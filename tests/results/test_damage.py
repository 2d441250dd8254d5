"""Stores that come to harm: what cannot be read is named, and computed again; nothing else is touched."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.results import layout
from sim.results.damage import DamageWarning
from sim.results.inspection import inspect
from sim.results.store import ResultStore
from tests.experiment.examples import small
from tests.support.damages import WAYS, damage

if TYPE_CHECKING:
    from sim.experiment.plan import Experiment

SEEDS = 200
QUICK = 40
"""Of which so many are tried among the quick tests."""


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return all that the store says but for times, of which only of what they are."""
    store = ResultStore(folder)
    found = {"runs": store.runs(), "series": store.series(), "events": store.events()}
    found["guest"] = pd.concat([*store.parts("guest")], ignore_index=True)
    found["timings"] = store.timings()[["machine", "workload", "policy", "cell", "replication"]]
    for key in store.whole():
        result = store.result(key)
        found[key] = pd.DataFrame({"said": [repr(result.boot), repr(result.counters), repr(result.guest.keys())]})
    return found


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        order = [each for each in ("cell", "t_us") if each in frame]
        there, wanted = ((each.sort_values(order, kind="stable") if order else each) for each in (found[name], frame))
        pd.testing.assert_frame_equal(there.reset_index(drop=True), wanted.reset_index(drop=True))


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    guest = {"model": "linux", "idle_use_bytes": "64MiB", "sample_every": 60}
    workload = {"name": "dimm-slots", "slots": 2, "sizes": ["512MiB", "1GiB"], "interval": 30, "duration": 120}
    changed: dict[str, Any] = {"guest": guest, "workloads": [workload]}
    return load(small(**changed))


@pytest.fixture(scope="module")
def calm(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in several packs that nothing happened to."""
    folder = tmp_path_factory.mktemp("calm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "_UNITS_IN_PACK", 1)
        run(experiment, folder, workers=InProcess())
    return folder


@pytest.fixture(scope="module")
def expected(calm: Path) -> dict[str, pd.DataFrame]:
    return tables(calm / "experiment")


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_UNITS_IN_PACK", 1)


@pytest.mark.parametrize(
    "seed", [*range(QUICK), *(pytest.param(each, marks=pytest.mark.slow) for each in range(QUICK, SEEDS))]
)
def test_a_damaged_store_is_mended_by_the_next_run(
    experiment: Experiment, calm: Path, expected: dict[str, pd.DataFrame], tmp_path: Path, seed: int
) -> None:
    shutil.copytree(calm, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "experiment"
    rng = np.random.default_rng(seed)
    harmed = damage(folder, rng, int(rng.integers(1, 4)))
    with pytest.warns(DamageWarning) as told:
        run(experiment, tmp_path, workers=InProcess(), force=bool(rng.random() < 0.1))
    said = [str(each.message) for each in told]
    unknown = {path.stem[-8:] for path in harmed if path.parent.name == "runs"}
    for path, way in harmed.items():
        if way == "delete" and path.stem[-8:] in unknown:
            continue  # nothing tells that it was there
        assert any(str(path) in each for each in said), [path, way, harmed, *said]
    assert_same(tables(folder), expected)
    assert inspect(folder).damages == []
    for path, way in harmed.items():
        if way == "folder":
            assert [each.read_text() for each in path.parent.glob(f"{path.name}.aside-*/notes.txt")] == ["mine"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run(experiment, tmp_path, workers=InProcess()).reused == len(experiment)


@pytest.mark.parametrize("name", [*layout.ALL_TABLES, layout.UNPACKED])
def test_a_file_where_a_folder_should_be_is_set_aside(
    experiment: Experiment, calm: Path, expected: dict[str, pd.DataFrame], tmp_path: Path, name: str
) -> None:
    shutil.copytree(calm, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "experiment" / name
    shutil.rmtree(path, ignore_errors=True)
    path.write_text("mine")
    with pytest.warns(DamageWarning) as told:
        run(experiment, tmp_path, workers=InProcess())
    said = f"{path}: is no folder, as should be there; set aside as {name}.aside-"
    assert sum(str(each.message).startswith(said) for each in told) == 1
    assert_same(tables(tmp_path / "experiment"), expected)
    assert [each.read_text() for each in path.parent.glob(f"{name}.aside-*")] == ["mine"]


def test_what_may_not_be_read_is_computed_again(
    experiment: Experiment,
    calm: Path,
    expected: dict[str, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(calm, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "experiment" / "events" / "events-00-of-02.parquet"
    number = path.stat().st_ino
    (tmp_path / "held").hardlink_to(path)  # else its number may go to a file that is written in its place
    opened = pa.memory_map

    def refused(name: str) -> pa.MemoryMappedFile:
        if Path(name).stat().st_ino == number:
            raise PermissionError(13, "Permission denied", name)
        return opened(name)

    monkeypatch.setattr(pa, "memory_map", refused)
    with pytest.warns(DamageWarning, match=re.escape(f"{path}: cannot be read (Permission denied); 2 runs have to be")):
        run(experiment, tmp_path, workers=InProcess())
    assert_same(tables(tmp_path / "experiment"), expected)


# What is in no table yet ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interrupted(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is there of a run that was killed before it had packed anything."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim.results.packing.settle", lambda *_, **__: 0)
        run(experiment, folder, workers=InProcess())
    assert [path.name for path in (folder / "experiment").iterdir() if path.is_dir()] == ["unpacked"]
    return folder


@pytest.mark.parametrize("seed", [*range(15), *(pytest.param(each, marks=pytest.mark.slow) for each in range(15, 100))])
def test_what_is_damaged_before_it_is_in_a_table_is_computed_again(
    experiment: Experiment, interrupted: Path, expected: dict[str, pd.DataFrame], tmp_path: Path, seed: int
) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "experiment"
    (segment,) = (folder / "unpacked").iterdir()
    way = list(WAYS)[seed % len(WAYS)]
    WAYS[way](segment, np.random.default_rng(seed))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        report = run(experiment, tmp_path, workers=InProcess())
    said = [str(each.message) for each in told if issubclass(each.category, DamageWarning)]
    assert len(said) == len(told)
    assert way == "delete" or any(str(segment) in each for each in said)  # nothing tells of what is gone
    assert report.completed > 0 or way in ("flip", "zeros", "truncate")  # which may be in the times
    assert_same(tables(folder), expected)
    assert inspect(folder).damages == []


def test_what_lies_behind_damage_is_not_lost(experiment: Experiment, interrupted: Path, tmp_path: Path) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    (segment,) = (tmp_path / "experiment" / "unpacked").iterdir()
    content = bytearray(segment.read_bytes())
    content[200] ^= 1
    segment.write_bytes(content)
    with pytest.warns(
        DamageWarning, match=rf"{segment.name}: is damaged \(\d+ bytes from 0 on\); what it held there has"
    ):
        report = run(experiment, tmp_path, workers=InProcess())
    assert (report.reused, report.completed) == (len(experiment) - 1, 1)


def test_a_foreign_file_among_what_is_in_no_table_is_left_alone(
    experiment: Experiment, interrupted: Path, tmp_path: Path
) -> None:
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    beside = tmp_path / "experiment" / "unpacked" / "notes.cells"
    beside.write_text("mine")
    assert run(experiment, tmp_path, workers=InProcess()).reused == len(experiment)
    assert beside.read_text() == "mine"
