"""``check-policy`` and ``check-workload`` find each planted fault by name, and pass what has none."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from sim.plugins.lookup import POLICY, WORKLOAD, names
from tests.cli.test_main import invoke
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PLANTED = ROOT / "tests" / "data" / "planted-faults"

POLICIES = {
    "impure": {"same answer": "zone_for said Normal and then Movable of the same block"},
    "slow": {"speed": "times as long as one of auto-movable"},
    "wrong_run": {"whole runs": "zones_for_run put block 16, number 3 of 11, in Normal; asked block by block"},
    "wrong_zone": {"zones": "answered DMA32 for block 6, where Linux has no DMA32: that of node 0 ends at 0x100000000"},
    "no_zone": {"zones": "answered None for block 6, which is none of the zones"},
    "clock": {"no clock, no dice": "the clock, time.time() in clock.py, line 13"},
    "changes_view": {"only looks": "zone_for changed memory: a policy may only look at it"},
    "hash_order": {"other process": "the order of a set, on hash()"},
}

WORKLOADS = {
    "forgets_seed": {
        "same seed": "resize 'vmem0' to",
        "other policy": "though it looks at nothing of the guest",
        "only its streams": "the shared generator of Python's module random in forgets_seed.py, line 18",
    },
    "numpy_dice": {"only its streams": "numpy.random's shared generator"},
    "back_in_time": {"time": "it waits for -20000000 microseconds, after its request at 30 s"},
    "turns_clock_back": {"time": "it asks at 10000000 microseconds, after it had asked at 30000000"},
    "never_ends": {"ends": "it was not done after 2 seconds, and was seen in line 1"},
    "beyond_device": {"devices": "at 180 s it asks for 9GiB of 'vmem0', which has 8GiB at most"},
    "stranger": {
        "devices": "at 30 s it asks unplug of 'dimm1', which it never plugged",
        "machine": "it plugs the DIMM 'dimm0', but needs_dimms() does not say",
    },
    "unknown_node": {"machine": "it plugs 'vmem0' into node 1, but node_capacity() says 0"},
    "wrong_parameters": {
        "parameters": "size = 1: __init__ raised AssertionError",
        "pace": "with what at_pace(parameters, 2) returned: sizes: unknown parameter",
    },
}


def test_every_planted_fault_is_looked_for() -> None:
    assert {path.stem for path in PLANTED.glob("*.py")} == {*POLICIES, *WORKLOADS}


@pytest.mark.parametrize("fault", POLICIES)
def test_a_fault_of_a_policy_is_found_by_its_name(fault: str) -> None:
    found_by_name("check-policy", fault, POLICIES[fault], "--machines", "2")


@pytest.mark.parametrize("fault", WORKLOADS)
def test_a_fault_of_a_workload_is_found_by_its_name(fault: str) -> None:
    found_by_name("check-workload", fault, WORKLOADS[fault], *(["--time-limit", "2"] if fault == "never_ends" else []))


def found_by_name(command: str, fault: str, expected: dict[str, str], *options: str) -> None:
    """See that these checks fail, and no others, each with these words; and that it can be gone back to."""
    place = f"{PLANTED / fault}.py:Planted"
    answer = invoke(command, place, "--json", *options)
    assert answer.exit_code == 1
    said = json.loads(answer.output)
    assert said["passed"] is False
    failed = {check["check"]: check for check in said["checks"] if check["outcome"] == "failed"}
    assert set(failed) == set(expected)
    for name, words in expected.items():
        assert words in failed[name]["what"]
    again = failed[next(iter(expected))]["again"]
    if "--only" in again:
        shown = invoke(command, place, *shlex.split(again))
        assert shown.exit_code == 1
        assert f"FAILED     {next(iter(expected))}: " in shown.output
        assert f"again: memhp-sim {command} " in shown.output


@pytest.mark.parametrize("name", names(POLICY))
def test_every_shipped_policy_passes(name: str) -> None:
    answer = invoke("check-policy", name, "--machines", "2")
    assert answer.exit_code == 0, answer.output
    assert "13 passed, 0 failed, 0 not tried" in answer.output


def written(name: str, folder: Path) -> list[str]:
    """Return the parameters of a shipped workload that has none by default, with the files that they name."""
    demand, load = folder / "demand.csv", folder / "load.csv"
    demand.write_text("t_s,bytes\n0,1000000000\n60,3000000000\n120,500000000\n")
    load.write_text("t_s,kind,name,amount\n0,anonymous,a,1000000000\n60,anonymous,a,0\n")
    return {
        "request-replay": ["log=neonvm-pr705"],
        "demand-trace": [f"path={demand}", "columns.time=t_s", "columns.user=bytes"],
        "guest-trace": [f"path={demand}", "columns.time=t_s", "columns.user=bytes"],
        "host-packing": [f"path={ROOT / 'experiments' / 'data' / 'huawei-requests.csv'}", "duration=600"],
        "load-trace": [f"path={load}"],
    }.get(name, [])


@pytest.mark.parametrize("name", names(WORKLOAD))
def test_every_shipped_workload_passes(name: str, tmp_path: Path) -> None:
    options = [word for each in written(name, tmp_path) for word in ("--set", each)]
    answer = invoke("check-workload", name, *options)
    assert answer.exit_code == 0, answer.output
    assert "12 passed, 0 failed, 0 not tried" in answer.output


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("check-policy", ["nothing.py:Mine"], "nothing.py cannot be read: No such file"),
        ("check-policy", ["auto-movabel"], "did you mean 'auto-movable'?"),
        ("check-policy", [f"{PLANTED / 'slow.py'}:Plannted"], "did you mean 'Planted'?"),
        ("check-policy", ["auto-movable", "--set", "ratoi=3"], "did you mean 'ratio'?"),
        ("check-policy", ["auto-movable", "--set", "ratio=-1"], "auto-movable: ratio: "),
        ("check-policy", ["auto-movable", "--set", "ratio"], "is not KEY=VALUE"),
        ("check-policy", ["auto-movable", "--set", "a..b=1"], "a..b is no key"),
        ("check-policy", [], "name a policy, such as my_policy.py:MyPolicy"),
        ("check-policy", ["auto-movable", "--template", "x.py"], "name a policy"),
        ("check-policy", ["--template", "x.toml"], "x.toml: Python files end in .py"),
        ("check-policy", [f"{PLANTED / 'stranger.py'}:Planted"], "is not a subclass of policies.contract.Policy"),
        ("check-workload", ["dimm-slots", "--set", "slots=0"], "dimm-slots: slots: "),
        ("check-workload", ["demand-trace", "--set", "columns=3", "--set", "columns.time=4"], "is set inside of"),
        ("check-workload", ["demand-trace"], "path: is missing"),
    ],
)
def test_what_is_no_plug_in_or_no_parameter_is_bad_input(command: str, words: list[str], said: str) -> None:
    answer = invoke(command, *words)
    assert answer.exit_code == 2
    assert said in " ".join(answer.output.split())


@pytest.mark.parametrize(("kind", "number"), [("policy", 13), ("workload", 12)])
def test_the_template_passes_and_is_not_written_over(kind: str, number: int, tmp_path: Path) -> None:
    file = tmp_path / "own" / "first.py"
    begun = invoke(f"check-{kind}", "--template", file)
    assert f"check-{kind} {file}:My{kind.capitalize()}" in begun.output
    assert f'name = "first.py:My{kind.capitalize()}"' in file.read_text()
    few = ["--machines", "2"] if kind == "policy" else []
    checked = invoke(f"check-{kind}", f"{file}:My{kind.capitalize()}", *few)
    assert f"{number} passed, 0 failed, 0 not tried" in checked.output
    refused = invoke(f"check-{kind}", "--template", file)
    assert (refused.exit_code, "is there already; --force writes over it" in refused.output) == (2, True)
    assert invoke(f"check-{kind}", "--template", file, "--force").exit_code == 0


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_screen(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(PLANTED)
    answer = invoke("check-workload", "stranger.py:Planted")
    assert answer.exit_code == 1
    assert max(map(len, answer.output.splitlines())) <= width


def test_parameters_are_part_of_the_way_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (PLANTED / "wrong_run.py").read_text()
    text = text.replace(
        "    def zone_for", '    def __init__(self, *, note: Annotated[str, "any"] = ""): ...\n\n    def zone_for'
    )
    (tmp_path / "mine.py").write_text(f"from typing import Annotated\n{text}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    answer = invoke("check-policy", "mine.py:Planted", "--set", 'note="7"', "--machines", "2")
    (again,) = (line.split("again: memhp-sim ")[1] for line in answer.output.splitlines() if "again: " in line)
    assert """--set 'note="7"'""" in again
    assert invoke(*shlex.split(again)).exit_code == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended its process, with status -9"),
        ("while True: pass", r"was not done after 3 seconds, and was seen in line 6 of mine.py, zone_for()"),
        ("raise SystemExit(3)", ""),
    ],
    ids=["kills itself", "never answers", "ends the program"],
)
def test_a_policy_that_would_take_everything_down_is_told(body: str, said: str, tmp_path: Path) -> None:
    lines = [
        "from memhp_sim import Policy",
        "class Mine(Policy):",
        '    name = "mine"',
        '    summary = "mine"',
        "    def zone_for(self, request, memory):",
        f"        {body}",
    ]
    (tmp_path / "mine.py").write_text("\n".join(lines))
    answer = invoke(
        "check-policy", f"{tmp_path / 'mine.py'}:Mine", "--time-limit", "3" if "while" in body else "60", "--json"
    )
    assert answer.exit_code == 1
    failed = [check for check in json.loads(answer.output)["checks"] if check["outcome"] == "failed"]
    if said:
        assert [check["check"] for check in failed] == ["ends"]
        assert said in failed[0]["what"]
    else:
        assert [check["check"] for check in failed] == ["raises"]
        assert "zone_for raised SystemExit: 3" in failed[0]["what"]
