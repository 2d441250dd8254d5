"""What is read of a real machine's files is shown as ``lsmem`` shows that machine, character for character."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given, settings

from sim.cli.main import main
from sim.experiment import build
from sim.experiment.imported import experiment_tables
from sim.experiment.load import load
from sim.experiment.pictures import picture_at_start
from sim.readers.reading import read_facts
from sim.snapshot.assembly import put_together
from sim.snapshot.facts_picture import picture_of_facts
from sim.snapshot.lsmem_view import lsmem_json, lsmem_text
from sim.snapshot.run_picture import picture_of_run
from sim.snapshot.wishes import Wishes
from tests.support.pictures import pictures, recorded_maps
from tests.support.real_runs import EXPERIMENTS, random_experiment
from tests.support.sysfs_tree import installed_spacing, installed_version, real_lsmem, write_tree

if TYPE_CHECKING:
    from sim.snapshot.picture import Picture


def read(*paths: Path) -> Picture:
    picture = picture_of_facts(read_facts(paths))
    assert picture is not None
    return picture


@given(pictures(known=True))
@settings(max_examples=settings().max_examples // 2)
def test_a_copy_of_sysfs_is_shown_as_it_is(picture: Picture) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_tree(root, picture)
        assert lsmem_text(read(root)) == lsmem_text(picture)


@given(pictures(known=True))
def test_what_lsmem_printed_is_printed_again(picture: Picture) -> None:
    # Of blocks that are not online it does not say whether they are removable, and still keeps them apart by it.
    said = replace(
        picture,
        blocks=tuple(
            view._replace(removable=view.removable if view.state == "online" else False) for view in picture.blocks
        ),
    )
    with TemporaryDirectory() as folder:
        for number, text in enumerate((lsmem_text(said), lsmem_json(said))):
            file = Path(folder) / str(number)
            file.write_text(text)
            shown = read(file)
            assert text == (lsmem_json(shown) if number else lsmem_text(shown))


def show(*arguments: Path | str) -> str:
    result = CliRunner().invoke(main, ["show", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_show_prints_of_the_recorded_maps_is_what_lsmem_prints(shared_dir: Path, tmp_path: Path) -> None:
    installed_version()
    spacing = installed_spacing()
    for number, picture in enumerate(recorded_maps(shared_dir).values()):
        root = tmp_path / str(number)
        write_tree(root, picture)
        archive = tmp_path / f"{number}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(root, "copy")
        real = real_lsmem(root, "--output-all")
        for source in (root, archive):
            assert lsmem_text(read(source), spacing=spacing) == real
            # Whichever version is installed: column for column.
            assert show(source).split()[: len(real.split())] == real.split()
            entries = json.loads(real_lsmem(root, "--json", "--output-all"))["memory"]
            assert json.loads(show(source, "--json"))["memory"] == entries


def test_imported_machines_are_shown_as_lsmem_printed_them(shared_dir: Path, tmp_path: Path) -> None:
    installed_version()
    exact = 0
    for number, picture in enumerate(recorded_maps(shared_dir).values()):
        root, file = tmp_path / str(number), tmp_path / f"{number}.toml"
        write_tree(root, picture)
        done = CliRunner().invoke(main, ["import", str(root), "--out", str(file)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        real = real_lsmem(root, "--output-all")
        shown = show(file)
        if all(view.zones and view.node is not None for view in picture.blocks):
            exact += 1
            assert shown.split()[: len(real.split())] == real.split()
        else:  # what is not told is assumed, and shown
            summary = real[real.index("Memory block size") :].split()
            assert shown[shown.index("Memory block size") :].split()[: len(summary)] == summary
    assert exact >= 2


@pytest.mark.parametrize("seed", [1, 6])
def test_a_simulated_machine_that_is_copied_and_imported_is_shown_as_it_was(seed: int, tmp_path: Path) -> None:
    experiment = load(random_experiment(seed), folder=EXPERIMENTS)
    for number, cell in enumerate(experiment.cells()):
        combination, result = cell.combination, build.simulation(cell)()
        policy = build.policy(combination.policy, EXPERIMENTS)
        guest = build.guest(combination.guest)
        picture = picture_of_run(result, result.duration_us // 3, combination.machine.spec, guest, policy)
        write_tree(tmp_path / str(number), picture)
        imported = put_together(read_facts([tmp_path / str(number)]), Wishes())
        again = load(experiment_tables(imported), idle=True)
        assert lsmem_text(picture_at_start(again, again.combinations[0])) == lsmem_text(picture)


@pytest.mark.parametrize("name", ["f16-lsmem.txt", "f16-lsmem.json"])
def test_outputs_of_the_field_come_out_as_they_went_in(shared_dir: Path, name: str) -> None:
    file = shared_dir / "cases" / "field" / name
    if name.endswith(".txt"):
        assert show(file).startswith(file.read_text("utf-8"))
    else:
        assert json.loads(show(file, "--json"))["memory"] == json.loads(file.read_text("utf-8"))["memory"]


def test_zones_that_do_not_cover_the_blocks_are_shown_and_not_summed_up(shared_dir: Path) -> None:
    field = shared_dir / "cases" / "field"
    text = show(field / "f16-lsmem.txt", field / "f16-zoneinfo.txt")
    words = [line.split() for line in text.splitlines()]
    assert ["0", "DMA32", "1", "2G", "1007.9M", "916M"] in words
    # Where lines end depends on how long the files' names are.
    said = " ".join(text.split())
    assert "does not tell of zone Normal of node 0, Normal of node 1." in said
    assert "The ratio is of whole blocks" in said
    assert "MemTotal:" not in text
