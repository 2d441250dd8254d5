"""The look-alikes have the published figures, and the figures are those of the real data."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.look_alikes.data_sets import DATA_SETS
from sim.look_alikes.draws import Quantiles, evenly, paired, steady
from sim.look_alikes.figures import Figure, lagged
from sim.look_alikes.page import NAME, page_text
from sim.look_alikes.tables import read_table, write_table
from sim.look_alikes.writing import real_tables
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from sim.look_alikes.figures import Tables

DATA = ROOT / "experiments" / "data"
FILES = [(name, role) for name, each in DATA_SETS.items() for role, file in each.files.items() if file.name]


@cache
def made(name: str) -> Tables:
    return DATA_SETS[name].tables()


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_figure_that_was_published_is_met_within_the_factor_that_is_told(name: str) -> None:
    def off(figure: Figure, within: float) -> str | None:
        value = figure.measure(made(name))
        return None if figure.real / within <= value <= figure.real * within else f"{figure.what}: {value}"

    fitted = [(figure, figure.within) for figure in DATA_SETS[name].figures if figure.within is not None]

    assert [wrong for each in fitted if (wrong := off(*each))] == []
    assert fitted


@pytest.mark.parametrize(("name", "role"), FILES)
def test_a_shipped_file_is_what_is_made_from_the_seed(name: str, role: str) -> None:
    path = DATA / DATA_SETS[name].files[role].name
    shipped, fresh = read_table(path), made(name)[role]

    assert list(shipped) == list(fresh)
    for column, values in fresh.items():
        if values.dtype.kind in "if":
            # Logarithms differ in their last bits between processors, and so may what is rounded.
            assert np.allclose(shipped[column], values, rtol=1e-6, atol=1.01), column
        elif not (values == "").any():
            assert shipped[column].tolist() == values.tolist(), column
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("name", DATA_SETS)
def test_what_is_told_of_the_real_data_is_what_their_files_hold(name: str, shared_dir: Path) -> None:
    folder = shared_dir / "data" / name
    if not folder.is_dir():
        pytest.skip("the real data is not here")
    tables = real_tables(DATA_SETS[name], folder)
    found = {}
    for figure in DATA_SETS[name].figures:
        try:
            found[figure.what, figure.real] = figure.measure(tables)
        except KeyError:  # of samples that the files do not have
            continue

    wrong = {what: value for (what, real), value in found.items() if value != pytest.approx(real, rel=0.1)}
    assert wrong == {}
    assert len(found) > 2


@pytest.mark.parametrize(("name", "role"), FILES)
def test_a_look_alike_has_no_column_that_the_real_file_has_not(name: str, role: str, shared_dir: Path) -> None:
    path = shared_dir / "data" / name / DATA_SETS[name].files[role].real
    if not path.is_file():
        pytest.skip("the real data is not here")

    assert set(made(name)[role]) <= set(read_table(path))


def test_the_page_shows_the_fit_as_it_is() -> None:
    assert (ROOT / "docs" / NAME).read_text(encoding="utf-8") == page_text()


def test_another_seed_makes_other_machines_with_about_the_same_figures() -> None:
    data_set = DATA_SETS["google-2011-vms"]
    other = data_set.tables(seed=2)

    assert not np.array_equal(other["days"]["m0"], made("google-2011-vms")["days"]["m0"])
    for figure in data_set.figures[:8]:
        assert figure.measure(other) == pytest.approx(figure.measure(made("google-2011-vms")), rel=0.3)


def test_quantiles_are_met_where_they_are_known_and_straight_in_the_logarithm_between() -> None:
    quantiles = Quantiles([(0, 1), (0.5, 100), (1, 10_000)])

    assert quantiles(np.array([0, 0.25, 0.5, 0.75, 1])) == pytest.approx([1, 10, 100, 1000, 10_000])
    assert Quantiles([(0, 0), (1, 8)], straight=True)(np.array([0.25])) == pytest.approx([2])


def test_even_draws_are_one_of_each_part_and_paired_ones_go_with_them() -> None:
    rng = np.random.default_rng(1)
    first = evenly(rng, 4)

    assert sorted(first) == pytest.approx([0.125, 0.375, 0.625, 0.875])
    assert paired(rng, first, 1.0) == pytest.approx(first)
    many = evenly(rng, 2000)
    assert np.corrcoef(many, paired(rng, many, 0.8))[0, 1] == pytest.approx(0.78, abs=0.05)
    assert np.corrcoef(many, paired(rng, many, 0.0))[0, 1] == pytest.approx(0, abs=0.07)


def test_a_steady_path_keeps_its_share_from_sample_to_sample() -> None:
    path = steady(np.random.default_rng(1), 20_000, 0.9)

    assert path.std() == pytest.approx(1, abs=0.1)
    assert lagged(path, 1) == pytest.approx(0.9, abs=0.02)
    assert lagged(path, 2) == pytest.approx(0.81, abs=0.03)


def test_likeness_of_what_does_not_vary_is_no_number() -> None:
    assert np.isnan(lagged(np.ones(10), 1))


def test_tables_are_the_same_bytes_every_time_and_come_back_as_they_were(tmp_path: Path) -> None:
    table = {"name": np.array(["a", "b"]), "mib": np.array([1.25, 2.0]), "count": np.array([3, 4])}
    for name in ("one.csv.gz", "two.csv.gz"):
        write_table(table, tmp_path / name)

    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()
    back = read_table(tmp_path / "one.csv.gz")
    assert {column: values.tolist() for column, values in back.items()} == {
        "name": ["a", "b"],
        "mib": [1.25, 2.0],
        "count": [3, 4],
    }
