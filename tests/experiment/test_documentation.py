from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment.load import load
from sim.experiment.recommend_table import RecommendTable
from sim.experiment.schema import ExperimentTable, GuestTable, MachineTable, PublishedTable
from sim.experiment.state_tables import BlockTable, DeviceTable, ZoneTable
from sim.plugins.parameter_search import Between, OneOf
from tests.experiment.examples import small
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "experiment-file.md").read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
LISTED = {key for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}


def test_every_key_is_documented_and_none_that_is_not() -> None:
    sections = {"machines", "policies", "workloads", "guest", "timing", "sweep", "published", "recommend"}
    top = set(ExperimentTable.model_fields)
    keys = (top - sections) | set(MachineTable.model_fields)
    keys |= {field.alias or name for name, field in GuestTable.model_fields.items()}
    keys |= set(PublishedTable.model_fields) | set(RecommendTable.model_fields)
    keys |= {key for table in (BlockTable, DeviceTable, ZoneTable) for key in table.model_fields}

    assert keys == LISTED
    assert all(f"[{section}]" in PAGE for section in sections)


def test_the_first_example_runs_as_it_is() -> None:
    assert len(load(tomllib.loads(BLOCKS[0]))) == 10


def test_the_sweep_example_means_what_the_page_says() -> None:
    sweeps = next(block for block in BLOCKS if "[[sweep]]" in block)
    tables = small(workloads=[{"name": "virtio-mem-resize", "label": "grow"}], replications=1, **tomllib.loads(sweeps))

    experiment = load(tables)

    assert len(experiment) == (1 + 6) * 2 * 2
    assert "auto-movable, ratio 50, numa_aware false" in experiment.policies


def test_values_are_set_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text(BLOCKS[0], "utf-8")
    commands = re.findall(r"^\$ memhp-sim (.* --set .*)$", PAGE, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["run", "validate"]
    for command in commands:
        result = CliRunner().invoke(
            main, [*shlex.split(command), *(["--no-plots"] if command.startswith("run") else [])]
        )
        assert result.exit_code == 0, result.output
    (workload,) = tomllib.loads(Path("results/my/experiment.toml").read_text("utf-8"))["workloads"]
    assert workload["slots"] == 16


def test_the_example_of_what_to_choose_from_means_what_the_page_says() -> None:
    block = next(block for block in BLOCKS if "[recommend]" in block)
    wanted = load(small(**tomllib.loads(block))).recommend

    assert wanted.policies == ("auto-movable",)
    assert wanted.search["auto-movable"]["numa_aware"] == OneOf((True,))
    assert wanted.search["auto-movable"]["ratio"] == Between(50, 1200, 12, "geometric")


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_toml(block: str) -> None:
    assert tomllib.loads(block)


def test_the_machine_of_the_page_about_architectures_is_one() -> None:
    page = (ROOT / "docs" / "machines.md").read_text("utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    experiment = load(small(**tomllib.loads(block)))
    machine = experiment.combinations[0].machine.spec
    assert (machine.page_size, machine.block_size, machine.built_for.name) == (65536, 512 << 20, "arm64")
