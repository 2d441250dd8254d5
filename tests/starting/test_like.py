"""An experiment like a shipped one: it runs where it is written, its comments are kept, its data is beside it."""

from __future__ import annotations

import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment.load import load
from sim.experiment.shipped import shipped
from tests.starting.domains import DOMAINS, used_csv

TWO_MACHINES = """
[[machines]]
label = "a"
boot_memory = "1GiB"

[[machines]]
label = "b"
boot_memory = "2GiB"

[[workloads]]
name = "steps"
"""
ONE_LINE = """
machines = [{ boot_memory = "1GiB" }]
[[workloads]]
name = "steps"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a machine and a demand."""
    monkeypatch.chdir(tmp_path)
    used_csv(tmp_path)
    Path("domain.xml").write_text(DOMAINS["DIMMs"])
    return tmp_path


def said(command: str, *, code: int = 0) -> str:
    result = CliRunner().invoke(main, shlex.split(command), env={"COLUMNS": "500"})
    assert result.exit_code == code, result.output
    return result.output


FEW = ("tradeoff", "dimm-order", "incidents/kata-udev", "incidents/neon-x60", "recipes/hyperalloc-recorded")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in sorted(shipped())]
)
def test_every_shipped_experiment_can_be_started_from_and_means_the_same(name: str) -> None:
    said(f"new mine/g.toml --like {name}")
    mine, theirs = load("mine/g.toml"), load(name)
    assert [each.digest() for each in mine.combinations] == [each.digest() for each in theirs.combinations]
    text = Path("mine/g.toml").read_text("utf-8")
    comments = [line for line in shipped()[name].read_text("utf-8").splitlines() if "#" in line]
    kept = text.splitlines()
    changed = [line for line in comments if line not in kept]
    assert all("memhp-sim " in line or " = " in line for line in changed)
    assert f"memhp-sim run {name}" not in text


def test_it_stays_when_what_it_came_from_is_gone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    said("new g.toml --like bitbrains-5min")
    assert (folder / "bitbrains-5min.csv.gz").is_file()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in folder.iterdir():
        shutil.copy(path, elsewhere)
    assert load(elsewhere / "g.toml").most_replications == 15


def test_data_goes_over_no_other_file_of_that_name() -> None:
    Path("bitbrains-5min.csv.gz").write_text("mine")
    assert "its data would go over bitbrains-5min.csv.gz; --force" in said("new g.toml --like bitbrains-5min", code=2)
    assert Path("bitbrains-5min.csv.gz").read_text() == "mine"
    assert not Path("g.toml").exists()
    said("new g.toml --like bitbrains-5min --force")
    said("new h.toml --like bitbrains-5min")  # the same data is no harm


def test_a_file_of_one_s_own_is_copied_and_its_data_stays_where_it_is() -> None:
    said("new first.toml --demand demand.csv")
    said("new deep/down/second.toml --like first.toml")
    (played, _) = tomllib.loads(Path("deep/down/second.toml").read_text("utf-8"))["workloads"][0]["together"]
    assert played["path"] == "../../demand.csv"
    assert len(load("deep/down/second.toml")) == len(load("first.toml"))


def test_a_policy_s_file_is_found_from_where_it_is_written() -> None:
    Path("mine.py").write_text(
        "from policies.fixed import Offline\n\n\nclass Mine(Offline):\n    name = 'mine'\n    summary = 'mine'\n"
    )
    Path("a.toml").write_text(ONE_LINE + "[[policies]]\nname = 'mine.py:Mine'\n")
    said("new deep/b.toml --like a.toml")
    assert 'name = "../mine.py:Mine"' in Path("deep/b.toml").read_text("utf-8")


def test_one_s_own_demand_takes_the_place_of_the_recorded_one() -> None:
    said("new g.toml --like bitbrains-5min --demand demand.csv")
    tables = tomllib.loads(Path("g.toml").read_text("utf-8"))
    played, controller = tables["workloads"][0]["together"]
    assert played["path"] == "demand.csv"
    assert "end" not in played
    assert (played["rate"], controller["name"], tables["baseline"]) == ("47MiB", "neonvm", "debian-13")
    assert not Path("bitbrains-5min.csv.gz").exists()


PLAYED = """
guest.model = "linux"
machines = [{ label = "m", boot_memory = "2GiB" }]
policies = [{ name = "contig-zones" }]

[[workloads]]
label = "demand"

[[workloads.together]]
name = "guest-trace"
label = "recorded"
path = "demand.csv"
COLUMNS

[[workloads.together]]
name = "watermark"
device = "vm0"
maximum = "4GiB"
"""


def test_columns_that_stand_as_a_table_of_their_own_give_way_to_others() -> None:
    columns = '[workloads.together.columns]\ntime = "t"\nuser = { column = "used", unit = "1MiB" }'
    Path("mine.toml").write_text(PLAYED.replace("COLUMNS", columns))
    said("new g.toml --like mine.toml --demand demand.csv")
    played, controller = tomllib.loads(Path("g.toml").read_text("utf-8"))["workloads"][0]["together"]
    assert (played["path"], controller["device"]) == ("demand.csv", "vm0")
    assert played["columns"]["time"] != "t"


def test_a_text_that_another_demand_cannot_be_put_into_is_told() -> None:
    Path("mine.toml").write_text(
        PLAYED.replace('path = "demand.csv"', 'path = """\\\ndemand.csv"""').replace("COLUMNS", "columns.time = 't'")
    )
    assert "write each value on one line there" in " ".join(
        said("new g.toml --like mine.toml --demand demand.csv", code=2).split()
    )
    assert not Path("g.toml").exists()


def test_one_s_own_machine_takes_the_place_of_the_only_one() -> None:
    said("new g.toml --like neon-x60 --from-machine domain.xml")
    (machine,) = tomllib.loads(Path("g.toml").read_text("utf-8"))["machines"]
    assert (machine["boot_memory"], machine["slots"]) == ("4GiB", 16)
    said("new g.toml --force --like bitbrains-5min --from-machine domain.xml --demand demand.csv")
    assert load("g.toml").machines == ["1 GiB"]  # the label stays, as workloads may name it


def test_what_does_not_go_together_is_told_all_at_once() -> None:
    Path("two.toml").write_text(TWO_MACHINES)
    out = said("new g.toml --like two.toml --from-machine domain.xml --demand demand.csv --device dimm", code=2)
    assert "2 machines (a, b)" in out
    assert "--demand: the experiment plays no recorded demand" in out
    assert "--device: is for experiments" in out
    Path("one.toml").write_text(ONE_LINE)
    assert "machine on one line" in said("new g.toml --like one.toml --from-machine domain.xml", code=2)
    out = said("new g.toml --like tradeof --demand nix.csv --from-machine nix.xml", code=2)
    assert "did you mean the shipped experiment tradeoff?" in out
    assert "nix.csv" in out
    assert "nix.xml" in out
