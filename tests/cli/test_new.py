"""``memhp-sim new``: what it writes runs at once, says what it is, and never goes over a file by itself."""

from __future__ import annotations

import itertools
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment.load import load
from sim.experiment.recommend_table import DEFAULT_LIMIT
from sim.incidents.runs import run_all
from sim.units import MIB
from tests.starting.domains import DOMAINS, domain, used_csv, virtio_mem


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a demand."""
    monkeypatch.chdir(tmp_path)
    used_csv(tmp_path)
    return tmp_path


def said(command: str, *, code: int = 0, columns: int = 80) -> str:
    result = CliRunner().invoke(main, shlex.split(command), env={"COLUMNS": str(columns)})
    assert result.exit_code == code, result.output
    return result.output


def written(command: str) -> dict[str, Any]:
    said(command)
    return tomllib.loads(Path("g.toml").read_text("utf-8"))


def controllers(tables: dict[str, Any]) -> list[str]:
    return [part["name"] for part in tables["workloads"][0]["together"][1:]]


@pytest.mark.parametrize(
    ("name", "controller", "most"),
    [
        ("virtio-mem", ["watermark"], "32GiB"),
        ("virtio-mem without maxMemory", ["watermark"], "8GiB"),
        ("two virtio-mem on two nodes", ["watermark", "watermark"], "32GiB"),
        ("DIMMs", ["dimm-controller"], None),
        ("slots", ["dimm-controller"], None),
        ("a DIMM and virtio-mem", ["watermark"], "16GiB"),
        ("nothing", ["watermark"], "1GiB"),
        ("maxMemory without slots", ["watermark"], "28GiB"),
    ],
)
def test_every_domain_gives_an_experiment_that_runs_with_a_controller_for_its_devices(
    name: str, controller: list[str], most: str | None
) -> None:
    Path("domain.xml").write_text(DOMAINS[name])
    tables = written("new g.toml --from-machine domain.xml --demand demand.csv")

    assert controllers(tables) == controller
    assert most is None or tables["workloads"][0]["together"][1]["maximum"] == most
    experiment = load("g.toml", settings={"workloads.demand.recorded.end": 300.0}).only((0,))
    assert len(list(run_all(experiment))) == len(tables["policies"])


def test_demand_is_met_and_memory_comes_and_goes() -> None:
    Path("domain.xml").write_text(DOMAINS["virtio-mem"])
    said("new g.toml --from-machine domain.xml --demand demand.csv")
    (run,) = [run for run in run_all(load("g.toml").only((0,))) if run.policy == "auto-movable 301"]
    assert not run.ooms
    assert max(run.plugged(at) for at in range(0, 3600, 60)) > 3000 * MIB
    assert len(run.requests) > 2


def test_without_anything_it_runs_too() -> None:
    tables = written("new g.toml")
    assert controllers(tables) == ["watermark"]
    assert tables["workloads"][0]["together"][0]["name"] == "guest-load"
    assert tables["recommend"]["limits"] == [DEFAULT_LIMIT]
    assert "no faults" in said("validate g.toml")


@pytest.mark.parametrize("kind", ["virtio-mem", "dimm", "cxl"])
def test_memory_comes_as_it_is_wanted(kind: str) -> None:
    names = {"virtio-mem": "watermark", "dimm": "dimm-controller", "cxl": "cxl-cards"}
    assert controllers(written(f"new g.toml --device {kind} --demand demand.csv")) == [names[kind]]


def test_what_the_machine_does_today_is_the_baseline() -> None:
    words = "memhp_default_state=online memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=401"
    Path("domain.xml").write_text(domain(12, virtio_mem(8), cmdline=words))
    tables = written("new g.toml --from-machine domain.xml --demand demand.csv")
    assert tables["baseline"] == tables["policies"][0]["label"] == "as it is"
    assert tables["policies"][0] | {"auto_movable_ratio": 401, "online_policy": "auto-movable"} == tables["policies"][0]
    assert "contig-zones" in [policy["name"] for policy in tables["policies"]]

    Path("domain.xml").write_text(domain(12, virtio_mem(8)))
    Path("uname.txt").write_text("Linux guest 6.12.9-100.el10.x86_64 #1 SMP x86_64 GNU/Linux\n")
    tables = written("new g.toml --force --from-machine domain.xml --from-machine uname.txt --demand demand.csv")
    assert (tables["policies"][0]["name"], tables["policies"][0]["by"]) == ("as-shipped", "rhel-10")

    tables = written("new g.toml --force --policy as-shipped:by=firecracker")
    assert tables["policies"][0]["by"] == "firecracker"


def test_a_kernel_that_goes_by_contig_zones_is_not_compared_with_itself() -> None:
    Path("domain.xml").write_text(DOMAINS["virtio-mem"])
    tables = written("new g.toml --from-machine domain.xml")
    assert "contig-zones" not in [policy["name"] for policy in tables["policies"]]


def test_a_demand_that_is_too_large_is_told_with_figures() -> None:
    Path("domain.xml").write_text(domain(6, virtio_mem(2)))  # 4 GiB at boot
    out = said("new g.toml --from-machine domain.xml --demand demand.csv", columns=500)
    assert "nearly fills the 6GiB" in out
    used_csv(Path(), peak_mib=9000)
    out = said("new g.toml --force --from-machine domain.xml --demand demand.csv", columns=500)
    assert "the demand does not fit: its peak, 8.79GiB after 30 minutes, is more than the 6GiB" in out
    assert "about 11GiB" in out
    used_csv(Path(), peak_mib=1500)
    out = said("new g.toml --force --from-machine domain.xml --demand demand.csv", columns=500)
    assert "fits into boot memory, 4GiB" in out
    assert "To know" in Path("g.toml").read_text("utf-8")


def test_many_machines_are_replications_and_a_month_is_played_around_its_peak() -> None:
    rows = [f"vm{vm},{at},{1000 + vm + (5000 if at == 40 * 86400 and vm == 2 else 0)}"
            for vm in range(3) for at in range(0, 60 * 86400, 3600)]  # fmt: skip
    Path("vms.csv").write_text("\n".join(["vm,t_s,use_mib", *rows]) + "\n")
    tables = written("new g.toml --demand vms.csv")
    (played, _) = tables["workloads"][0]["together"]
    assert tables["replications"] == "all"
    hour = 3600  # 600 samples, three quarters of them before the peak
    assert (played["start"], played["end"]) == (40 * 24 * hour - 450 * hour, 40 * 24 * hour + 150 * hour)
    assert len(load("g.toml").replications) == 3


def test_a_path_is_seen_from_the_file(folder: Path) -> None:
    (folder / "mine").mkdir()
    said("new mine/g.toml --demand demand.csv")
    assert 'path = "../demand.csv"' in Path("mine/g.toml").read_text("utf-8")
    assert "no faults" in said("validate --no-probe mine/g.toml")


def test_it_goes_over_nothing_by_itself_and_leaves_what_was_there_where_it_fails() -> None:
    Path("g.toml").write_text("mine")
    assert "is there already; --force" in said("new g.toml", code=2)
    assert "experiment files end in .toml" in said("new g.txt", code=2)
    assert said("new g.toml --force --demand nix.csv", code=2)
    assert Path("g.toml").read_text() == "mine"
    assert said("new deep/er/g.toml --demand nix.csv", code=2)
    assert not Path("deep").exists()
    assert said("new g.toml --force")


def test_an_option_that_would_do_nothing_is_refused() -> None:
    assert "--kernel, --zone: needs --from-machine FILE" in said("new g.toml --kernel 6.12 --zone Movable", code=2)
    assert "--series, --time: needs --demand TRACE" in said("new g.toml --series vm --time t", code=2)
    assert said("new g.toml --boot-memory 2GiB --policy auto-movable")


def test_all_faults_of_all_files_are_told_at_once() -> None:
    Path("a.csv").write_text("time,used_a_mb,used_b_mb\n0,1,2\n")
    out = said("new g.toml --from-machine nix.xml --demand a.csv", code=2)
    assert "nix.xml: cannot be read" in out
    assert "a.csv: --user: several columns" in out
    assert not Path("g.toml").exists()


def test_names_that_would_not_print_or_end_a_comment_do_no_harm() -> None:
    evil = "a\" ] # '\\ x.csv"
    Path("evil.csv").write_bytes(b"time,\x1b[31mused_mib\n0,1000\n60,3000\n")
    assert "\x1b" not in said("new g.toml --demand evil.csv", code=2)
    Path(evil).write_text(Path("demand.csv").read_text())
    result = CliRunner().invoke(main, ["new", "h.toml", "--demand", evil])
    assert result.exit_code == 0, result.output
    tables = tomllib.loads(Path("h.toml").read_text("utf-8"))
    assert tables["workloads"][0]["together"][0]["path"] == evil
    assert len(tables["policies"]) == 5


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_what_it_says_fits_the_screen(columns: int) -> None:
    Path("domain.xml").write_text(DOMAINS["nothing"])
    out = said("new g.toml --from-machine domain.xml --demand demand.csv", columns=columns)
    assert "has to let it have 9GiB" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= columns
    assert "memhp-sim recommend g.toml" in out


def test_every_line_of_the_file_that_is_no_label_says_what_it_means() -> None:
    Path("domain.xml").write_text(DOMAINS["two virtio-mem on two nodes"])
    said("new g.toml --from-machine domain.xml --demand demand.csv")
    lines = Path("g.toml").read_text("utf-8").splitlines()
    assert all(len(line) <= 120 for line in lines)
    keys = [(before, line) for before, line in itertools.pairwise(lines) if " = " in line and not line.startswith("#")]
    silent = [line for before, line in keys if "#" not in line and not before.startswith("# ")]
    assert {line.partition(" ")[0] for line in silent} <= {"description", "label", "ratio", "default_state"}


def test_what_comes_next_can_be_typed_whatever_the_file_is_called() -> None:
    for name in ("-x.toml", "a b.toml", "größe 客.toml"):
        lines = said(f"new -- {shlex.quote(name)}").splitlines()
        said(next(line for line in lines if "memhp-sim validate" in line).strip().removeprefix("memhp-sim "))
        assert load(Path(name)).name == Path(name).stem
