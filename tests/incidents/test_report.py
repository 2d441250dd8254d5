"""Published incidents: all agree, and where their inputs change, outcomes move as physics says."""

from __future__ import annotations

import ast
import json
import tomllib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import sim.incidents.report
from sim.cli.main import main
from sim.experiment.load import load
from sim.faults import InputError
from sim.incidents.checks import CHECKS
from sim.incidents.report import incidents_folder, judge, load_incident
from sim.incidents.runs import run_all
from sim.units import GIB, MIB
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sim.incidents.runs import Runs

PAGE = ROOT / "docs" / "incidents.md"
OF_KATA = ("kata-256m", "kata-220g", "kata-udev")
"""Incidents of guests that have the preset of their name: ``kata-120g`` does not agree with it."""


def tables(name: str) -> dict[str, Any]:
    return tomllib.loads((incidents_folder() / f"{name}.toml").read_text("utf-8"))


def runs_of(changed: dict[str, Any]) -> Runs:
    return run_all(load(changed, folder=incidents_folder()))


def changed_runs(name: str, change: Callable[[dict[str, Any]], object]) -> Runs:
    given = tables(name)
    del given["baseline"]
    change(given)
    return runs_of(given)


def boot(size: str) -> Callable[[dict[str, Any]], object]:
    return lambda given: given["machines"][0].update(boot_memory=size)


def reached_gib(runs: Runs) -> float:
    failed = runs.one.first_failed_add
    assert failed is not None
    return failed.plugged / GIB


# As published ---------------------------------------------------------------------------------------------------------


def test_every_incident_has_a_file_and_a_check() -> None:
    assert sorted(CHECKS) == sorted(path.stem for path in incidents_folder().glob("*.toml"))


def test_every_incident_agrees_and_the_page_has_the_table_that_the_command_prints() -> None:
    result = CliRunner().invoke(main, ["incidents", "--markdown"])

    assert result.exit_code == 0, "an incident does not agree"
    for name in CHECKS:
        assert f"| {name} |" in result.output or f"`{name}`" in result.output
    assert result.output.strip() in PAGE.read_text("utf-8"), "docs/incidents.md: put in what this command prints"


@pytest.mark.parametrize("name", CHECKS)
def test_an_incident_has_default_guest_parameters_and_times(name: str) -> None:
    given = tables(name)

    marked = {key.partition(".")[2] for key in fitted(name) if key.startswith("guest.")}
    assert given["guest"].keys() - {"preset"} == {"model"} | marked
    assert given["guest"].get("preset") == ("kata" if name in OF_KATA else None)
    assert "timing" not in given


