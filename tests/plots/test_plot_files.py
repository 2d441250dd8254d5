"""The files of an experiment's figures: drawn once, and again where their data are others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.plots import registry, saving
from sim.plots.files import NOTES, damaged, save_all
from sim.plots.saving import save
from sim.results.damage import DamageWarning
from sim.results.identity import CellId
from sim.results.store import ResultStore
from tests.plots.by_hand import OUT_OF_ORDER, hand_run
from tests.support.damages import WAYS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from sim.analysis.scenario import Scenario


def write(store: ResultStore, workload: str, length: float, key: str) -> None:
    """Store a run of each policy."""
    for policy in OUT_OF_ORDER:
        store.write(CellId(f"{key}{workload}{policy}", "m", workload, policy, 0, 1), hand_run(length))


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    found = ResultStore(tmp_path / "results")
    for workload in ("one", "two"):
        write(found, workload, 100.0, "a")
    return found


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The figures that are drawn."""
    found: list[str] = []
    draw = registry.Kind.draw

    def noted(kind: registry.Kind, store: ResultStore, scenario: Scenario, **choices: object) -> Figure:
        found.append(f"{kind.function.partition(':')[0]} {scenario.workload}")
        return draw(kind, store, scenario, **choices)

    monkeypatch.setattr(registry.Kind, "draw", noted)
    return found


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {NOTES}


KINDS = ("memory", "scores", "ratio")
"""The last has nothing to tell here."""


def test_what_is_there_of_the_same_data_is_not_drawn_again(
    store: ResultStore, tmp_path: Path, drawn: list[str]
) -> None:
    folder = tmp_path / "plots"
    first = save_all(store, folder, OUT_OF_ORDER, kinds=KINDS)
    assert sorted(drawn) == ["memory one", "memory two", "scores one", "scores two"]
    assert {path.name for path in first} == names(folder) == {
        f"{kind}-m-{workload}.png" for kind in ("memory", "scores") for workload in ("one", "two")
    }  # fmt: skip
    drawn.clear()
    assert save_all(store, folder, OUT_OF_ORDER, kinds=KINDS) == first
    assert drawn == []


def test_just_those_are_drawn_again_whose_data_changed(store: ResultStore, tmp_path: Path, drawn: list[str]) -> None:
    folder = tmp_path / "plots"
    save_all(store, folder, OUT_OF_ORDER, kinds=KINDS)
    drawn.clear()
    before = (folder / "memory-m-one.png").read_bytes()
    store.prune([f"atwo{policy}" for policy in OUT_OF_ORDER])
    write(store, "one", 200.0, "b")
    save_all(store, folder, OUT_OF_ORDER, kinds=KINDS)
    assert drawn == ["memory one", "scores one"]
    assert (folder / "memory-m-one.png").read_bytes() != before


@pytest.mark.parametrize(
    "change",
    [
        {"policies": ("alpha", "zeta", "mid")},  # which says their colours
        {"bound": "mid"},
        {"baseline": "mid"},
        {"formats": ("svg",)},
    ],
)
def test_all_are_drawn_again_where_something_else_is_said_of_them(
    change: dict[str, object], store: ResultStore, tmp_path: Path, drawn: list[str]
) -> None:
    asked: dict[str, object] = {"policies": OUT_OF_ORDER, "kinds": ("memory",)}
    save_all(store, tmp_path / "plots", **asked)  # type: ignore[arg-type]
    drawn.clear()
    paths = save_all(store, tmp_path / "plots", **{**asked, **change})  # type: ignore[arg-type]
    assert drawn == ["memory one", "memory two"]
    assert {path.name for path in paths} == names(tmp_path / "plots")


