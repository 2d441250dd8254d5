"""What is shipped: which word whose blocks get under each, on which machine, and that sources say when."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from policies.as_shipped import SHIPPED, AsShipped
from policies.auto_movable import AutoMovable
from policies.contig_zones import ContigZones
from policies.kernel import Kernel
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.experiment import build
from sim.experiment.load import load
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import OnlineType, ZoneType
from sim.record.recorder import EventKind
from sim.units import GIB
from tests.experiment.examples import small
from tests.support.cells import Script, rows, run
from tests.support.places import ROOT

if TYPE_CHECKING:
    from sim.devices.specs import DeviceSpec
    from workloads.contract import Host

VIRTUAL = MachineSpec((NodeSpec(4 * GIB),))
BARE = MachineSpec((NodeSpec(4 * GIB),), bare_metal=True)
S390X = MachineSpec((NodeSpec(4 * GIB),), architecture="s390x")


def zones(by: str, machine: MachineSpec, *devices: DeviceSpec) -> str:
    """Return a letter for each device: the zone of all its blocks (Normal, Movable), and - where they stay offline."""
    result = run(AsShipped(by=by), Script(*devices, seconds=1000), machine=machine)
    found = dict.fromkeys(result.device_names, "-")
    for row in rows(result, EventKind.PLUG, EventKind.ONLINE):
        device, zone = result.device_names[row[2]], "..NM"[row[5]]
        assert found[device] in ("-", zone), "all blocks of a device fare alike here"
        found[device] = zone
    return "".join(found.values())


DIMM, VMEM, DAX = DimmSpec("d", GIB), VirtioMemSpec("v", GIB, requested=GIB), DaxSpec("x", GIB)


@pytest.mark.parametrize(
    ("by", "virtual", "bare"),
    [
        ("rhel-10", "NNN", "MMM"),
        ("rhel-10-bare-metal", "MMM", "MMM"),
        ("rhel-10-virtual-machine", "NNN", "NNN"),
        ("opensuse", "NNN", "NNN"),
        ("debian-12", "---", "---"),
        ("debian-13", "NNN", "NNN"),
        ("ubuntu-rule", "NNN", "NNN"),
        ("proxmox", "NNN", "NNN"),
        ("daxctl", "--M", "--M"),
        ("daxctl-no-movable", "--N", "--N"),
        ("neonvm", "MMM", "MMM"),
        ("neonvm-default", "MMM", "MMM"),
        ("neonvm-dimm-slots", "MMM", "MMM"),
        ("firecracker", "MMM", "MMM"),
        ("kata", "NNN", "NNN"),
        ("kata-1", "NNN", "NNN"),
        ("kata-s390x", "NNN", "NNN"),
    ],
)
def test_where_a_dimm_a_virtio_mem_device_and_a_dax_device_go_on_a_fresh_guest(
    by: str, virtual: str, bare: str
) -> None:
    assert zones(by, VIRTUAL, DIMM, VMEM, DAX) == virtual
    assert zones(by, BARE, DIMM, VMEM, DAX) == bare


def test_each_that_is_shipped_is_in_the_table_above() -> None:
    mark = next(
        mark
        for mark in test_where_a_dimm_a_virtio_mem_device_and_a_dax_device_go_on_a_fresh_guest.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    assert [case[0] for case in mark.args[1]] == [*SHIPPED]


@pytest.mark.parametrize(
    ("by", "zone"),
    [("rhel-10", "-"), ("rhel-10-bare-metal", "-"), ("opensuse", "-"), ("kata-s390x", "M"), ("kata", "N")],
)
def test_rules_look_at_the_architecture(by: str, zone: str) -> None:
    assert zones(by, S390X, VirtioMemSpec("v", GIB, requested=GIB)) == zone


def test_neonvm_keeps_kernel_memory_where_its_ratio_is_reached() -> None:
    """12 GiB are three times 4 GiB, 16 GiB are four times: the one ratio is for the one, the other for the other."""
    assert zones("neonvm-default", VIRTUAL, DimmSpec("a", 11 * GIB), DimmSpec("b", GIB // 2)) == "MM"
    assert zones("neonvm-default", VIRTUAL, DimmSpec("a", 11 * GIB), DimmSpec("b", 2 * GIB)) == "MN"
    assert zones("neonvm", VIRTUAL, DimmSpec("a", 11 * GIB), DimmSpec("b", 2 * GIB)) == "MM"
    assert zones("neonvm", VIRTUAL, DimmSpec("a", 11 * GIB), DimmSpec("b", 6 * GIB)) == "MN"
    assert (AsShipped(by="neonvm").configured_ratio, AsShipped(by="neonvm-default").configured_ratio) == (401, 301)
    assert AsShipped(by="debian-13").configured_ratio is AsShipped(by="firecracker").configured_ratio is None


def test_an_old_agent_of_kata_loses_events_and_a_newer_one_does_not() -> None:
    for by, online in (("kata", 1024), ("kata-1", 256)):
        result = run(AsShipped(by=by), Script(DimmSpec("d", 128 * GIB), seconds=60))
        assert len(rows(result, EventKind.ONLINE)) == online


@pytest.mark.parametrize("by", SHIPPED)
def test_it_is_what_a_file_can_say_in_words_of_its_own(by: str) -> None:
    """The parameters are those of an experiment's table, and make the same policy."""
    shipped = SHIPPED[by]
    said: dict[str, Any] = {"name": shipped.kind.name, **shipped.parameters}
    settings = [each.policy for each in load(small(policies=[{"name": "as-shipped", "by": by}, said])).combinations]
    named, spelled = (build.policy(each, Path()) for each in settings[:: len(settings) // 2])
    assert isinstance(named, AsShipped)
    assert isinstance(spelled, Kernel)
    assert (named.auto_online, named.user_space) == (spelled.auto_online, spelled.user_space)
    assert described(named.shipped.online_policy) == described(spelled.online_policy)


def described(policy: object) -> tuple[type, dict[str, object]]:
    assert isinstance(policy, (AutoMovable, ContigZones))
    return type(policy), vars(policy)


@pytest.mark.parametrize("by", SHIPPED)
def test_a_source_says_who_and_when(by: str) -> None:
    shipped = SHIPPED[by]
    assert re.search(r"\b20[12]\d(-\d\d)?", shipped.source)
    assert len(shipped.summary) < 120
    for word in shipped.cmdline.split():
        key, _, value = word.partition("=")
        parameter = {"memhp_default_state": "default_state"}.get(key, key.removeprefix("memory_hotplug."))
        assert str(shipped.parameters[parameter]) == value


def test_who_ships_it_can_be_swept() -> None:
    swept = load(
        small(
            policies=[{"name": "as-shipped", "label": "shipped"}],
            sweep=[{"product": {"policies": {"shipped": {"by": [*SHIPPED]}}}}],
        )
    )
    assert len({each.policy.label for each in swept.combinations}) == len(SHIPPED)


PAGE = (ROOT / "docs" / "who-puts-memory-online.md").read_text("utf-8")


def test_the_page_shows_experiments_that_run_and_policies_that_are_some() -> None:
    whole, *policies = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
    assert [each.policy.label for each in load(whole).combinations] == ["debian-13", "neonvm", "rhel-10"]
    kernel, user_space = (build.policy(load(small(**tables)).combinations[0].policy, Path()) for tables in policies)
    assert (kernel.auto_online, kernel.configured_ratio) == (OnlineType.ONLINE, 401)
    assert user_space.user_space is not None
    assert [rule.online_type.word for rule in user_space.user_space.rules] == [
        *("offline", "online_movable", "online_movable", "online"),
    ]


def test_reading_valid_zones_first_changes_nothing() -> None:
    """Whatever the policy, an offline block lists Movable: what an agent that looks for it can rely on."""
    seen: list[list[int]] = []

    def look(host: Host) -> None:
        core = host._context.core  # type: ignore[attr-defined]  # noqa: SLF001 - what no workload may see
        seen.extend(core.zone_choice.valid_zones(block) for block in range(40, 48))

    for policy in (Kernel(), Kernel(online_policy="auto-movable", auto_movable_ratio=0), AsShipped(by="debian-12")):
        run(policy, Script(DIMM, then=look))
    assert len(seen) == 24
    assert all(ZoneType.MOVABLE in zones for zones in seen)
