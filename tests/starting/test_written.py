"""What stands in the file that is written: of the machine, of the demand, and of who meets it."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from tests.starting.domains import DOMAINS, domain, used_csv, virtio_mem

HOUR, DAY = 3600, 86_400


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(command: str, xml: str = "") -> dict[str, Any]:
    """Return what ``memhp-sim new`` writes; ``xml`` is the machine's domain."""
    Path("domain.xml").write_text(xml)
    machine = "--from-machine domain.xml" if xml else ""
    result = CliRunner().invoke(main, shlex.split(f"new g.toml --force {machine} {command}"))
    assert result.exit_code == 0, result.output
    return tomllib.loads(Path("g.toml").read_text("utf-8"))


def machine_of(tables: dict[str, Any]) -> dict[str, Any]:
    (machine,) = tables["machines"]
    return dict(machine)


def played(tables: dict[str, Any]) -> dict[str, Any]:
    return dict(tables["workloads"][0]["together"][0])


def test_a_device_that_stays_is_placed_anew_where_the_machine_boots() -> None:
    placed = (
        "<memory model='dimm'><target><size unit='GiB'>2</size><node>0</node></target>"
        "<address type='dimm' slot='1' base='0x180000000'/></memory>"
    )
    tables = written("", domain(22, placed, virtio_mem(16), most="<maxMemory slots='4' unit='GiB'>64</maxMemory>"))
    (device,) = machine_of(tables)["cold_devices"]
    assert "address" not in device
    assert (device["kind"], device["size"], device["slot"]) == ("dimm", "2GiB", 1)


def test_a_machine_keeps_its_limit_where_what_is_plugged_reaches_it_and_not_where_it_goes_beyond() -> None:
    assert machine_of(written("", DOMAINS["virtio-mem"]))["max_memory"] == "36GiB"  # 4 at boot, a device of 32
    beyond = machine_of(written("--device virtio-mem", domain(8, most="<maxMemory slots='1' unit='GiB'>8</maxMemory>")))
    assert "max_memory" not in beyond


@pytest.mark.parametrize(("peak_mib", "boot"), [(3000, "1GiB"), (13_000, "3GiB"), (40_960, "10GiB")])
def test_a_machine_of_which_nothing_is_known_boots_with_a_quarter_of_the_peak_in_whole_gib(
    peak_mib: int, boot: str, folder: Path
) -> None:
    used_csv(folder, peak_mib=peak_mib)
    assert machine_of(written("--demand demand.csv"))["boot_memory"] == boot
    assert machine_of(written(""))["boot_memory"] == "4GiB"


def test_cxl_cards_have_a_node_of_their_own_that_no_program_runs_on() -> None:
    tables = written("--device cxl", DOMAINS["nothing"])
    assert machine_of(tables)["nodes"] == [{"boot_memory": "8GiB"}, {"boot_memory": "0", "cpus": False}]
    assert tables["workloads"][0]["together"][1]["node"] == 1


@pytest.mark.parametrize(("machines", "replications"), [(1, 20), (2, "all"), (40, "all"), (41, 40)])
def test_up_to_forty_machines_of_a_trace_are_all_played(machines: int, replications: int | str) -> None:
    rows = [f"vm{vm},{at},{2000 + vm}\n" for vm in range(machines) for at in (0, 60)]
    Path("vms.csv").write_text("".join(["vm,t_s,used_mib\n", *rows]))
    tables = written("--demand vms.csv" if machines > 1 else "")
    assert tables["replications"] == replications


@pytest.mark.parametrize(("seconds", "tick"), [(HOUR - 60, 1), (HOUR, 1), (HOUR + 60, 5), (10 * HOUR, 5)])
def test_demand_grows_by_the_second_in_a_run_of_up_to_an_hour(seconds: int, tick: int, folder: Path) -> None:
    used_csv(folder, seconds=seconds)
    assert played(written("--demand demand.csv"))["tick"] == tick


@pytest.mark.parametrize(("seconds", "restarts"), [(DAY - 300, None), (DAY, None), (DAY + 300, (600, 3600))])
def test_programs_are_away_for_minutes_only_in_a_run_of_more_than_a_day(
    seconds: int, restarts: tuple[int, int] | None, folder: Path
) -> None:
    used_csv(folder, seconds=seconds, step=300)
    table = played(written("--demand demand.csv"))
    assert [table.get(key) for key in ("restart", "restart_most")] == list(restarts or (None, None))


def test_a_program_runs_on_each_of_several_nodes(folder: Path) -> None:
    used_csv(folder)
    two = played(written("--demand demand.csv", DOMAINS["two virtio-mem on two nodes"]))
    assert (two["programs"], two["nodes"]) == (2, [0, 1])
    one = played(written("--demand demand.csv", DOMAINS["virtio-mem"]))
    assert not {"programs", "nodes"} & set(one)