def defaults() -> dict[str, str]:
    """Return what is said of the source of each time and each parameter of the guest, by its key."""
    found = {}
    for room, module in (("timing", "kernel/timing"), ("guest", "guest/parameters")):
        tree = ast.parse((ROOT / "sim" / f"{module}.py").read_text("utf-8"))
        table = next(node for node in tree.body if isinstance(node, ast.ClassDef))
        for field, text in pairwise(table.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                assert isinstance(text, ast.Expr), f"{field.target.id} does not say where it comes from"
                found[f"{room}.{field.target.id}"] = " ".join(ast.literal_eval(text.value).split())
    return found


def fitted(name: str) -> list[str]:
    keys: list[str] = tables(name)["published"].get("fitted", [])
    return keys


def test_incidents_that_a_default_was_taken_from_are_marked_and_no_others() -> None:
    told = {(key, name) for key, text in defaults().items() for name in CHECKS if f"``{name}``" in text}
    marked = {(key, name) for name in CHECKS for key in fitted(name) if not key.startswith(("workloads.", "guest."))}

    assert told == marked
    assert {name for _, name in told} == {"neon-vmem-48g"}


def test_a_default_that_names_the_source_of_an_incident_names_the_incident() -> None:
    for key, text in defaults().items():
        for name in CHECKS:
            source = tables(name)["published"]["source"].split(" (")[0]
            assert source not in text or key in fitted(name), f"{key} comes from {source}; mark {name}"


@pytest.mark.parametrize("name", [name for name in CHECKS if fitted(name)])
def test_what_was_fitted_is_there_and_decides(name: str) -> None:
    given = tables(name)
    parts = {
        f"workloads.{workload['label']}.{part['label']}": part
        for workload in given["workloads"]
        for part in workload.get("together", ())
    }
    for key in fitted(name):
        place, _, parameter = key.rpartition(".")
        assert key in defaults() or parameter in parts[place]
    outcome = judge(name, load(given, folder=incidents_folder()))
    place, _, parameter = fitted(name)[0].rpartition(".")
    if place == "timing":
        given["timing"] = {parameter: 10.0}
    elif place == "guest":
        given["guest"][parameter] = "8MiB"
    else:
        parts[place][parameter] = "3GiB"
    assert outcome.agrees
    assert not judge(name, load(given, folder=incidents_folder())).agrees


@pytest.mark.parametrize("name", CHECKS)
def test_without_a_guest_that_uses_memory_what_went_wrong_does_not(name: str) -> None:
    given = tables(name)
    del given["guest"]
    experiment = load(given, folder=incidents_folder())
    # What zones decide alone goes as published all the same; for all else the guest is needed.
    decided_by_zones = {"neon-dimm-ratio", "cover-letter", "neon-vmem-48g"}

    if name in decided_by_zones:
        assert judge(name, experiment).agrees
    else:
        runs = run_all(experiment)
        assert not any(run.ooms or run.first_failed_add for run in runs)


# Inputs that change ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "low", "high"), [("768MiB", 34, 40), ("1GiB", 49, 55), ("2GiB", 108, 116)])
def test_more_boot_memory_moves_the_wall_by_its_memmap(size: str, low: int, high: int) -> None:
    def change(given: dict[str, Any]) -> None:
        boot(size)(given)
        given["machines"][0]["slots"] = 120
        given["workloads"][0].update(slots=120, duration=640)

    assert low <= reached_gib(changed_runs("wall-512m", change)) <= high


def test_the_wall_is_one_of_memory_not_of_devices() -> None:
    reached = {}
    for size in (128, 512, 1024, 2048):
        given = tables("wall-512m")
        given["machines"][0]["slots"] = 256
        given["workloads"][0].update(slots=256, sizes=[f"{size}MiB"], duration=5 * 256)
        reached[size] = reached_gib(runs_of(given))

    assert 20 <= reached[2048] <= reached[1024] <= reached[512] <= reached[128] <= 22


def test_memmap_on_memory_takes_the_wall_away() -> None:
    def change(given: dict[str, Any]) -> None:
        given["machines"][0].update(kernel="6.8", memmap_on_memory=True)

    assert changed_runs("wall-512m", change).one.first_failed_add is None


def test_kernel_zones_that_grow_take_the_wall_away() -> None:
    def change(given: dict[str, Any]) -> None:
        given["policies"] = [{"name": "auto-movable"}]

    assert changed_runs("neon-x60", change).one.first_failed_add is None


@pytest.mark.parametrize(
    ("name", "enough"), [("kata-120g", "3GiB"), ("kata-220g", "4GiB"), ("rfc-memmap-132m", "512MiB")]
)
def test_with_more_boot_memory_the_add_works(name: str, enough: str) -> None:
    run = changed_runs(name, boot(enough)).one

    assert run.first_failed_add is None
    assert run.plugged_at_end == run.requests[-1].size > 0


def test_a_smaller_guest_does_not_hold_the_memmap_of_47_gib() -> None:
    run = changed_runs("neon-vmem-48g", boot("768MiB")).one

    assert run.first_failed_add is not None
    assert 30 * GIB < max(run.plugged(request.at) for request in run.requests) < 47 * GIB
    assert run.died, "what was left for the kernel went into the memmap of the sections that were done"


def archive(policy: str = "online-movable", *, boot_memory: str = "1GiB") -> Runs:
    def change(given: dict[str, Any]) -> None:
        boot(boot_memory)(given)
        given["policies"] = [{"name": policy}]

    return changed_runs("neon-archive", change)


def test_the_archive_needs_kernel_memory_not_memory() -> None:
    as_kernel, more = archive("online-kernel"), archive(boot_memory="3GiB")

    assert not as_kernel.of("3 GiB").ooms, "the same size, but the kernel may use it"
    assert not more.of("1 GiB").ooms, "as much in all as 1 GiB of boot memory with 3 GiB"
    assert archive().of("3 GiB").ooms, "three quarters of it MOVABLE"


@pytest.mark.parametrize("rate", [2000, 30_000])
def test_the_archive_fails_at_any_rate(rate: int) -> None:
    given = tables("neon-archive")
    for workload in given["workloads"]:
        for part in workload["together"]:
            part["duration"] = 600
            if "rate" in part:
                part["rate"] = rate

    assert CHECKS["neon-archive"](runs_of(given), given["published"]["figures"]).agrees


def test_less_kernel_memory_leaves_less_behind() -> None:
    def stays(policy: dict[str, Any]) -> tuple[float, float]:
        run = changed_runs("neon-ratio-101", lambda given: given.update(policies=[policy])).one
        return 1 - run.movable_share, run.plugged_at_end / MIB

    half, most, none = (
        stays({"name": "auto-movable", "ratio": 101}),
        stays({"name": "online-kernel"}),
        stays({"name": "online-movable"}),
    )

    assert none == (0.0, 0.0)
    assert 0 < half[0] < most[0] == 1.0
    assert 0 < half[1] <= most[1]


@pytest.mark.parametrize(
    ("size", "ratio", "dimms"), [("1GiB", 301, 3), ("2GiB", 301, 6), ("1GiB", 501, 5), ("4GiB", 201, 8)]
)
def test_dimms_are_movable_up_to_the_ratio(size: str, ratio: int, dimms: int) -> None:
    def change(given: dict[str, Any]) -> None:
        boot(size)(given)
        given["policies"][0]["ratio"] = ratio

    zones = changed_runs("neon-dimm-ratio", change).one.zones_in_order

    assert zones == [3] * (8 * dimms) + [2] * (8 * (15 - dimms))


def used_at_kill(dram: str) -> float:
    nodes = [{"boot_memory": dram}, {"boot_memory": 0}]
    run = changed_runs("aep-96-768", lambda given: given["machines"][0].update(nodes=nodes)).one
    return run.sample_before("user", run.ooms[0].at) / GIB


def test_more_dram_lets_the_program_use_more() -> None:
    less, as_is, more = (used_at_kill(f"{size}GiB") for size in (64, 96, 192))

    # A further GiB holds a GiB of data; and between its low and its min watermark, a thousandth of it, page tables
    # (2.2 KiB for each MiB) of half a GiB on the other node.
    assert 32 * 1.3 < as_is - less < 32 * 1.5
    assert 96 * 1.3 < more - as_is < 96 * 1.5


def test_persistent_memory_that_the_kernel_may_use_holds_the_page_tables() -> None:
    run = changed_runs("aep-96-768", lambda given: given.update(policies=[{"name": "online-kernel"}])).one

    assert not run.ooms
    assert max(run.sampled("user")) == 600 * GIB


def host(given: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = given["workloads"][0]["together"][0]
    return found


def test_a_host_that_looks_often_is_in_time() -> None:
    run = changed_runs("sail-reactive", lambda given: host(given).update(period=0.05, start=0)).one

    assert not run.ooms
    assert run.requests[0].at < 38


def test_a_program_that_is_slow_enough_lives() -> None:
    def at(rate: str) -> int:
        def change(given: dict[str, Any]) -> None:
            given["workloads"][0]["together"][1].update(rate=rate, start=35.0)

        run = changed_runs("sail-reactive", change).one
        return sum(oom.at < 70 for oom in run.ooms)

    assert at("4GiB") == at("1GiB") == 1
    assert at("128MiB") == 0


def test_twice_the_boot_memory_of_a_large_dimm() -> None:
    runs = changed_runs("wall-2g", boot("4GiB"))

    assert [runs.of(label).plugged_at_end for label in ("100 GiB", "120 GiB")] == [100 * GIB, 120 * GIB]


def test_a_failing_add_kills_a_guest_without_page_cache() -> None:
    def with_files(given: dict[str, Any]) -> None:
        given["guest"]["system_cache_bytes"] = "8MiB"

    spared, nobody = (changed_runs("wall-2g", change) for change in (with_files, lambda _: None))

    assert [nobody.of(label).died for label in ("100 GiB", "120 GiB")] == [False, True]
    assert not any(run.died or run.ooms for run in spared)


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_prints_each_incident_and_how_many_agree() -> None:
    result = CliRunner().invoke(main, ["incidents", "rfc-memmap-132m", "cover-letter"])

    assert result.exit_code == 0
    assert all(name in result.output for name in ("rfc-memmap-132m", "cover-letter"))
    assert "1 of 1 agree; 1 of 1 agree that a setting was fitted to" in result.output


def test_the_command_prints_json_of_those_that_are_named() -> None:
    result = CliRunner().invoke(main, ["incidents", "--json", "rfc-memmap-132m", "cover-letter"])

    found = json.loads(result.output)
    assert [entry["id"] for entry in found] == ["rfc-memmap-132m", "cover-letter"]
    assert all(entry["agrees"] for entry in found)
    assert {"published", "simulated", "margin", "source", "cause", "seconds"} <= set(found[0])
    assert [entry["fitted"] for entry in found] == [["guest.idle_use_bytes"], []]


def test_an_unknown_incident_is_bad_input() -> None:
    result = CliRunner().invoke(main, ["incidents", "wall-3g"])

    assert result.exit_code == 2
    assert "did you mean 'wall-2g'" in result.output


def test_an_incident_that_does_not_agree_fails_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (incidents_folder() / "wall-512m.toml").read_text("utf-8")
    (tmp_path / "wall-512m.toml").write_text(text.replace("fails_dimm = 22", "fails_dimm = 12"), "utf-8")
    monkeypatch.setattr(sim.incidents.report, "incidents_folder", lambda: tmp_path)

    result = CliRunner().invoke(main, ["incidents", "wall-512m"])

    assert result.exit_code == 1
    assert "0 of 1 agree" in result.output


def test_without_a_published_outcome_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    lines = (incidents_folder() / "wall-512m.toml").read_text("utf-8").split("[published]")
    (tmp_path / "wall-512m.toml").write_text(lines[0] + lines[1][lines[1].index("[guest]") :], "utf-8")

    with pytest.raises(InputError, match="published"):
        load_incident("wall-512m", tmp_path)
