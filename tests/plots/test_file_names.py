"""Names of figures' files: readable, and no two the same on any system, whatever labels are."""

from __future__ import annotations

import re
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.plots.file_names import file_names
from sim.plots.files import NOTES, save_all
from sim.results.identity import CellId
from sim.results.store import ResultStore
from tests.plots.by_hand import OUT_OF_ORDER, hand_run

if TYPE_CHECKING:
    from pathlib import Path

LABELS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
SIMILAR = ["a b", "A b", "a-b", "a", "b", "a $b$", "_a b", "a.b", "a b.", "政", "策", "ß", "SS", "con", "."]
ALIKE = st.sampled_from(SIMILAR)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("plain", "plain"),
        ("2 nodes, 1 GiB", "2-nodes-1-GiB"),
        ("-a/b-", "a-b"),
        ("x 1.5", "x-1.5"),
        ("X86 on XX", "X86-on-XX"),
        ("///", "x"),
        (" ", "x"),
        ("..", "x"),
    ],
)
def test_a_label_becomes_a_file_name(label: str, name: str) -> None:
    assert file_names([("map", label)]) == [f"map-{name}"]


def test_labels_that_read_alike_in_names_are_told_apart_whatever_their_order() -> None:
    pairs = [("map", "m", "a b"), ("map", "m", "A b"), ("map", "m", "a $b"), ("map", "m a", "b")]
    found = dict(zip(pairs, file_names(pairs), strict=True))
    assert all(re.fullmatch(r"map-m-[aA]-b-[0-9a-f]{8}", name) for name in found.values())
    for order in permutations(pairs):
        assert file_names(order) == [found[pair] for pair in order]


def test_letters_that_are_lost_leave_digits_that_another_label_does_not_have() -> None:
    assert re.fullmatch("map-x-[0-9a-f]{8}", file_names([("map", "政策")])[0])
    assert file_names([("map", "政策")]) != file_names([("map", "政治")])


@given(
    st.lists(st.tuples(st.sampled_from(["map", "memory"]), LABELS | ALIKE, LABELS | ALIKE), unique=True, max_size=40)
)
def test_names_are_different_and_taken_by_every_system(figures: list[tuple[str, str, str]]) -> None:
    names = file_names(figures)
    assert len({name.casefold() for name in names}) == len(figures)
    for name, (kind, *_) in zip(names, figures, strict=True):
        # A kind stands first, so none is a name that Windows keeps for itself.
        assert re.fullmatch(rf"{kind}-[A-Za-z0-9.-]+", name)
        assert len(name) <= 120
        assert not name.endswith(".")


def test_every_figure_has_a_file_of_its_own(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    pairs = [("m", "a b"), ("m", "A b"), ("m", "a $b"), ("m", "a on m"), ("m on m", "a"), ("m", "政"), ("m", "策")]
    for number, (machine, workload) in enumerate(pairs):
        for policy in OUT_OF_ORDER:
            store.write(CellId(f"{number}{policy}", machine, workload, policy, 0, 1), hand_run(100.0))
    folder = tmp_path / "plots"
    paths = save_all(store, folder, OUT_OF_ORDER, kinds=("memory",))
    assert len(set(paths)) == len(pairs)
    assert {path.name.casefold() for path in folder.iterdir()} == {NOTES, *(path.name.casefold() for path in paths)}
