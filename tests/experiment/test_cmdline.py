"""Command lines of machines in experiment files: what they set, what contradicts them, what is told of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from click.testing import CliRunner

from sim.cli.main import main
from sim.experiment.effective_config import effective_tables
from sim.experiment.load import load
from sim.faults import InputError
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from sim.experiment.plan import Experiment

NEON = "memhp_default_state=online memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=401"
HUGE = "sets huge pages aside at boot, which nothing but their users gets: that much less memory"
DIMMS = {"name": "dimm-slots", "sizes": ["1GiB"], "slots": 4, "initial": 4, "duration": 20}


def tables(*machines: dict[str, Any], **other: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"machines": [{"boot_memory": "1GiB", **each} for each in machines], "workloads": [DIMMS], **other}


def loaded(*machines: dict[str, Any], **other: Any) -> Experiment:  # noqa: ANN401
    return load(tables(*machines, **other))


def faults(*machines: dict[str, Any], **other: Any) -> list[str]:  # noqa: ANN401
    with pytest.raises(InputError) as caught:
        loaded(*machines, **other)
    return [str(fault) for fault in caught.value.faults]


def test_each_machine_has_the_policy_of_its_command_line() -> None:
    experiment = loaded(
        {"label": "neon", "cmdline": f"{NEON} movable_node swiotlb=noforce kernelcore=25%"},
        {"label": "debian", "cmdline": "memhp_default_state=online"},
    )
    assert experiment.policies == ["as booted"]
    assert experiment.baseline == "as booted"
    policies = {each.machine.label: each.policy for each in experiment.combinations}
    assert {each.plugin for each in policies.values()} == {"kernel"}
    assert policies["neon"].parameters["auto_movable_ratio"] == 401
    assert policies["debian"].parameters["online_policy"] == "contig-zones"
    spec = experiment.combinations[0].machine.spec
    assert (spec.movable_node, spec.swiotlb, spec.kernelcore_percent) == (True, "noforce", 25)


def test_a_key_may_say_the_same_as_a_word_and_nothing_else() -> None:
    same = loaded({"cmdline": "memhp_default_state=online kernelcore=512M cma=64M", "kernelcore": "0.5GiB"})
    assert (same.combinations[0].machine.spec.kernelcore, same.combinations[0].machine.spec.cma) == (
        512 * MIB,
        64 * MIB,
    )
    assert faults({"cmdline": "kernelcore=256M swiotlb=force", "kernelcore": "512MiB", "swiotlb": "noforce"}) == [
        "machines[0].cmdline: kernelcore=256M and the key kernelcore = 512MiB differ; keep one",
        "machines[0].cmdline: swiotlb=force and the key swiotlb = 'noforce' differ; keep one",
    ]
    (soft,) = faults({"cmdline": "memmap=64M!512M", "soft_reserved": [{"address": "512MiB", "size": "32MiB"}]})
    assert soft.startswith("machines[0].cmdline: memmap=64M!512M and the key soft_reserved differ")


def test_what_no_machine_can_have_is_a_fault_of_the_word() -> None:
    assert faults({"cmdline": "quiet mem=8M"}) == [
        "machines[0].cmdline: mem=8M: 8MiB is not 0 (not given) or a size from 16MiB to 64TiB"
    ]
    (fault,) = faults({"cmdline": "memmap=1G!0"})
    assert fault.startswith("machines[0].cmdline: memmap=1G!0: leaves")
    (fault,) = faults({"cmdline": "memhp_default_state=online kernelcore=4K"}, guest={"model": "linux"})
    assert "of kernel zones, all that kernelcore or movablecore leaves, are less than the" in fault
    (fault,) = faults({"cmdline": "x" * 70_000})
    assert "no kernel takes more than 65536" in fault


def test_an_experiment_without_policies_needs_command_lines() -> None:
    assert faults({"cmdline": "ro"}, {"label": "other"}) == [
        "machines[1].cmdline: is missing: an experiment without policies goes by the machine's cmdline"
    ]


def test_what_is_not_as_written_is_told_once_with_its_machines() -> None:
    odd = {"cmdline": f"{NEON} hugepages=8 quiet"}
    experiment = loaded({"label": "a", **odd}, {"label": "b", **odd}, {"label": "c", "cmdline": "ro quiet"})
    assert experiment.notes == [
        f"machine a, b: hugepages=8: not modelled: {HUGE}",
        "machine a, b: 1 other word: no matter to memory here",
        "machine c: no memhp_default_state=: new blocks stay offline, as in a kernel built with upstream's default",
        "machine c: 2 other words: no matter to memory here",
    ]
    own = loaded({"cmdline": NEON}, policies=[{"name": "contig-zones"}])
    assert own.policies == ["contig-zones"]
    assert own.notes == [f"machine 1GiB: {NEON}: not used, as the experiment has policies of its own"]
    swept = loaded({"label": "vm", **odd}, sweep=[{"product": {"machines": {"vm": {"slots": [4, 5, 6, 7]}}}}])
    assert swept.notes[0].startswith('machine "vm, slots 4", "vm, slots 5", "vm, slots 6" and 1 more: hugepages=8')


def test_command_lines_can_be_swept_with_the_policy_that_each_has() -> None:
    lines = ["memhp_default_state=online_movable", "memhp_default_state=online cma=64M"]
    experiment = loaded({"label": "vm"}, sweep=[{"product": {"machines": {"vm": {"cmdline": lines}}}}])
    states = [each.policy.parameters["default_state"] for each in experiment.combinations]
    assert states == ["online_movable", "online"]
    assert [each.factors["machine.cmdline"] for each in experiment.combinations] == lines


def test_what_a_machine_was_booted_with_is_swept_as_its_command_line_and_not_as_a_policy() -> None:
    sweep = [{"product": {"policies": {"as booted": {"ratio": [1, 2]}}}}]
    assert faults({"label": "vm", "cmdline": NEON}, sweep=sweep) == [
        "sweep[0].product.policies.\"as booted\": unknown label of policies 'as booted'; there is none"
    ]


@pytest.mark.parametrize("own", [False, True])
def test_the_written_experiment_has_the_same_cells(own: bool, tmp_path: Path) -> None:  # noqa: FBT001
    policies = {"policies": [{"name": "contig-zones"}]} if own else {}
    sweep = {"product": {"machines": {"swept": {"cmdline": [NEON, "cma=64M mem=768M"]}}}}
    experiment = loaded(
        {"label": "told", "cmdline": f"{NEON} kernelcore=50% memmap=64M$512M", "cma": "32MiB"},
        {"label": "swept"},
        sweep=[sweep],
        **policies,
    )
    path = tmp_path / "written.toml"
    path.write_text(tomli_w.dumps(effective_tables(experiment)))
    again = load(path)
    assert [cell.identity() for cell in again.cells()] == [cell.identity() for cell in experiment.cells()]


def test_validate_run_and_the_manifest_tell_of_it(tmp_path: Path) -> None:
    path = tmp_path / "told.toml"
    path.write_text(tomli_w.dumps(tables({"cmdline": f"{NEON} numa=off"})))
    runner = CliRunner()
    note = "machine 1GiB: numa=off: not modelled"
    shown = runner.invoke(main, ["validate", str(path)])
    assert f"Note: {note}" in shown.stdout
    as_json = json.loads(runner.invoke(main, ["validate", "--no-probe", "--json", str(path)]).stdout)
    assert as_json["notes"][0].startswith(note)
    done = runner.invoke(main, ["run", str(path), "--out", str(tmp_path), "--no-plots", "--workers", "1"])
    assert done.exit_code == 0
    assert done.stderr.count(f"Note: {note}") == 1
    manifest = json.loads((tmp_path / "told" / "manifest.json").read_text())
    assert manifest["notes"][0].startswith(note)


def test_a_command_line_says_the_same_as_its_keys_and_policy() -> None:
    """Both machines come to the same cells' contents: the line is another way to write them."""
    line = loaded({"label": "vm", "cmdline": f"{NEON} kernelcore=512M movable_node crashkernel=64M"})
    keys = loaded(
        {"label": "vm", "kernelcore": "512MiB", "movable_node": True, "crashkernel": "64MiB"},
        policies=[
            {
                "name": "kernel",
                "label": "as booted",
                "default_state": "online",
                "online_policy": "auto-movable",
                "auto_movable_ratio": 401,
            }
        ],
    )
    assert [cell.identity() for cell in line.cells()] == [cell.identity() for cell in keys.cells()]
    assert line.combinations[0].machine.spec.boot_memory == GIB
