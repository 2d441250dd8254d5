"""What is shipped: who puts hotplugged memory online, and how, by the name of who ships it.

Each is a policy that one could write oneself, of the kinds ``kernel`` and ``user-space``, with where it was read, and
when. Kernel and user space belong together: a kernel that puts blocks online leaves a rule nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

from policies.auto_movable import AutoMovable
from policies.contract import InLinux, Policy
from policies.kernel import Kernel
from policies.user_space import UserSpace
from sim.plugins.parameter_choices import Choice
from sim.plugins.parameters import Checker, checked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView


@dataclass(frozen=True, slots=True)
class Shipped:
    """What somebody ships: a policy (its class and its parameters as a file has them), and what is known of it.

    ``source`` says where it was read and of when that is. ``cmdline`` are the words of a kernel command line that say
    the same of the kernel's part, where it is shipped as such.
    """

    summary: str
    source: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cmdline: str = ""

    @property
    def kind(self) -> type[Kernel]:
        """The policy's class."""
        return UserSpace if "rules" in self.parameters else Kernel

    def policy(self) -> Kernel:
        """Return a new policy."""
        return self.kind(**self.parameters)


_RHEL: Final = "redhat-plumbers/systemd-rhel10, rules.d/40-redhat-hotplug.rules of 2024-06-12, unchanged by 2025-09-04"
_ONLINE: Final = {"state": "online"}
_NOT_RHELS: Final = {"state": "offline", "architectures": ["s390x", "ppc64"]}
_NEON: Final = "memhp_default_state=online memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio="


def _auto_movable(ratio: int) -> dict[str, Any]:
    return {"default_state": "online", "online_policy": AutoMovable.name, "auto_movable_ratio": ratio}


