"""How a setting is made: the kernel's command line, writes to sysfs, a rule for udev, and what libvirt has a say in.

Names and values are the kernel's (``Documentation/admin-guide/mm/memory-hotplug.rst``), udev's (udev(7)) and libvirt's
(formatdomain.html). What is printed reads back as the same setting: a test has the readers of this program do it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from policies.contract import in_linux
from sim.devices.specs import DaxSpec, DimmSpec, VirtioMemSpec, span
from sim.experiment import build
from sim.memory.zones import OnlineType
from sim.recommend.self_hosting import KEY
from sim.recommend.udev_rules import RULES_FILE, rule_lines
from sim.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from policies.contract import InLinux
    from sim.devices.specs import DeviceSpec
    from sim.experiment.settings import MachineSettings
    from sim.machine.spec import MachineSpec
    from sim.recommend.candidates import Space
    from sim.recommend.contract import Candidate

AUTO_ONLINE: Final = "/sys/devices/system/memory/auto_online_blocks"
MODULE: Final = "/sys/module/memory_hotplug/parameters"
_AUTO_MOVABLE: Final = "auto-movable"


@dataclass(frozen=True, slots=True)
class HowToSet:
    """What has to be written where; empty where there is nothing to write. ``notes`` are sentences.

    ``cmdline`` are words of a kernel's command line, ``replaces`` those that have to go from the one that is there.
    ``sysfs`` are commands of a shell, for a guest that runs. ``udev`` are the lines of a file of rules. ``libvirt``
    are elements of a domain, with the devices that the scenario plugs. ``possible`` is false where no Linux has it.
    """

    possible: bool
    cmdline: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    sysfs: tuple[str, ...] = ()
    udev: tuple[str, ...] = ()
    libvirt: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def parts(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each part that there is: a title, and its lines to copy."""
        if self.cmdline:
            yield "Kernel command line, from the next boot on", (" ".join(self.cmdline),)
        if self.replaces:
            yield "Words to take off the command line", (" ".join(self.replaces),)
        if self.sysfs:
            yield "In the running guest, for memory plugged from then on", self.sysfs
        if self.udev:
            yield f"{RULES_FILE}, then udevadm control --reload", self.udev
        if self.libvirt:
            yield "libvirt domain", self.libvirt


def how_to_set(found: Space, candidate: Candidate) -> HowToSet:
    """Return how ``candidate`` is set in its scenario."""
    told = in_linux(build.policy(candidate.policy, found.folder))
    off = candidate.machine.get(KEY) is False
    return told_how(told, found.combination(candidate).machine, found.devices, memmap_off=off)


def told_how(
    told: InLinux | None, machine: MachineSettings, devices: Sequence[DeviceSpec], *, memmap_off: bool = False
) -> HowToSet:
    """Return how a Linux on ``machine``, into which ``devices`` are plugged, is told a setting; None: none can be.

    With ``memmap_off`` it had memmap_on_memory, which is to go.
    """
    if told is None:
        return HowToSet(possible=False, notes=("No Linux has this policy: it shows what one could gain.",))
    words = (*_words(told, machine.spec), *(("memory_hotplug.memmap_on_memory=N",) if memmap_off else ()))
    rules, gaps = ((), ()) if told.rules is None else rule_lines(told.rules.rules)
    return HowToSet(
        possible=True,
        cmdline=words,
        replaces=tuple(_replaced(machine, words)),
        sysfs=tuple(_writes(told, machine.spec)),
        udev=rules,
        libvirt=tuple(_libvirt(words, machine.spec, devices)),
        notes=(*gaps, *_notes(told, machine.spec, devices)),
    )


def _words(told: InLinux, machine: MachineSpec) -> Iterator[str]:
    yield f"memhp_default_state={told.default_state.word}"
    if _asks(told):
        if told.online_policy == _AUTO_MOVABLE:
            yield f"memory_hotplug.online_policy={told.online_policy}"
            yield f"memory_hotplug.auto_movable_ratio={told.ratio}"
            if not told.numa_aware or len(machine.nodes) > 1:
                yield f"memory_hotplug.auto_movable_numa_aware={_yes(told.numa_aware)}"
        if told.movable_node:
            yield "movable_node"
    if machine.memmap_on_memory:
        force = machine.memmap_on_memory == "force"
        yield f"memory_hotplug.memmap_on_memory={'force' if force else 'Y'}"


def _asks(told: InLinux) -> bool:
    """Whether anybody may ask the online policy: the kernel itself, or who writes a plain ``online`` later."""
    return told.default_state in (OnlineType.ONLINE, OnlineType.OFFLINE)


