"""Results that came to harm: what commands say that only read them, and ``memhp-sim check``."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from sim.cli.main import BAD_INPUT, FAILED, main
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.results.cells import write_row
from sim.results.damage import DamageWarning
from sim.results.identity import CellId
from sim.results.locks import alone
from sim.results.manifest import TIMING_FIELD, read_manifest, write_manifest
from sim.results.store import ResultStore
from tests.experiment.examples import small
from tests.support.damages import WAYS

READ = {
    "compare": {"runs"},
    "report": {"runs", "series", "events", "guest", "details"},
    "show": {"runs", "series", "events", "guest", "details"},
    "export": {"runs", "series", "events", "guest", "details"},
}
"""Commands that only read results, and the tables without which they are not whole."""


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def read(command: str, folder: Path) -> Result:
    """Have ``command`` read the results in ``folder``."""
    one: list[object] = ["--policy", "contig-zones"]
    more: dict[str, list[object]] = {
        "compare": ["--json"],
        "report": ["--out", folder.parent / "report.html"],
        "show": one,
        "export": [*one, "--events", folder.parent / "e.csv", "--guest", folder.parent / "g.csv"],
    }
    return invoke(command, folder, *more[command])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of four runs that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    guest = {"model": "linux", "idle_use_bytes": "64MiB", "sample_every": 60}
    workload = {"name": "dimm-slots", "slots": 2, "sizes": ["512MiB", "1GiB"], "interval": 30, "duration": 120}
    changed: dict[str, Any] = {"guest": guest, "workloads": [workload]}
    run(load(small(**changed)), folder, workers=InProcess())
    return folder / "experiment"


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "experiment")
    return tmp_path / "experiment"


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    "way",
    [way if way in ("flip", "delete") else pytest.param(way, marks=pytest.mark.slow) for way in WAYS],
)
def test_who_only_reads_says_what_is_damaged_and_goes_on_or_ends(whole: Path, tmp_path: Path, way: str) -> None:
    for name in sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file()):
        folder = tmp_path / "experiment"
        shutil.copytree(whole, folder)
        WAYS[way](folder / name, np.random.default_rng(1))
        for command, tables in READ.items():
            done = read(command, folder)
            assert done.exception is None or isinstance(done.exception, SystemExit), (name, command, done.exception)
            assert done.exit_code in (0, BAD_INPUT), (name, command)
            if name.parts[0] in tables:
                assert f"Warning: {folder / name}: is " in done.stderr, (name, command)
                assert done.stderr.count("Warning") == len(set(re.findall("Warning: .*", done.stderr))), (name, command)
            else:
                assert done.exit_code == 0, (name, command, done.output)
        checked = invoke("check", folder)
        assert checked.exit_code == FAILED
        assert f"{name}\n" in checked.stdout
        shutil.rmtree(folder)


def test_of_a_part_that_is_damaged_it_is_said_how_many_runs_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sim.results.layout._UNITS_IN_PACK", 1)
    folder = run(load(small(replications=3)), tmp_path, workers=InProcess()).folder
    before = len(ResultStore(folder).keys())
    path = min((folder / "runs").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    told = re.search(r"what it held of (\d+) runs is left out here, and", plain(read("compare", folder).stderr))
    with pytest.warns(DamageWarning):
        left = ResultStore(folder).keys()
    assert told is not None
    assert int(told[1]) == before - len(left)
    assert 0 < len(left) < before


def test_check_says_that_all_is_sound(store: Path) -> None:
    done = invoke("check", store)
    assert done.exit_code == 0
    assert re.fullmatch(rf"{store}: sound \(4 runs in 8 files, [0-9.]+KiB\)\n", done.stdout)
    assert invoke("check", store.parent).stdout == done.stdout  # as other commands, it takes what holds it alone


def test_check_says_file_by_file_what_is_damaged_and_what_to_do(store: Path) -> None:
    content = bytearray((store / "guest" / "guest-00-of-01.parquet").read_bytes())
    content[len(content) // 3] ^= 16
    (store / "guest" / "guest-00-of-01.parquet").write_bytes(content)
    (store / "timings" / "timings-00-of-01.parquet").unlink()
    done = invoke("check", store)
    assert done.exit_code == FAILED
    assert done.stdout.splitlines()[:6] == [
        "guest/guest-00-of-01.parquet",
        "  is damaged: its checksum is not that of what it holds",
        "  4 runs have to be computed again",
        "timings/timings-00-of-01.parquet",
        "  is not there",
        "  how long 4 runs took is not known any more",
    ]
    command = f"memhp-sim rerun {store} --out {store.parent}"
    assert done.stdout.splitlines()[-1] == f"To mend it: {command}"
    document = json.loads(invoke("check", store, "--json").stdout)
    assert (document["sound"], document["runs"], document["runs_lost"], document["to_mend"]) == (False, 0, 4, command)
    assert [each["path"] for each in document["damaged"]] == [
        "guest/guest-00-of-01.parquet",
        "timings/timings-00-of-01.parquet",
    ]

    mended = invoke(*command.split()[1:], "--no-plots", "--workers", 1)
    assert mended.exit_code == 0
    assert mended.stderr.count("Warning: ") == 2
    assert invoke("check", store).exit_code == 0


def test_check_of_what_is_no_results_is_bad_input(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        done = invoke("check", path)
        assert done.exit_code == BAD_INPUT
        assert done.stderr.startswith(f"Error: {path} holds no results")


def test_check_tells_runs_that_are_in_no_table_yet(store: Path) -> None:
    for number in range(2):
        write_row(store, CellId(f"{number:032x}", "m", "w", "p", number, 7), '{"x": 1}', completed=True)
    said = "2 runs of a run that was interrupted, or is under way, in no table yet."
    assert invoke("check", store).stdout.splitlines()[-1] == said

    (segment,) = (store / "unpacked").iterdir()
    with segment.open("ab") as file:
        file.write(segment.read_bytes()[:50])
    with ThreadPoolExecutor() as other, alone(store):  # whoever is at work in it may be about to write the rest
        assert other.submit(invoke, "check", store).result().exit_code == 0
    done = invoke("check", store)
    assert done.exit_code == FAILED
    assert "ends within a run, as where a process was killed (50 bytes from " in done.stdout


@pytest.mark.parametrize(("layout", "whose"), [(2, "an earlier version"), (99, "a later version")])
def test_results_in_another_layout_are_refused_by_name(store: Path, layout: int, whose: str) -> None:
    manifest = read_manifest(store)
    write_manifest(store, {**manifest, "layout": layout})
    for done in (*(read(command, store) for command in READ), invoke("check", store)):
        assert done.exit_code == BAD_INPUT
        assert f"{store}: holds results of {whose} of the program, in layout {layout}" in plain(done.stderr)


def test_a_run_replaces_results_of_an_earlier_version_and_leaves_those_of_a_later_one(store: Path) -> None:
    path = store / "experiment.toml"
    manifest = read_manifest(store)
    del manifest[TIMING_FIELD]
    (store / "manifest.json").write_text(json.dumps({**manifest, "layout": 2}), "utf-8")
    arguments = ["run", path.rename(store.parent / "it.toml"), "--out", store.parent, "--no-plots", "--workers", 1]
    done = invoke(*arguments)
    assert done.exit_code == 0
    assert f"Warning: {store}: holds results of an earlier version of the program (layout 2)" in plain(done.stderr)
    assert done.stdout.endswith("4 of 4 runs completed\n")
    assert invoke("check", store).exit_code == 0

    write_manifest(store, {**read_manifest(store), "layout": 99})
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for more in ((), ("--force",)):
        done = invoke(*arguments, *more)
        assert done.exit_code == BAD_INPUT
        assert "a later version of the program, in layout 99" in done.stderr
        assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_file_beside_them_is_nobodys_business(store: Path) -> None:
    beside = [store / name for name in ("notes.txt", "runs/notes.txt", "events/mine.parquet", "series/x.tmp")]
    for path in beside:
        path.write_text("mine")
    assert invoke("check", store).exit_code == 0
    done = invoke("rerun", store, "--out", store.parent, "--no-plots", "--workers", 1, "--force")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [path.read_text() for path in beside] == ["mine"] * len(beside)


def test_check_looks_at_a_recommendation_too(store: Path) -> None:
    (store / "recommendation.json").write_text("{", "utf-8")
    done = invoke("check", store)
    assert done.exit_code == FAILED
    assert done.stdout.startswith("recommendation.json\n  is no recommendation: ")


@pytest.mark.parametrize("name", ["-x y", "a'b", "experiment"])
def test_what_check_says_mends_it_wherever_the_folder_is(
    store: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store.parent)
    store.rename(store.parent / "moved")
    place = Path(name)
    place.mkdir()
    (store.parent / "moved").rename(place / "other")
    (place / "other" / "series" / "series-00-of-01.parquet").unlink()
    before, _, command = invoke("check", f"./{place}/other").stdout.splitlines()[-1].partition("; then: memhp-sim ")
    assert before == "To mend it: give the folder the name of its experiment again, experiment"
    (place / "other").rename(place / "experiment")
    assert invoke("check", f"./{place}/experiment").stdout.splitlines()[-1] == f"To mend it: memhp-sim {command}"
    assert invoke(*shlex.split(command), "--no-plots", "--workers", 1).exit_code == 0
    assert invoke("check", f"./{place}/experiment").exit_code == 0
    monkeypatch.chdir(place / "experiment")
    (Path("series") / "series-00-of-01.parquet").unlink()
    command = invoke("check", ".").stdout.splitlines()[-1].removeprefix("To mend it: memhp-sim ")
    assert invoke(*shlex.split(command), "--no-plots", "--workers", 1).exit_code == 0
    assert invoke("check", ".").exit_code == 0


def test_check_looks_at_earlier_runs_too(store: Path) -> None:
    shutil.copytree(store, store.parent / "copy")
    (store / "earlier").mkdir()
    (store.parent / "copy").rename(store / "earlier" / "1")
    assert invoke("check", store).exit_code == 0
    (store / "earlier" / "1" / "series" / "series-00-of-01.parquet").write_bytes(b"PAR1")
    done = invoke("check", store)
    assert done.exit_code == FAILED
    assert done.stdout.startswith("earlier/1/series/series-00-of-01.parquet\n")
    assert "earlier runs are lost there, which are no part of the experiment any more" in done.stdout
    assert "To mend it" not in done.stdout
    assert json.loads(invoke("check", store, "--json").stdout)["to_mend"] is None
