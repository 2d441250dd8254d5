"""``validate`` finds what ``run`` finds: policies and workloads that fail in every way, each told by its label."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from click.testing import CliRunner

from sim.cli.main import main
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

PLUG_INS = """
import math
import os
import sys

import simpy

from memhp_sim import Policy, Workload, ZoneType


class Odd(Policy):
    name = "odd"
    summary = "fails"


class Raises(Odd):
    def zone_for(self, request, memory):
        raise KeyError("lost")


class Unspeakable(Odd):
    def zone_for(self, request, memory):
        class Silent(Exception):
            def __str__(self):
                raise ValueError
        raise Silent


class Nothing(Odd):
    def zone_for(self, request, memory):
        return None


class Exits(Odd):
    def zone_for(self, request, memory):
        sys.exit(0)


class Vanishes(Odd):
    def zone_for(self, request, memory):
        os._exit(0)


class Closes(Odd):
    def zone_for(self, request, memory):
        raise GeneratorExit


class Presses(Odd):
    def zone_for(self, request, memory):
        raise KeyboardInterrupt


class Base(Odd):
    def zone_for(self, request, memory):
        raise BaseException("of no kind")


class Hangs(Odd):
    def zone_for(self, request, memory):
        while True:
            pass


class Clings(Odd):
    def zone_for(self, request, memory):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass


class Dma(Odd):
    def zone_for(self, request, memory):
        return ZoneType.DMA32


class Speaks(Odd):
    auto_online = "online_movable"

    def zone_for(self, request, memory):
        return 3


class Asks(Workload):
    name = "asks"
    summary = "ends oddly"

    def duration(self):
        return 10.0

    def node_capacity(self):
        return [0]


class NoGenerator(Asks):
    def run(self, host, streams):
        return 5


class None_(Asks):
    def run(self, host, streams):
        yield None


class Foreign(Asks):
    def run(self, host, streams):
        yield simpy.Environment().timeout(1)


class Stops(Asks):
    def run(self, host, streams):
        yield host.env.timeout(1)
        raise StopIteration


class Closing(Asks):
    def run(self, host, streams):
        yield host.env.timeout(1)
        raise GeneratorExit


class Never(Asks):
    def run(self, host, streams):
        while True:
            yield host.env.timeout(0)


class Back(Asks):
    def run(self, host, streams):
        yield host.env.timeout(-1)


class NaN(Asks):
    def run(self, host, streams):
        yield host.env.timeout(math.nan)


class Infinite(Asks):
    def run(self, host, streams):
        yield host.env.timeout(math.inf)


class Huge(Asks):
    def run(self, host, streams):
        yield host.env.timeout(10**400)


class Fails(Asks):
    def run(self, host, streams):
        def process():
            yield host.env.timeout(1)
            raise LookupError("on purpose")
        yield host.env.process(process())


class Child(Asks):
    def run(self, host, streams):
        def process():
            yield host.env.timeout(1)
            raise SystemExit(0)
        host.env.process(process())
        yield host.env.timeout(2)
