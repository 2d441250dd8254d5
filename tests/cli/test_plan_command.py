"""The command ``plan``: its screens at several widths, its order of steps, and what it saves."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sim.cli.main import main
from sim.cli.plan_screen import part
from sim.units import GIB, MIB
from tests.support.outputs import run

MACHINE = '[[machines]]\nboot_memory = "4GiB"\n[[policies]]\nname = "contig-zones"\n'


@pytest.fixture
def machine(tmp_path: Path) -> str:
    path = tmp_path / "guest.toml"
    path.write_text(f'{MACHINE}[guest]\nmodel = "linux"\n', "utf-8")
    return str(path)


def planned(*arguments: str, width: int = 120, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["plan", *arguments], env={"COLUMNS": str(width)})
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize("width", [40, 80, 200])
def test_screens_keep_to_their_width(machine: str, width: int) -> None:
    steps = "--plug", "dimm:16GiB", "--plug", "virtio-mem:32GiB", "--demand", "kernel:2GiB"
    lines = planned(machine, *steps, width=width).output.splitlines()[5:]
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)


def test_a_width_of_nothing_is_none_that_is_known(machine: str) -> None:
    arguments = machine, "--plug", "dimm:1GiB"
    assert planned(*arguments, width=0).output == planned(*arguments, width=120).output


def test_one_table_of_80_columns_says_it_all(machine: str) -> None:
    lines = planned(machine, "--plug", "dimm:16GiB", width=80).output.splitlines()
    at = next(number for number, line in enumerate(lines) if "memmap" in line)
    assert lines[at].split() == ["Movable", "kernel", "memmap", "left", "fails", "returns", "safe", "stays"]
    assert lines[at + 2].split() == ["contig-zones", "*", "0", "16GiB", "256MiB", "19.4GiB", "no", "16GiB", "0", "0"]
    assert lines[at + 4].split()[:4] == ["online-movable", "16GiB", "0", "256MiB"]
    assert lines[at + 5] == "* this machine's own policy"


def test_steps_are_made_in_the_order_in_which_they_are_given(machine: str) -> None:
    steps = ["--plug", "dimm:1GiB", "--unplug=new-dimm0", "--plug", "dimm:2GiB,id=new-dimm0", "--unplug", "new-dimm0"]
    found = json.loads(planned(machine, "--json", *steps).output)
    assert found["steps"] == [
        "plug dimm:1GiB@0,id=new-dimm0",
        "unplug new-dimm0",
        "plug dimm:2GiB@0,id=new-dimm0",
        "unplug new-dimm0",
    ]


def test_zones_that_take_turns_are_told_in_one_line(machine: str) -> None:
    """96 blocks by the 4 GiB of boot memory, and three more for each in a kernel zone: 96 + 40 * (1 + 3) = 256."""
    output = planned(machine, "--plug", "virtio-mem:32GiB", "--policy", "auto-movable").output
    assert "    blocks 40-295 (32GiB, node 0) -> in turns: Movable 216 blocks, Normal 40 blocks\n" in output
    assert "      block 40 -> Movable: fits: MOVABLE 0 + block 32768 <= limit" in output
    assert "      block 136 -> Normal: all nodes: MOVABLE 3145728 + block 32768 > limit" in output


def test_what_is_the_same_is_told_once(machine: str) -> None:
    output = planned(machine, "--plug", "dimm:1GiB", "--policy", "contig-zones", "--policy", "online-kernel").output
    assert output.count("blocks 40-47 (1GiB, node 0) -> Normal") == 2, "for other reasons"
    policies = "auto-movable", "kernel:default_state=online,online_policy=auto-movable"
    output = planned(machine, "--plug", "dimm:1GiB", *(f"--policy={policy}" for policy in policies)).output
    assert "  the same as under 'auto-movable'\n" in output


def test_what_stays_is_told_with_the_reason(machine: str) -> None:
    steps = "--plug", "virtio-mem:32GiB", "--demand", "kernel:4GiB", "--policy", "auto-movable"
    output = planned(machine, *steps).output
    assert " blocks between 136 and " in output
    assert " in Normal: there are pages that cannot move\n" in output
    assert " of 32GiB come back, " in output


def test_without_a_guest_it_says_what_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "guest.toml"
    path.write_text(MACHINE, "utf-8")
    output = planned(str(path), "--plug", "dimm:1GiB").output
    assert "No guest is modelled, so that nothing runs short and everything can be taken back: add --guest." in output
    assert "room for the kernel" not in output
    assert "room for the kernel" in planned(str(path), "--plug", "dimm:1GiB", "--guest").output


def test_what_was_typed_wrong_is_told_with_exit_code_2(machine: str) -> None:
    output = planned(machine, "--plug", "dimm:1GB", "--unplug", "new-dimm0", code=2).output
    assert output.startswith("Error: the steps: 2 faults\n  'plug dimm:1GB': size: '1GB' is not a size")
    assert "does not exist" in planned("nowhere.toml", "--plug", "dimm:1GiB", code=2).output


def test_a_policy_that_fails_is_told_with_exit_code_1(machine: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from memhp_sim import Policy\nclass Mine(Policy):\n    name, summary = 'mine', 'fails'\n"
        "    def zone_for(self, request, memory):\n        raise RuntimeError('no idea')\n",
        "utf-8",
    )
    output = planned(machine, "--plug", "dimm:1GiB", "--policy", "mine.py:Mine", code=1).output
    assert "no idea" in output
    assert "policy" in output


def test_what_is_saved_runs_as_an_experiment(machine: str, tmp_path: Path) -> None:
    saved = tmp_path / "elsewhere" / "what-if.toml"
    saved.parent.mkdir()
    output = planned(machine, "--plug", "dimm:1GiB", "--save", str(saved)).output
    assert output.endswith(f"\n{saved} has it as an experiment: memhp-sim run {saved}\n")
    tables = tomllib.loads(saved.read_text("utf-8"))
    assert tables["workloads"][0]["steps"] == ["plug dimm:1GiB@0,id=new-dimm0", "unplug new-dimm0"]
    result = CliRunner().invoke(main, ["run", str(saved), "--out", str(tmp_path), "--no-plots", "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "3 of 3 runs completed" in result.output


def test_nothing_is_saved_over_what_is_there(machine: str, tmp_path: Path) -> None:
    before = Path(machine).read_bytes()
    ask = machine, "--plug", "dimm:1GiB", "--save"
    assert planned(*ask, machine, code=2).output == f"Error: {machine} is there already; --force writes over it\n"
    assert planned(*ask, str(tmp_path / "x.txt"), code=2).output.endswith("x.txt: experiment files end in .toml\n")
    assert Path(machine).read_bytes() == before
    planned(*ask, machine, "--force")
    assert tomllib.loads(Path(machine).read_text("utf-8"))["workloads"]


def test_a_name_that_is_no_text_and_an_output_that_lacks_characters_are_taken(machine: str, tmp_path: Path) -> None:
    saved = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.toml")
    arguments = ["plan", machine, "--plug", "dimm:1GiB", "--save", saved]
    code, out, _ = run(arguments, tmp_path, encoding="ascii")
    assert code == 0
    assert b"\n------------  -----" in out.replace(b"----------------", b"------------")
    assert b"\\udcff.toml has it as an experiment" in out
    assert run(["validate", "--no-probe", saved], tmp_path).code == 0


def test_what_is_wrong_with_a_policy_of_an_option_is_told_of_the_option(machine: str) -> None:
    wrong = planned(
        machine, "--plug", "dimm:1GiB", *("--policy", "contig-zones"), *("--policy", "no"), *("--policy", "udev:x=1"),
        code=2,
    )  # fmt: skip
    first, *faults = wrong.output.splitlines()
    assert first == f"Error: {machine}: 2 faults"
    assert faults[0].startswith("  --policy 'no': unknown policy 'no'. Valid: ")
    assert faults[1].startswith("  --policy 'udev:x=1': x: ")
    assert "twice" in planned(machine, "--policy", "auto-movable:ratio=1,ratio=2", code=2).output


def test_amounts_that_differ_look_different() -> None:
    assert part(64 * GIB - 12 * MIB, 64 * GIB) == "63.99GiB"
    assert part(64 * GIB - 4096, 64 * GIB) == "67108860KiB"
    assert part(64 * GIB, 64 * GIB) == "64GiB"
    assert part(0, 64 * GIB) == "0"


def test_why_a_virtio_mem_driver_stops_is_told(machine: str) -> None:
    output = planned(machine, "--plug", "virtio-mem:3GiB", "--policy", "offline").output
    assert "2GiB are missing of what was asked for: the driver adds no more while so much of it is offline" in output
