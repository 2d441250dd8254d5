"""Shipped experiments are found by their names, from anywhere; files of one's own go before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.experiment import shipped as module
from sim.experiment.load import load
from sim.experiment.shipped import find, shipped, shipped_folder, what_is_near
from sim.experiment.shipped_list import listed
from sim.faults import InputError
from tests.experiment.examples import small


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def test_every_shipped_file_has_a_name_that_loads_it() -> None:
    files = sorted(shipped_folder().rglob("*.toml"))
    assert len(files) > 30
    assert sorted(find(name) for name in shipped()) == files
    assert {"quickstart", "tradeoff", "recipes/kernel-logs", "incidents/neon-x60"} <= shipped().keys()


def test_the_last_part_of_a_name_does_where_it_is_one_experiment_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find("neon-x60") == find("incidents/neon-x60") == shipped_folder() / "incidents" / "neon-x60.toml"
    root = tmp_path / "experiments"
    for name in ("incidents/a", "recipes/a", "incidents/b"):
        path = root / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.setattr(module, "shipped_folder", lambda: root)
    assert find("b") == root / "incidents" / "b.toml"
    assert str(find("a")) == "a"
    assert find("recipes/a") == root / "recipes" / "a.toml"


def test_a_file_of_that_name_goes_first_and_a_folder_only_where_folders_are_read(tmp_path: Path) -> None:
    (tmp_path / "tradeoff").mkdir()
    assert find("tradeoff") == shipped_folder() / "tradeoff.toml"
    assert str(find("tradeoff", folders=True)) == "tradeoff"
    (tmp_path / "quickstart").write_text("a file without an ending")
    assert str(find("quickstart")) == "quickstart"


def test_a_name_with_the_ending_of_a_file_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"quickstart\.toml: does not exist; did you mean the shipped experiment quick"
    ):
        load("quickstart.toml")
    (tmp_path / "quickstart.toml").write_text(
        "[[machines]]\nboot_memory = '1GiB'\n[[policies]]\nname = 'offline'\n[[workloads]]\nname = 'steps'\n"
    )
    assert load("quickstart.toml").policies == ["offline"]


def test_a_slip_is_told_with_what_is_near_of_both_kinds(tmp_path: Path) -> None:
    (tmp_path / "quickstart2.toml").write_text("")
    assert what_is_near(tmp_path / "quickstrat.toml") == (
        f"did you mean the file {tmp_path}/quickstart2.toml, or the shipped experiment quickstart?"
        " memhp-sim experiments lists what is shipped"
    )
    assert "experiment recipes/kernel-logs?" in what_is_near(tmp_path / "experiments/recipes/kernel-logs.toml")
    assert what_is_near(tmp_path / "something-else") == ""
    assert what_is_near(Path("something-else")) == "memhp-sim experiments lists what is shipped"
    assert what_is_near(Path("something-else.toml")) == ""


def test_names_that_are_no_paths_are_no_reason_to_stop() -> None:
    for name in ("a\0b", "x" * 5000, "nothing/of/the/kind"):
        assert str(find(name)) == name
        with pytest.raises(InputError):
            load(name)


def test_a_mapping_is_still_what_it_was() -> None:
    assert len(load(small())) == 8


def test_data_is_found_beside_the_experiment_and_its_name_is_the_file_s() -> None:
    experiment = load("bitbrains-5min")
    assert (experiment.name, experiment.most_replications) == ("bitbrains-5min", 15)


def test_the_list_has_all_with_what_they_take_and_what_they_would_play() -> None:
    found = {each.name: each for each in listed()}
    assert found.keys() == shipped().keys()
    assert all(each.description for each in found.values())
    assert all(each.runs and each.core_seconds for each in found.values())
    assert found["tradeoff"].runs == 980
    assert found["recipes/bitbrains-month"].own_data == ("workloads.month.demand.path",)
    for each in found.values():  # every key can be set
        for key in each.own_data:
            file = shipped_folder() / "data" / "bitbrains-5min.csv.gz"
            with pytest.raises(InputError, match=r"\.path|columns|row"):
                load(each.name, settings={key: f"{file}.not"})


@pytest.mark.slow
def test_times_are_about_right() -> None:
    from tests.support.shipped_times import times

    told = {each.name: each.core_seconds for each in listed()}
    for name, seconds in times().items():
        assert seconds / 4 < (told[name] or 0) < seconds * 4, name