SHIPPED: Final[Mapping[str, Shipped]] = {
    "rhel-10": Shipped(
        "RHEL 10: a udev rule writes online_movable on bare metal, online in virtual machines; not on s390x and ppc64",
        _RHEL,
        {"rules": [_NOT_RHELS, {"state": "online_movable", "bare_metal": True}, _ONLINE]},
    ),
    "rhel-10-bare-metal": Shipped(
        "RHEL 10 on bare metal, whatever the machine says: online_movable; not on s390x and ppc64",
        _RHEL,
        {"rules": [_NOT_RHELS, {"state": "online_movable"}]},
    ),
    "rhel-10-virtual-machine": Shipped(
        "RHEL 10 in a virtual machine, whatever the machine says: online; not on s390x and ppc64",
        _RHEL,
        {"rules": [_NOT_RHELS, _ONLINE]},
    ),
    "opensuse": Shipped(
        "openSUSE and SLES: a udev rule writes online to every block, but not on s390x",
        "openSUSE Build Service, systemd, 80-hotplug-cpu-mem.rules, read 2026-11",
        {"rules": [{"state": "offline", "architectures": ["s390x"]}, _ONLINE]},
    ),
    "debian-12": Shipped(
        "Debian 12: nobody, blocks stay offline",
        "Debian's linux 6.1 (no default onlining) and udev 252.39 (no rule), read 2026-11",
    ),
    "debian-13": Shipped(
        "Debian 13, and its 7.3: the kernel puts blocks online, by contig-zones",
        "Debian's linux 6.12.117 and 7.3.4 (CONFIG_MEMORY_HOTPLUG_DEFAULT_ONLINE, CONFIG_MHP_DEFAULT_ONLINE_TYPE_*),"
        " read 2026-11",
        {"default_state": "online"},
    ),
    "ubuntu-rule": Shipped(
        "Ubuntu's udev rule, which acts on Hyper-V and Xen only: online for every block",
        "Ubuntu 22.04, 40-vm-hotadd.rules, read 2026-11; elsewhere its kernels put blocks online, as debian-13 does",
        {"rules": [_ONLINE]},
    ),
    "proxmox": Shipped(
        "the udev rule that guests of Proxmox are given (80-hotplug-cpu-mem), Gentoo's too: online for every block",
        "80-hotplug-cpu-mem.rules as in home-assistant/operating-system issue 1156, 2021-01-04",
        {"rules": [_ONLINE]},
    ),
    "daxctl": Shipped(
        "daxctl reconfigure-device --mode=system-ram: online_movable for dax devices; others stay as they are, offline",
        "pmem/ndctl v81, 2025-03-21; it refuses where auto_online_blocks is not offline",
        {"rules": [{"state": "online_movable", "devices": ["dax"]}]},
    ),
    "daxctl-no-movable": Shipped(
        "daxctl reconfigure-device --no-movable: online for dax devices; others stay as they are, offline",
        "pmem/ndctl v81, 2025-03-21",
        {"rules": [{"state": "online", "devices": ["dax"]}]},
    ),
    "neonvm": Shipped(
        "NeonVM with virtio-mem as deployed: the kernel, by auto-movable with a ratio of 401 %",
        "neondatabase/autoscaling, neonvm-controller/deployment.yaml, 2025-04-28 (PR 1364)",
        _auto_movable(401),
        f"{_NEON}401",
    ),
    "neonvm-default": Shipped(
        "NeonVM with virtio-mem by the default of its flag: the kernel, by auto-movable with a ratio of 301 %",
        "neondatabase/autoscaling, neonvm-controller/cmd/cli.go, 2025-09-23",
        _auto_movable(301),
        f"{_NEON}301",
    ),
    "neonvm-dimm-slots": Shipped(
        "NeonVM with DIMM slots: the kernel, everything online_movable",
        "neondatabase/autoscaling, neonvm-runner/cmd/main.go, 2025-09-23",
        {"default_state": "online_movable"},
        "memhp_default_state=online_movable",
    ),
    "firecracker": Shipped(
        "Firecracker's advice where memory is to come back: the kernel, everything online_movable",
        "firecracker-microvm/firecracker, docs/memory-hotplug.md, 2025-11-20 (PR 5522), the same by 2026-08-21",
        {"default_state": "online_movable"},
        "memhp_default_state=online_movable",
    ),
    "kata": Shipped(
        "Kata Containers: its agent writes online to each block it hears of, 100 tries 50 ms apart, policy asked",
        "kata-containers/kata-containers, src/agent/src (uevent.rs, sandbox.rs: ONLINE_CPUMEM_*), 2026-08-22; its"
        " kernels put blocks online themselves by now, in the same zones",
        {"rules": [_ONLINE], "tries": 100, "try_again": 0.05},
    ),
    "kata-1": Shipped(
        "Kata Containers 1.x: the same by an agent that loses all but 256 events of blocks that appear at once",
        "kata-containers/agent issue 813 and runtime issue 2872, 2020-08",
        {"rules": [_ONLINE], "tries": 100, "try_again": 0.05, "buffer": 256},
    ),
    "kata-s390x": Shipped(
        "Kata Containers as proposed: on s390x the agent reads valid_zones and takes Movable, which it always lists",
        "kata-containers/kata-containers PR 13376, 2026-07-15, not merged by 2026-08-22",
        {
            "rules": [{"state": "online_movable", "architectures": ["s390x"]}, _ONLINE],
            "tries": 100,
            "try_again": 0.05,
        },
    ),
}
"""Who ships what, by name."""


class AsShipped(Policy):
    """What ``by`` ships, kernel and user space together."""

    name = "as-shipped"
    summary = "what a distribution or platform ships, kernel and user space together, by its name"

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        by: Annotated[
            str,
            Choice(tuple(SHIPPED), tuple(f"{each.summary}. From: {each.source}" for each in SHIPPED.values())),
            "who ships it",
        ] = "debian-13",
    ) -> None:
        check.done()
        self.shipped = SHIPPED[by].policy()
        self.auto_online = self.shipped.auto_online
        self.user_space = self.shipped.user_space

    @property
    def configured_ratio(self) -> int | None:
        """The ratio that the kernel is told, if any."""
        return self.shipped.configured_ratio

    def in_linux(self) -> InLinux | None:
        """What is shipped, kernel and user space."""
        return self.shipped.in_linux()

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        """Decide as the kernel that is shipped does."""
        return self.shipped.zone_for(request, memory)

    def zones_for_run(self, request: ZoneRequest, count: int, memory: MemoryView) -> list[tuple[int, int]] | None:
        """Decide a run as the kernel that is shipped does."""
        return self.shipped.zones_for_run(request, count, memory)
