"""Results count as current only under the code that computed them: what belongs to that code, and what does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sim import __version__
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.run import run
from sim.results import identity
from tests.experiment.examples import small
from tests.support.packed import cells_in
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


COMPUTING = {
    "policies",
    "policies/clairvoyant",
    "policies/parts",
    "policies/testkit",
    "sim",
    "sim/devices",
    "sim/experiment",
    "sim/guest",
    "sim/incidents",
    "sim/kernel",
    "sim/machine",
    "sim/memory",
    "sim/plugins",
    "sim/record",
    "sim/replay",
    "sim/results",
    "sim/scores",
    "sim/traces",
    "workloads",
    "workloads/data",
    "workloads/host_packing",
    "workloads/neonvm",
    "workloads/parts",
    "workloads/parts/controllers",
    "workloads/parts/requests",
    "workloads/parts/traces",
    "workloads/testkit",
}
"""Folders whose files can change what a run leaves behind. Whoever adds a folder says here to which kind it belongs."""

LOOKING = {
    "sim/analysis", "sim/cli", "sim/comparison", "sim/look_alikes", "sim/plots", "sim/readers", "sim/recommend",
    "sim/report", "sim/report/assets", "sim/report/charts", "sim/report/memory_map", "sim/report/templates",
    "sim/snapshot", "sim/starting", "sim/what_if",
}  # fmt: skip
"""Folders that only look at results."""


def sources(root: Path) -> list[Path]:
    return [path for package in ("policies", "sim", "workloads") for path in (root / package).rglob("*.*")]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for package in ("policies", "sim", "workloads"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def version(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """The version that the program would have if it were the copy."""
    monkeypatch.setattr(identity, "__file__", str(copy / "sim" / "results" / "identity.py"))

    def ask() -> str:
        identity.code_version.cache_clear()
        return identity.code_version()

    yield ask
    identity.code_version.cache_clear()


def test_a_copy_elsewhere_has_the_same_version(version: Callable[[], str]) -> None:
    elsewhere = version()
    identity.code_version.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "__file__", str(ROOT / "sim" / "results" / "identity.py"))
        assert identity.code_version() == elsewhere


def test_the_order_in_which_a_disk_lists_files_does_not_matter(
    version: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version()
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda folder, pattern: reversed(list(listed(folder, pattern))))
    assert version() == before


def test_every_folder_is_known_to_be_of_one_kind() -> None:
    folders = {path.parent.relative_to(ROOT) for path in sources(ROOT)}
    assert {folder.as_posix() for folder in folders if folder.name != "__pycache__"} == COMPUTING | LOOKING


def files_of(folder: Path, endings: Iterable[str]) -> dict[Path, bytes]:
    """Return the files of a folder with their content."""
    found = {path: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in endings}
    assert found
    return found


def another(content: bytes) -> bytes:
    """Return another content of the same length: neither names nor sizes give it away."""
    return content[:-1] + (b" " if content.endswith(b"\n") else b"\n")


@pytest.mark.parametrize("folder", sorted(COMPUTING))
def test_a_changed_file_changes_the_version_where_results_depend_on_it(
    folder: str, copy: Path, version: Callable[[], str]
) -> None:
    before = version()
    for path, content in files_of(copy / folder, (".py", ".csv")).items():
        path.write_bytes(another(content))
        changed = version()
        path.write_bytes(content)
        assert changed != before, path.relative_to(copy)
    assert version() == before


@pytest.mark.parametrize("folder", sorted(LOOKING))
def test_no_changed_file_changes_the_version_where_none_can_change_results(
    folder: str, copy: Path, version: Callable[[], str]
) -> None:
    before = version()
    files = files_of(copy / folder, (".py", ".csv", ".css", ".js", ".j2"))
    for path, content in files.items():
        path.write_bytes(another(content))
    changed = version()
    for path, content in files.items():
        path.write_bytes(content)
    assert changed == before


@pytest.mark.parametrize("folder", sorted(COMPUTING | LOOKING))
def test_a_file_that_is_added_renamed_or_taken_away_counts_like_a_changed_one(
    folder: str, copy: Path, version: Callable[[], str]
) -> None:
    before = version()
    one = copy / folder / ("new.csv" if folder == "workloads/data" else "new.py")
    other = one.with_stem("newer")
    one.write_text("", "utf-8")
    added = version()
    one.rename(other)
    renamed = version()
    other.unlink()

    assert version() == before
    assert len({before, added, renamed}) == (1 if folder in LOOKING else 3)


def test_what_two_files_hold_may_not_be_swapped(copy: Path, version: Callable[[], str]) -> None:
    before = version()
    one, other = copy / "sim" / "faults.py", copy / "sim" / "units.py"
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    swapped = version()
    one.write_bytes(contents[0])
    other.write_bytes(contents[1])

    assert swapped != before == version()


def test_what_is_no_code_does_not_count(copy: Path, version: Callable[[], str]) -> None:
    before = version()
    # The last is how an installed package has the shipped experiments, which are input.
    for name in ("sim/notes.txt", "sim/memory/__pycache__/zones.cpython-311.pyc", "sim/shipped/incidents/log.csv"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("x", "utf-8")

    assert version() == before
    assert before.startswith(f"{__version__}+")


def test_of_an_installed_program_only_what_it_has_installed_counts(copy: Path, version: Callable[[], str]) -> None:
    before = version()
    record = "".join(f"{path.relative_to(copy).as_posix()},,\n" for path in sources(copy))
    info = copy / "memhp_sim-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memhp-sim\nVersion: 9\n", "utf-8")
    # The command lies outside; the last was taken away by hand.
    (info / "RECORD").write_text(record + "../../bin/memhp-sim,,\nsim/gone.py,,\n", "utf-8")
    foreign = copy / "policies" / "of_somebody_else.py"
    foreign.write_text("", "utf-8")

    installed = version()
    own = copy / "policies" / "fixed.py"
    content = own.read_bytes()
    own.write_bytes(content + b"#")
    changed = version()
    own.write_bytes(content)
    shutil.rmtree(info)
    with_foreign = version()
    foreign.unlink()

    assert installed == before
    assert len({before, changed, with_foreign}) == 3


def test_results_of_an_older_program_are_computed_again_and_do_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = small(replications=1)
    del tables["workloads"][1:]
    old = run(load(tables), tmp_path, workers=InProcess())
    keys = cells_in(old.folder, "events")
    monkeypatch.setattr(identity, "code_version", lambda: "another")

    new = run(load(tables), tmp_path, workers=InProcess())

    assert (new.reused, new.completed) == (0, 2)
    there = cells_in(new.folder, "events")
    assert len(keys) == len(there) == 2
    assert not keys & there
