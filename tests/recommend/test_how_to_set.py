"""What is printed to copy is read back by the program's own readers, and gives the setting that it was printed for."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.as_shipped import SHIPPED, AsShipped
from policies.auto_movable import AutoMovable
from policies.auto_movable_stages import AutoMovablePatch2, AutoMovablePatch8
from policies.clairvoyant import Clairvoyant
from policies.contig_zones import ContigZones
from policies.contract import InLinux, Policy, UserSpaceRule, in_linux
from policies.fixed import Offline, OnlineKernel, OnlineMovable
from policies.headroom import Headroom
from policies.kernel import Kernel
from policies.udev import Udev
from policies.user_space import UserSpace
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec
from sim.experiment import build
from sim.experiment.imported import tables_of_facts
from sim.experiment.load import load
from sim.experiment.settings import MachineSettings
from sim.machine import cmdline
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import OnlineType
from sim.readers.libvirt_xml import read_libvirt
from sim.readers.sysfs_listing import read_sysfs_listing
from sim.recommend.candidates import space
from sim.recommend.how_to_set import HowToSet, how_to_set, told_how
from sim.recommend.udev_rules import rule_lines
from sim.units import GIB, MIB
from tests.support.places import ROOT
from tests.support.udev_rules import word_written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.devices.specs import DeviceSpec

ONE_NODE = MachineSettings("vm", MachineSpec((NodeSpec(4 * GIB),)))
TWO_NODES = MachineSettings("vm", MachineSpec((NodeSpec(2 * GIB), NodeSpec(2 * GIB))))
DEVICES: tuple[DeviceSpec, ...] = (
    DimmSpec("d0", GIB),
    DimmSpec("d1", GIB),
    DimmSpec("d2", 2 * GIB, node=1),
    VirtioMemSpec("v0", 8 * GIB, block_size=2 * MIB, requested=GIB),
)

SETTINGS: dict[str, Policy] = {
    "contig-zones": ContigZones(),
    "contig-zones with movable_node": ContigZones(movable_node=True),
    "301": AutoMovable(),
    "never MOVABLE": AutoMovable(ratio=0),
    "401 over all nodes": AutoMovable(ratio=401, numa_aware=False),
    "online-kernel": OnlineKernel(),
    "online-movable": OnlineMovable(),
    "offline": Offline(),
    "kernel as it is": Kernel(),
    "kernel with 150": Kernel(default_state="online", online_policy="auto-movable", auto_movable_ratio=150),
    "kernel online_movable": Kernel(default_state="online_movable"),
    "neonvm": AsShipped(by="neonvm"),
    "firecracker": AsShipped(by="firecracker"),
}
every_setting = pytest.mark.parametrize("policy", SETTINGS.values(), ids=SETTINGS)


def told(policy: Policy) -> InLinux:
    found = in_linux(policy)
    assert found is not None
    return found


def set_how(policy: Policy, machine: MachineSettings = TWO_NODES, devices: Sequence[DeviceSpec] = DEVICES) -> HowToSet:
    return told_how(in_linux(policy), machine, devices)


@every_setting
@pytest.mark.parametrize("machine", [ONE_NODE, TWO_NODES], ids=["one node", "two nodes"])
def test_the_command_line_reads_back_as_the_same_setting(policy: Policy, machine: MachineSettings) -> None:
    words = " ".join(set_how(policy, machine).cmdline)

    said = cmdline.read(words, series=(6, 12))

    assert not said.remarks
    assert not said.others
    assert told(Kernel(**said.policy)) == replace(told(policy), movable_node=False)
    assert said.machine == ({"movable_node": True} if told(policy).movable_node else {})


@every_setting
def test_what_is_written_to_sysfs_reads_back_as_the_same_setting(policy: Policy) -> None:
    writes = [line.removeprefix("echo ").split(" > ") for line in set_how(policy).sysfs]
    listing = "/sys/devices/system/memory/block_size_bytes:8000000\n/sys/devices/system/memory/memory0/state:online\n"

    facts = read_sysfs_listing(listing + "\n".join(f"{file}:{value}" for value, file in writes), "sysfs")
    tables, _ = tables_of_facts([read_libvirt("<domain><memory unit='GiB'>4</memory></domain>", "guest.xml"), facts])
    experiment = load(tables, idle=True)

    read = build.policy(experiment.combinations[0].policy, experiment.folder)
    assert told(read) == replace(told(policy), movable_node=False)


@every_setting
def test_the_libvirt_domain_reads_back_as_setting_and_devices(policy: Policy) -> None:
    xml = "<domain type='kvm'><memory unit='GiB'>24</memory>" + "\n".join(set_how(policy).libvirt) + "</domain>"

    facts = read_libvirt(xml, "guest.xml")

    assert facts.cmdline is not None
    assert told(Kernel(**cmdline.read(facts.cmdline).policy)) == replace(told(policy), movable_node=False)
    assert facts.max_memory == 4 * GIB + 12 * GIB
    assert facts.slots == 3
    kinds = {(each.kind, each.size, each.node, each.block_size, each.requested) for each in facts.devices}
    assert kinds == {
        ("dimm", GIB, 0, None, None),
        ("dimm", 2 * GIB, 1, None, None),
        ("virtio-mem", 8 * GIB, 0, 2 * MIB, GIB),
    }


def test_equal_devices_are_shown_once_with_their_number() -> None:
    assert sum("<memory " in line for line in set_how(ContigZones()).libvirt) == 3
    assert "  <!-- 2 of these -->" in set_how(ContigZones()).libvirt


def test_the_exact_lines_of_a_ratio() -> None:
    how = set_how(AutoMovable(ratio=150), ONE_NODE, ())
    assert how.cmdline == (
        "memhp_default_state=online",
        "memory_hotplug.online_policy=auto-movable",
        "memory_hotplug.auto_movable_ratio=150",
    )
    assert how.sysfs == (
        "echo 150 > /sys/module/memory_hotplug/parameters/auto_movable_ratio",
        "echo auto-movable > /sys/module/memory_hotplug/parameters/online_policy",
        "echo online > /sys/devices/system/memory/auto_online_blocks",
    )
    assert how.udev == ()


@pytest.mark.parametrize(("value", "word"), [(True, "Y"), ("force", "force")])
def test_memmap_on_memory_is_a_boot_parameter(value: Any, word: str) -> None:  # noqa: ANN401
    machine = MachineSettings("vm", replace(ONE_NODE.spec, kernel="6.12", memmap_on_memory=value))
    how = set_how(OnlineMovable(), machine, (DimmSpec("d", GIB), VirtioMemSpec("v", GIB), DaxSpec("x", GIB)))
    assert how.cmdline == ("memhp_default_state=online_movable", f"memory_hotplug.memmap_on_memory={word}")
    assert cmdline.read(" ".join(how.cmdline), series=(6, 12)).machine == {"memmap_on_memory": value}
    assert not any("memmap" in line for line in how.sysfs)
    assert "memmap_on_memory does nothing for virtio-mem." in how.notes
    assert any("daxX.Y/memmap_on_memory" in note for note in how.notes)


def test_memmap_on_memory_that_is_there_and_shall_not_be_is_turned_off() -> None:
    tables: dict[str, Any] = {
        "machines": [{"label": "vm", "boot_memory": "1GiB", "kernel": "6.12", "memmap_on_memory": True}],
        "policies": [{"name": "online-movable"}],
        "workloads": [{"name": "steps", "label": "plug", "steps": ["plug dimm:256MiB"]}],
        "guest": {"model": "linux"},
    }
    found = space(load(tables), "vm", "plug")
    lines = {each.label: how_to_set(found, each).cmdline[-1] for each in found.candidates}
    assert lines["online-movable"] == "memory_hotplug.memmap_on_memory=Y"
    assert lines["online-movable, memmap_on_memory false"] == "memory_hotplug.memmap_on_memory=N"


def test_words_that_say_otherwise_have_to_go() -> None:
    line = f"quiet {SHIPPED['neonvm'].cmdline}"
    machine = replace(ONE_NODE, said=cmdline.read(line))
    how = set_how(ContigZones(), machine)
    assert how.replaces == ("memory_hotplug.online_policy=auto-movable", "memory_hotplug.auto_movable_ratio=401")
    left = [word for word in line.split() if word not in how.replaces]
    assert told(Kernel(**cmdline.read(" ".join((*left, *how.cmdline))).policy)) == told(ContigZones())


@pytest.mark.parametrize("policy", [Headroom(), AutoMovablePatch2(), AutoMovablePatch8(), Clairvoyant()])
def test_a_policy_that_no_linux_has_cannot_be_set(policy: Policy) -> None:
    how = set_how(policy)
    assert not how.possible
    assert not list(how.parts())
    assert how.notes == ("No Linux has this policy: it shows what one could gain.",)


class Mine(AutoMovable):
    """Decides otherwise than what it is derived from."""

    name = "mine"

    def zone_for(self, request: Any, memory: Any) -> int:  # noqa: ANN401
        """Decide for a kernel zone."""
        return memory.default_kernel_zone(request.node, request.first_page, request.pages)  # type: ignore[no-any-return]


class Louder(AutoMovable):
    """Decides as what it is derived from."""

    name = "louder"


class Tuned(AutoMovable):
    """Takes another parameter."""

    name = "tuned"

    def __init__(self, *, tenths: Annotated[int, "a tenth of the ratio"] = 30) -> None:
        super().__init__(ratio=10 * tenths)


def test_who_decides_otherwise_than_a_linux_policy_is_not_taken_for_it() -> None:
    assert in_linux(Mine(ratio=150)) is None
    assert in_linux(Tuned(tenths=15)) is None
    assert in_linux(Louder(ratio=150)) == in_linux(AutoMovable(ratio=150))


@pytest.mark.parametrize("by", SHIPPED)
def test_what_is_shipped_can_be_set(by: str) -> None:
    how = set_how(AsShipped(by=by))
    assert how.possible
    assert bool(how.udev) is ("rules" in SHIPPED[by].parameters)


ARCHITECTURES = {"x86-64": ("x86-64",), "arm64": ("arm64",), "s390x": ("s390x", "s390"), "ppc64": ("ppc64", "ppc64-le")}


def plainly(rules: Sequence[UserSpaceRule], architecture: str, node: int, *, bare: bool) -> str | None:
    """Return what the first rule that applies writes."""
    for rule in rules:
        if rule.nodes and node not in rule.nodes:
            continue
        if rule.architectures and architecture not in rule.architectures:
            continue
        if rule.bare_metal not in (None, bare):
            continue
        return None if rule.online_type is OnlineType.OFFLINE else rule.online_type.word
    return None


RULES = st.lists(
    st.builds(
        UserSpaceRule,
        st.sampled_from(OnlineType),
        nodes=st.lists(st.integers(0, 2), max_size=2, unique=True).map(tuple),
        architectures=st.lists(st.sampled_from(sorted(ARCHITECTURES)), max_size=2, unique=True).map(tuple),
        bare_metal=st.sampled_from([None, True, False]),
    ),
    min_size=1,
    max_size=4,
)


@given(RULES)
def test_udev_does_what_the_rules_say_everywhere(rules: list[UserSpaceRule]) -> None:
    lines, _ = rule_lines(rules)
    for (architecture, names), node, bare in itertools.product(ARCHITECTURES.items(), range(3), (True, False)):
        for name in names:
            constants = {"arch": name, "virt": "none" if bare else "kvm"}
            written = word_written(lines, constants=constants, files={"state": "offline", f"node{node}": ""})
            assert written == plainly(rules, architecture, node, bare=bare)


def test_udev_leaves_a_block_alone_that_is_online() -> None:
    lines, _ = rule_lines(told(Udev()).rules.rules)  # type: ignore[union-attr]  # it has rules
    assert word_written(lines, constants={}, files={"state": "online"}) is None
    assert word_written(lines, constants={}, files={"state": "offline"}) == "online"


def test_what_udev_cannot_tell_is_said() -> None:
    policy = UserSpace(rules=[{"state": "online_movable", "devices": ["dax"]}, {"state": "online", "nodes": [1]}])
    how = set_how(policy)
    assert how.notes[0].startswith("A rule of udev cannot tell which device a block is of: what is said of dax")
    assert how.notes[1].startswith("The link to a block's node may come after its event")


def test_a_warning_tells_of_rules_that_would_override_it() -> None:
    assert any("act on blocks that are offline" in note for note in set_how(Offline()).notes)
    assert any("find nothing to do" in note for note in set_how(AutoMovable()).notes)


def test_a_candidate_is_told_with_the_devices_of_its_scenario() -> None:
    tables: dict[str, Any] = {
        "machines": [{"label": "vm", "boot_memory": "1GiB", "kernel": "6.12"}],
        "policies": [{"name": "contig-zones"}],
        "workloads": [{"name": "steps", "label": "plug", "steps": ["plug dimm:256MiB"]}],
        "guest": {"model": "linux"},
    }
    found = space(load(tables), "vm", "plug")
    chosen = next(each for each in found.candidates if each.label == "online-movable, memmap_on_memory true")
    how = how_to_set(found, chosen)
    assert "memory_hotplug.memmap_on_memory=Y" in how.cmdline
    assert "<maxMemory slots='1' unit='KiB'>1310720</maxMemory>" in how.libvirt
    titles = [title for title, _ in how.parts()]
    assert titles == [
        "Kernel command line, from the next boot on",
        "In the running guest, for memory plugged from then on",
        "libvirt domain",
    ]


@pytest.mark.parametrize(
    ("row", "policy"),
    [("contig-zones", ContigZones()), ("online-movable", OnlineMovable()), ("auto-movable", AutoMovable(ratio=401))],
)
def test_the_page_shows_what_is_printed(row: str, policy: Policy) -> None:
    page = (ROOT / "docs" / "who-puts-memory-online.md").read_text("utf-8")
    (line,) = (line for line in page.splitlines() if line.startswith(f"| `{row}`") and "memhp_default_state" in line)
    how = set_how(policy, ONE_NODE)
    assert f"`{' '.join(how.cmdline)}`" in line
    assert ", ".join(f"`{each}`" for each in how.sysfs) in line
