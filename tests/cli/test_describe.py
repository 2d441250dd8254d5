"""``memhp-sim workloads describe``: what is in a trace, however its columns are told, on any width."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from sim.cli.main import main
from sim.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ("--time", "t", "--series", "vm", "--user", "use:1MiB")
TRACE = "vm,t,use,cached\n" + "".join(f"{vm},{300 * at},{100 * at},{5 * at}\n" for at in range(20) for vm in "ab")
EXPERIMENT = """
[machine]
boot_memory = "1GiB"

[[policies]]
name = "online-movable"

[[workloads]]
name = "guest-trace"
path = "trace.csv"
columns = { time = "t", series = "vm", user = { column = "use", unit = "1MiB" } }

[[workloads]]
label = "several"
[[workloads.together]]
name = "demand-trace"
label = "asks"
path = "elsewhere.csv"
columns = { time = "t", user = { column = "use", unit = "1MiB" } }
"""


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "trace.csv").write_text(TRACE, "utf-8")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT, "utf-8")


def describe(*arguments: str, width: int = 120) -> Result:
    return CliRunner().invoke(main, ["workloads", "describe", *arguments], env={"COLUMNS": str(width)})


def test_the_mapping_may_be_told_in_three_ways() -> None:
    by_options = describe("trace.csv", *OPTIONS, "--json")
    as_toml = "time = 't', series = 'vm', user = { column = 'use', unit = '1MiB' }"

    assert by_options.exit_code == 0, by_options.output
    assert describe("trace.csv", "--columns", as_toml, "--json").output == by_options.output
    assert describe("trace.csv", "--columns", f"{{ {as_toml} }}", "--json").output == by_options.output
    assert describe("experiment.toml", "--workload", "guest-trace", "--json").output == by_options.output
    about = json.loads(by_options.output)
    assert (about["series"], about["samples"], about["span_s"], about["gaps"]) == (2, 40, 5700.0, 0)
    assert about["quantities"]["user"]["level_bytes"]["largest"] == 1900 * MIB
    assert about["quantities"]["user"]["change_bytes"]["median"] == 100 * MIB


def test_the_trace_of_an_experiment_may_lie_elsewhere() -> None:
    asked = ("experiment.toml", "--workload", "asks")

    assert "elsewhere.csv: cannot be read: No such file or directory" in describe(*asked).output
    result = describe(*asked, "--path", "trace.csv")
    assert "must not be before" not in result.output
    assert "1 series, 40 samples" in result.output


def test_options_are_held_to_what_a_mapping_may_be() -> None:
    for options, fault in (
        (("--time", "t", "--user", ""), "columns: columns: user column must be a name"),
        (("--time", "t:0", "--user", "use"), "time unit must be more than 0"),
        (("--time", "t", "--series", "", "--user", "use"), "series must be a name"),
    ):
        result = describe("trace.csv", *options)
        assert result.exit_code == 2, result.output
        assert fault in " ".join(result.output.split())


def test_columns_of_other_files_are_no_trace(tmp_path: Path) -> None:
    packing = '[[workloads]]\nname = "host-packing"\npath = "vms.csv"\ncolumns = { memory = "gib" }\n'
    (tmp_path / "experiment.toml").write_text(packing, "utf-8")

    result = describe("experiment.toml")
    assert (result.exit_code, result.output) == (
        2, "Error: experiment.toml: no workload in it reads a demand trace (none has columns)\n"
    )  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_every_width(width: int) -> None:
    result = describe("trace.csv", *OPTIONS, "--page-cache", "cached:1KiB", width=width)

    lines = result.output.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[:2] == ["trace.csv", "2 series, 40 samples, over 95 minutes"]
    text = " ".join(result.output.split())
    assert "step: median 5 minutes, from 5 minutes to 5 minutes" in text
    assert "no gap of more than two median steps of a series" in text
    assert "1.86GiB" in text


def test_what_is_told_wrongly_is_answered_with_what_would_be_right() -> None:
    said = {
        ("trace.csv",): "Say for example: --time t_s --series vm --user use_mib:1MiB; trace.csv has vm, t, use, cached",
        ("trace.csv", "--columns", "time = "): "--columns is not TOML",
        ("trace.csv", "--columns", "user = 'use'", "--time", "t"): "leave the options of single columns out",
        ("trace.csv", "--columns", "usr = 'use'"): "columns.usr: unknown key 'usr'; did you mean 'user'?",
        ("trace.csv", "--user", "use:1MB"): "columns.user.unit: '1MB' is not a size",
        ("trace.csv", "--time", "t:min", "--user", "use"): "--time: 'min' is no number of seconds",
        ("trace.csv", *OPTIONS, "--plot", "p.pdf"): "--plot writes .png or .svg, but got p.pdf",
        ("trace.csv", *OPTIONS, "--workload", "x"): "--workload and --path are for experiment files",
        ("experiment.toml", *OPTIONS): "an experiment file says which column is what",
        ("experiment.toml",): "several workloads read a demand trace; choose one by --workload: guest-trace, asks",
        ("experiment.toml", "--workload", "ask"): "unknown workload 'ask'; did you mean 'asks'?",
    }
    for arguments, says in said.items():
        result = describe(*arguments)
        assert result.exit_code == 2, result.output
        assert says in " ".join(result.output.split()), result.output


def test_it_draws_a_picture_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "c.png"):
        assert describe("trace.csv", *OPTIONS, "--plot", name).exit_code == 0

    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.svg").read_text("utf-8").startswith("<?xml")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_workloads_are_listed_as_before() -> None:
    listed = CliRunner().invoke(main, ["workloads"])

    assert listed.exit_code == 0
    assert "random-mix" in listed.output
    assert CliRunner().invoke(main, ["workloads", "list"]).output == listed.output
    assert CliRunner().invoke(main, ["workloads", "steps", "--json"]).output.startswith("[")
    assert "describe" in CliRunner().invoke(main, ["workloads", "--help"]).output


@pytest.mark.parametrize("width", [40, 200])
def test_which_series_do_not_tell_a_quantity_is_said(width: int) -> None:
    rows = [f"vm{vm},{at},{1 if vm == 4 else ''},," for vm in range(5) for at in (0, 1)]
    with open("trace.csv", "w", encoding="utf-8") as file:  # noqa: PTH123  in the test's own folder
        file.write("\n".join(["vm,t,use,cached,", *rows]))

    result = describe("trace.csv", *OPTIONS, "--page-cache", "cached", width=width)

    told = " ".join(result.output.split())
    assert "no user in 4 series: 'vm0', 'vm1', 'vm2', ... no page_cache in any sample" in told
    assert max(map(len, result.output.splitlines())) <= max(width, 60)
    assert json.loads(describe("trace.csv", *OPTIONS, "--json").output)["quantities"]["user"]["series_without"] == 4
