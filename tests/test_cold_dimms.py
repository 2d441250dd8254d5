"""DIMMs that are there when the kernel starts: added before any time has passed, offline until a rule comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from memhp_sim import open_results
from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.udev import Udev
from sim.cli.main import main
from sim.devices.specs import DimmSpec
from sim.engine import simulate
from sim.experiment.load import load
from sim.faults import InputError
from sim.machine.spec import ColdDimms, MachineSpec, NodeSpec
from sim.record.recorder import EventKind
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.cells import Script, rows
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from policies.contract import Policy
    from sim.record.run_result import RunResult

SMALL = (ColdDimms(256 * MIB), ColdDimms(128 * MIB, node=1, count=2))
FIRST = 40


def machine(cold_dimms: tuple[ColdDimms, ...] = SMALL, **options: Any) -> MachineSpec:  # noqa: ANN401
    return MachineSpec((NodeSpec(3 * GIB), NodeSpec(GIB)), cold_dimms=cold_dimms, **options)


def run(policy: Policy, spec: MachineSpec | None = None) -> RunResult:
    return simulate(spec or machine(), policy, Script(), Streams(1, 0))


def test_they_are_plugged_in_order_at_time_0_each_a_device_and_a_group_of_its_own() -> None:
    result = run(ContigZones())
    assert result.device_names == ("cold0", "cold1", "cold2")
    assert result.device_nodes == (0, 1, 1)
    assert [(t, device, block, count) for t, _, device, block, count, *_ in rows(result, EventKind.PLUG)] == [
        (0, 0, FIRST, 2),
        (0, 1, FIRST + 2, 1),
        (0, 2, FIRST + 3, 1),
    ]


def test_each_is_judged_as_one_that_is_plugged() -> None:
    """At 10 % of 4 GiB, DIMMs of 256 and 128 MiB fit, one more of 128 does not: they are no early memory."""
    result = run(AutoMovable(ratio=10, numa_aware=False))
    assert [row[5] for row in rows(result, EventKind.PLUG)] == [3, 3, 2]


def test_their_blocks_are_offline_until_the_rule_begins() -> None:
    result = run(Udev(state="online_movable", delay=0.0, after=20.0))
    assert [row[0] for row in rows(result, EventKind.ADD)] == [0, 0, 0]
    online = rows(result, EventKind.ONLINE)
    assert [(row[3], row[5]) for row in online] == [(FIRST + n, 3) for n in range(4)]
    assert online[0][0] == 20_005_000


def test_the_next_device_goes_behind_them() -> None:
    result = simulate(machine(), ContigZones(), Script(DimmSpec("d", 128 * MIB)), Streams(1, 0))
    assert rows(result, EventKind.PLUG)[-1][3] == FIRST + 4


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cold_dimms": (ColdDimms(0),)}, "cold_dimms[0].size: 0B is not one or more times 2MiB"),
        ({"cold_dimms": (ColdDimms(GIB), ColdDimms(GIB, node=2))}, "cold_dimms[1].node: there is no node 2; the last"),
        ({"cold_dimms": (ColdDimms(GIB, count=0),)}, "cold_dimms[0].count: 0 is not a number of DIMMs"),
        (
            {"cold_dimms": (ColdDimms(GIB, count=3),), "slots": 2},
            "cold_dimms: 3 DIMMs are more than the machine",
        ),
        (
            {"cold_dimms": (ColdDimms(GIB, count=3),), "max_memory": 6 * GIB},
            "cold_dimms: with them there are 7GiB, more than max_memory",
        ),
    ],
)
def test_what_no_machine_has_is_a_fault(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        machine(**options)
    assert any(f"{fault.key}: {fault.what}".startswith(says) for fault in caught.value.faults)


def test_they_are_part_of_what_an_experiment_file_says_and_of_a_cells_key(tmp_path: Path) -> None:
    def loaded(more: str) -> dict[str, Any]:
        path = tmp_path / "x.toml"
        path.write_text(
            f'[[machines]]\nboot_memory = "1GiB"\n{more}\n[[policies]]\nname = "offline"\n'
            '[[workloads]]\nname = "dimm-slots"\n'
        )
        return load(path).combinations[0].machine.identity()

    assert loaded("")["cold_dimms"] == []
    identity = loaded('cold_dimms = [{ size = "512MiB" }, { size = "1GiB", count = 2 }]')
    assert identity["cold_dimms"] == [
        {"size": 512 * MIB, "node": 0, "count": 1},
        {"size": GIB, "node": 0, "count": 2},
    ]
    with pytest.raises(InputError, match=r"machines\[0\]\.cold_dimms\[0\]\.count: 0 is not a number of DIMMs"):
        loaded("cold_dimms = [{ size = 4096, count = 0 }]")


def test_the_order_of_dimms_decides_how_many_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the page about devices says: 64 GiB one by one, 48 where all are there before the rule runs."""
    page = (ROOT / "docs" / "devices.md").read_text("utf-8")
    command = "run experiments/dimm-order.toml --scores plugged_max,failed_operations"
    assert f"$ memhp-sim {command}\n" in page
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, [*command.split(), "--out", str(tmp_path), "--no-plots"])
    assert done.exit_code == 0, done.output
    runs = open_results(tmp_path / "dimm-order").runs()
    arrived = {
        (workload, policy): int(plugged) // GIB
        for workload, policy, plugged in zip(runs["workload"], runs["policy"], runs["plugged_max"], strict=True)
    }
    for words, policy in (
        ("the kernel", "kernel"),
        ("a rule, at once", "rule at once"),
        ("a rule, ten minutes late", "late rule"),
    ):
        one_by_one, at_boot = arrived["one by one", policy], arrived["none", policy]
        assert f"| {words} | {one_by_one} GiB arrive | {at_boot} GiB arrive |" in page