def test_other_figures_go_and_other_files_stay(store: ResultStore, tmp_path: Path, drawn: list[str]) -> None:
    folder = tmp_path / "plots"
    save_all(store, folder, OUT_OF_ORDER, kinds=("memory", "scores"))
    for name in ("notes.txt", "old.png", "old.svg"):
        (folder / name).touch()
    drawn.clear()
    save_all(store, folder, OUT_OF_ORDER, kinds=("scores", "map"))
    assert drawn == ["memory_map one", "memory_map two"]
    assert names(folder) == {
        "notes.txt",
        *(f"{kind}-m-{of}.png" for kind in ("scores", "map") for of in ("one", "two")),
    }


@pytest.mark.parametrize("notes", [b"", b"[1]", b'{"figures": {"memory-m-one": 1}}', b"\xff"])
def test_without_its_notes_a_folder_is_drawn_anew(
    notes: bytes, store: ResultStore, tmp_path: Path, drawn: list[str]
) -> None:
    save_all(store, tmp_path, OUT_OF_ORDER, kinds=("memory",))
    (tmp_path / NOTES).write_bytes(notes)
    with pytest.warns(DamageWarning, match=f"{NOTES}: does not say of what the figures were drawn; drawn anew"):
        save_all(store, tmp_path, OUT_OF_ORDER, kinds=("memory",))
    assert drawn == ["memory one", "memory two"] * 2


def test_a_figure_that_is_lost_is_drawn_again(store: ResultStore, tmp_path: Path, drawn: list[str]) -> None:
    save_all(store, tmp_path, OUT_OF_ORDER, kinds=("memory",))
    (tmp_path / "memory-m-two.png").unlink()
    drawn.clear()
    with pytest.warns(DamageWarning, match="memory-m-two.png: is not there; drawn anew"):
        save_all(store, tmp_path, OUT_OF_ORDER, kinds=("memory",))
    assert drawn == ["memory two"]


@pytest.mark.parametrize("way", ["flip", "truncate", "folder", "link", "empty"])
def test_a_figure_that_came_to_harm_is_drawn_again(
    store: ResultStore, tmp_path: Path, drawn: list[str], way: str
) -> None:
    save_all(store, tmp_path, OUT_OF_ORDER, kinds=("memory",))
    path = tmp_path / "memory-m-two.png"
    before = path.read_bytes()
    WAYS[way](path, np.random.default_rng(1))
    assert [damage.path for damage in damaged(tmp_path)] == [path]
    drawn.clear()
    with pytest.warns(DamageWarning, match=f"{path.name}: is "):
        save_all(store, tmp_path, OUT_OF_ORDER, kinds=("memory",))
    assert drawn == ["memory two"]
    assert path.read_bytes() == before
    assert damaged(tmp_path) == []
    if way == "folder":
        assert [each.read_text() for each in tmp_path.glob("*.aside-*/notes.txt")] == ["mine"]


@pytest.mark.parametrize("what", [".", NOTES])
def test_what_is_in_the_way_of_figures_is_set_aside(store: ResultStore, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "plots"
    way = folder if what == "." else folder / what
    way.mkdir(parents=True) if way != folder else way.write_text("mine")
    with pytest.warns(DamageWarning, match=f"{way}: is "):
        save_all(store, folder, OUT_OF_ORDER, kinds=("memory",))
    assert len(names(folder) & {"memory-m-one.png", "memory-m-two.png"}) == 2
    assert len([*way.parent.glob(f"{way.name}.aside-*")]) == 1


def test_what_was_drawn_before_an_interruption_is_kept(
    store: ResultStore, tmp_path: Path, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(figure: Figure, stem: Path, formats: Sequence[str]) -> list[Path]:
        if stem.name == "memory-m-two":
            raise KeyboardInterrupt
        return save(figure, stem, formats)

    with monkeypatch.context() as patched:
        patched.setattr(saving, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_all(store, tmp_path, OUT_OF_ORDER, kinds=("memory",))
    drawn.clear()
    save_all(store, tmp_path, OUT_OF_ORDER, kinds=("memory",))
    assert drawn == ["memory two"]