def _yes(flag: bool | None) -> str:  # noqa: FBT001  the parameter's value
    return "Y" if flag else "N"


def _replaced(machine: MachineSettings, words: Iterable[str]) -> Iterator[str]:
    """Yield the words of the command line that is there which say something else."""
    if machine.said is None:
        return
    new = set(words)
    ours = [*machine.said.policy, "memmap_on_memory"]
    yield from dict.fromkeys(word for name in ours if (word := machine.said.words.get(name)) and word not in new)


def _writes(told: InLinux, machine: MachineSpec) -> Iterator[str]:
    """Yield the commands in the order in which each holds for all memory that the next one brings."""
    if _asks(told) and not told.movable_node:
        if told.online_policy == _AUTO_MOVABLE:
            yield _write(told.ratio, f"{MODULE}/auto_movable_ratio")
            if not told.numa_aware or len(machine.nodes) > 1:
                yield _write(_yes(told.numa_aware), f"{MODULE}/auto_movable_numa_aware")
        yield _write(told.online_policy, f"{MODULE}/online_policy")
    yield _write(told.default_state.word, AUTO_ONLINE)


def _write(value: object, file: str) -> str:
    return f"echo {value} > {file}"


def _libvirt(words: Iterable[str], machine: MachineSpec, devices: Sequence[DeviceSpec]) -> Iterator[str]:
    plugged = [spec for spec in devices if not isinstance(spec, DaxSpec)]
    if plugged:
        dimms = sum(isinstance(spec, DimmSpec) for spec in plugged)
        most = machine.max_memory or machine.boot_memory + sum(map(span, plugged))
        yield f"<maxMemory slots='{max(1, dimms)}' unit='KiB'>{-(-most // KIB)}</maxMemory>"
    yield "<os>"
    yield "  <!-- only beside a kernel of the host's; else these words go to the guest's boot loader -->"
    yield f"  <cmdline>{escape(' '.join(words))}</cmdline>"
    yield "</os>"
    if not plugged:
        return
    yield "<devices>"
    alike = Counter(_element(spec) for spec in plugged)
    for lines, count in alike.items():
        if count > 1:
            yield f"  <!-- {count} of these -->"
        yield from lines
    yield "</devices>"


def _element(spec: DimmSpec | VirtioMemSpec) -> tuple[str, ...]:
    if isinstance(spec, DimmSpec):
        return (
            "  <memory model='dimm'>",
            f"    <target>{_kib('size', spec.size)}<node>{spec.node}</node></target>",
            "  </memory>",
        )
    requested = f"{_kib('block', spec.block_size)}{_kib('requested', spec.requested)}"
    return (
        "  <memory model='virtio-mem'>",
        f"    <target>{_kib('size', spec.max_size)}<node>{spec.node}</node>{requested}</target>",
        "  </memory>",
    )


def _kib(name: str, size: int) -> str:
    return f"<{name} unit='KiB'>{size // KIB}</{name}>"


def _notes(told: InLinux, machine: MachineSpec, devices: Sequence[DeviceSpec]) -> Iterator[str]:
    if any(isinstance(spec, VirtioMemSpec) for spec in devices):
        yield "dynamicMemslots='yes' of a virtio-mem <target> spares the host memory, and moves none in the guest."
    if told.movable_node:
        yield "movable_node can be set at boot only, and then counts for boot memory that firmware calls hotpluggable."
    if machine.memmap_on_memory:
        yield "memmap_on_memory can be set at boot only."
        if any(isinstance(spec, VirtioMemSpec) for spec in devices):
            yield "memmap_on_memory does nothing for virtio-mem."
        if any(isinstance(spec, DaxSpec) for spec in devices):
            yield (
                "A dax device needs it asked for as well, before it is bound to kmem (Linux 6.8):"
                " echo 1 > /sys/bus/dax/devices/daxX.Y/memmap_on_memory"
            )
    if told.default_state is OnlineType.OFFLINE:
        yield (
            "Rules for udev that distributions ship (RHEL, openSUSE, SLES, images for Proxmox) act on blocks that are"
            ' offline: look for SUBSYSTEM=="memory" in /usr/lib/udev/rules.d, and mask such a file by a link of its'
            " name in /etc/udev/rules.d to /dev/null."
        )
    else:
        yield (
            "Rules for udev that distributions ship find nothing to do: the kernel has put blocks online before."
            " Memory that was plugged before the setting is theirs."
        )
        if any(isinstance(spec, DaxSpec) for spec in devices):
            yield "daxctl reconfigure-device refuses to work where auto_online_blocks is not offline."