"""
POLICIES = {
    "Raises": ("policy", "policy 'odd' raised KeyError for block 32: 'lost'"),
    "Unspeakable": ("policy", "policy 'odd' raised Silent for block 32: (its text cannot be had: ValueError)"),
    "Nothing": ("policy", "policy 'odd' answered None for block 32, which is none of the zones "),
    "Exits": ("policy", "policy 'odd' raised SystemExit for block 32: 0"),
    "Vanishes": ("worker", "the worker process died"),
    "Closes": ("policy", "policy 'odd' raised GeneratorExit for block 32:"),
    "Presses": ("simulate", "KeyboardInterrupt:"),
    "Base": ("policy", "policy 'odd' raised BaseException for block 32: of no kind"),
    "Hangs": ("simulate", "took longer than its cell_timeout of 1 s"),
    "Dma": ("policy", "policy 'odd' answered DMA32 for block 32, where Linux has no DMA32: that of node 0 ends at 0x"),
    "Speaks": ("policy", "policy 'odd': auto_online must be an OnlineType, but is 'online_movable'"),
}
WORKLOADS = {
    "NoGenerator": ("workload", "workload 'asks' raised TypeError: "),
    "None_": ("workload", "workload 'asks' yielded what is no SimPy event: Invalid yield value \"None\""),
    "Foreign": ("workload", "workload 'asks' waits for an event of another SimPy environment, which never happens"),
    "Stops": ("workload", "workload 'asks' raised RuntimeError: generator raised StopIteration"),
    "Closing": ("workload", "workload 'asks' raised GeneratorExit:"),
    "Never": ("simulate", "took longer than its cell_timeout of 1 s"),
    "Back": ("workload", "workload 'asks' raised ValueError: Negative delay -1"),
    "NaN": ("workload", "workload 'asks' raised ValueError: a wait must be a number of microseconds, from 0 to "),
    "Infinite": ("workload", "workload 'asks' raised ValueError: a wait must be a number of microseconds, from 0 to "),
    "Huge": ("workload", "workload 'asks' raised ValueError: a wait must be a number of microseconds, from 0 to "),
    "Child": ("simulate", "SystemExit: 0"),
    "Fails": ("workload", "workload 'asks' raised LookupError: on purpose"),
}
DIMMS = {"name": "dimm-slots", "slots": 1, "sizes": ["256MiB"], "interval": 30, "duration": 120}


def written(folder: Path, **tables: Any) -> Path:  # noqa: ANN401  whatever TOML can hold
    (folder / "odd.py").write_text(PLUG_INS, "utf-8")
    path = folder / "e.toml"
    whole = {
        "machines": [{"label": "vm", "boot_memory": "1GiB"}],
        "policies": [{"name": "auto-movable"}],
        "workloads": [DIMMS],
        "cell_timeout": 1,
    }
    path.write_text(tomli_w.dumps({**whole, **tables}), "utf-8")
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.mark.parametrize(("section", "odd"), [("policies", POLICIES), ("workloads", WORKLOADS)])
def test_validate_finds_what_run_finds(section: str, odd: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    sound = {"name": "auto-movable"} if section == "policies" else DIMMS
    path = written(tmp_path, **{section: [sound, *({"name": f"odd.py:{name}"} for name in odd)]})

    validated = invoke("validate", "--json", path)
    ran = invoke("run", path, "--out", tmp_path / "results", "--no-plots", "--workers", "1")

    assert validated.exit_code == ran.exit_code == 1
    tried = json.loads(validated.stdout)["tried"]
    column = "policy" if section == "policies" else "workload"
    runs = ResultStore(tmp_path / "results" / "e").runs()
    failed = runs[runs["status"] == "failed"]
    told = {row[column]: (row["stage"], row["error"]) for row in failed.to_dict("records")}
    assert told.keys() == odd.keys()
    for name, (stage, error) in odd.items():
        assert told[name][0] == stage
        assert told[name][1].startswith(error), told[name]
    assert tried["runs"] == 1 + len(odd)
    assert {tuple(each.values()) for each in tried["failed"]} == {
        (re.sub("ODD", name, "ODD / dimm-slots / vm / replication 0" if column == "policy" else
                "auto-movable / ODD / vm / replication 0"), *told[name])
        for name in odd
    }  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} <= {"odd.py", "e.toml", "results", "__pycache__"}


def test_validate_names_policies_and_says_more_than_where_it_did_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.experiment.probe.LONGEST_S", 0.7)
    path = written(tmp_path, cell_timeout=3000, policies=[{"name": f"odd.py:{each}"} for each in ("Hangs", "Nothing")])

    told = invoke("validate", path)

    assert told.exit_code == 1
    assert told.stdout.startswith(f"{path}: no faults in the file, but 1 of 2 tried runs fails\n")
    assert "  time       more than " in told.stdout
    assert " on one core: of 2 tried runs 1 took longer than 0.7 s" in told.stdout
    assert "  Nothing / dimm-slots / vm / replication 0" in told.stderr
    assert "Hangs" not in told.stderr


def test_the_time_that_loading_takes_counts(tmp_path: Path) -> None:
    slow = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end:\n    pass\n"
    path = written(tmp_path, workloads=[{"name": "odd.py:Foreign"}])
    (tmp_path / "odd.py").write_text(slow + PLUG_INS, "utf-8")

    assert json.loads(invoke("validate", "--json", path).stdout)["estimated_seconds"] > 0.5


@pytest.mark.parametrize("guest", [{"model": "none"}, {"model": "linux"}], ids=str)
def test_a_machine_of_more_zones_than_can_be_simulated_is_a_fault_of_the_file(
    guest: dict[str, str], tmp_path: Path
) -> None:
    nodes = [{"boot_memory": "128MiB"}] * 1000
    path = written(tmp_path, machines=[{"label": "vm", "nodes": nodes}], guest=guest)
    for command in (["validate", path], ["run", path, "--out", tmp_path]):
        told = invoke(*command)
        assert told.exit_code == 2
        what = "their memory is in 1001 zones; 253 at most can be simulated"
        assert told.stderr == f"Error: {path}: machines[0].nodes: {what}\n"


@pytest.mark.parametrize("duration", ["math.nan", "math.inf", "-math.inf", "1e300", "'ten'", "None"])
def test_a_duration_that_is_none_is_a_fault_of_the_file(duration: str, tmp_path: Path) -> None:
    path = written(tmp_path, workloads=[{"name": "odd.py:Foreign"}])
    (tmp_path / "odd.py").write_text(PLUG_INS.replace("10.0", duration), "utf-8")

    told = invoke("validate", path)

    assert told.exit_code == 2
    assert "workloads[0]: " in told.stderr


def test_explain_keeps_the_time_limit_and_names_what_fails(tmp_path: Path) -> None:
    path = written(tmp_path, policies=[{"name": f"odd.py:{each}"} for each in ("Hangs", "Closes", "Unspeakable")])

    told = invoke("explain", path)

    assert told.exit_code == 1
    assert told.stderr.splitlines() == [
        "Error: took longer than its cell_timeout of 1 s",
        "Error: policy 'odd' raised GeneratorExit for block 32:",
        "Error: policy 'odd' raised Silent for block 32: (its text cannot be had: ValueError)",
    ]


@pytest.mark.parametrize("where", ["__init__", "import"])
@pytest.mark.parametrize("end", ["sys.exit(0)", "raise GeneratorExit", "os._exit(0)"])
def test_what_ends_the_program_when_a_plug_in_is_made_is_a_fault(where: str, end: str, tmp_path: Path) -> None:
    path = written(tmp_path, policies=[{"name": "odd.py:Raises"}])
    more = end if where == "import" else f"def made(self):\n    {end}\n\n\nRaises.__init__ = made"
    (tmp_path / "odd.py").write_text(f"{PLUG_INS}\n\n{more}\n", "utf-8")

    told = invoke("validate", path)

    assert told.exit_code == 2
    assert "policies[0]" in told.stderr


def test_explain_ends_even_what_will_not_be_interrupted(tmp_path: Path) -> None:
    path = written(tmp_path, policies=[{"name": "odd.py:Clings"}], cell_timeout=0.3)

    told = subprocess.run(
        [sys.executable, "-m", "memhp_sim", "explain", path], capture_output=True, text=True, timeout=60, check=False
    )

    assert told.returncode == 1
    where = "Clings / dimm-slots / vm / replication 0"
    assert told.stderr == f"Error: {where} took longer than its cell_timeout of 0.3 s, and would not be interrupted\n"
