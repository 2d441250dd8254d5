"""Guests by name and from what ``free`` prints: what they have at boot, and published limits that follow from that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from policies.contig_zones import ContigZones
from sim.engine import simulate
from sim.faults import InputError
from sim.guest import PRESETS, Free, parameters_for
from sim.kernel.guest_link import GuestSpec
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.scores.registry import compute_scores
from sim.streams import Streams
from sim.units import GIB, KIB, MIB
from tests.support.places import ROOT
from workloads.dimm_slots import DimmSlots
from workloads.virtio_mem_resize import VirtioMemResize

if TYPE_CHECKING:
    from sim.guest import GuestParameters
    from workloads.contract import Workload

PAGE = 4096
KATA = Free(108 * MIB, 22 * MIB, 128 * MIB)
"""kata-containers/agent issue 363."""


def booted(
    spec: GuestSpec,
    *boot_memory: int,
    kernel: str = "6.1",
    **words: Any,  # noqa: ANN401  the machine's
) -> tuple[GuestParameters, int, int]:
    """Return the parameters, MemTotal and MemFree in bytes."""
    machine = MachineSpec(tuple(map(NodeSpec, boot_memory)), kernel=kernel, **words)
    layout = lay_out(machine)
    parameters, boot = spec.boot(layout.present_zones(), layout.options)
    total = sum(zone.managed for zone in boot)
    return parameters, total * PAGE, sum(zone.free - zone.pcp for zone in boot) * PAGE


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.3"])
@pytest.mark.parametrize(
    ("boot", "free"),
    [
        ((128 * MIB,), Free(108 * MIB, 22 * MIB)),
        ((128 * MIB,), Free(98_740 * KIB, 21_900 * KIB)),
        ((GIB,), Free(970 * MIB, 300 * MIB)),
        ((64 * GIB,), Free(62 * GIB, 2 * GIB)),
        ((2 * GIB, 2 * GIB), Free(3900 * MIB, 400 * MIB)),
        ((2 * GIB, 2 * GIB), Free(3900 * MIB, 400 * MIB, 4 * GIB)),
        ((2 * GIB, 1 * GIB, 5 * GIB), Free(7900 * MIB, 400 * MIB, 8 * GIB)),
    ],
)
def test_free_prints_what_it_was_said_to_print(boot: tuple[int, ...], free: Free, kernel: str) -> None:
    """MemTotal to the page; used to a MiB."""
    _, total, left = booted(GuestSpec(free=free), *boot, kernel=kernel)
    assert total == free.mem_total
    assert total - left == pytest.approx(free.used, abs=MIB)


@pytest.mark.parametrize("used", [0, 1, 3])
def test_a_guest_that_uses_less_than_lists_usually_hold_has_short_lists(used: int) -> None:
    _, total, left = booted(GuestSpec(free=Free(970 * MIB, used * MIB)), GIB)
    assert total - left == pytest.approx(used * MIB, abs=MIB)


def test_of_a_larger_machine_the_same_kernel_reserves_the_same_and_memmap_and_tables_more() -> None:
    """From 128 to 256 MiB 2 MiB of memmap, and tables of twice the size: 49,152 entries of 8 bytes more."""
    _, small, _ = booted(GuestSpec(free=KATA), 128 * MIB)
    _, large, _ = booted(GuestSpec(free=KATA), 256 * MIB)
    assert (small, large - small) == (108 * MIB, 126 * MIB - 24_576 * 8)


def test_swiotlb_and_the_log_buffer_are_in_the_sum_and_a_crash_kernel_is_not() -> None:
    _, usual, _ = booted(GuestSpec(free=KATA), 256 * MIB)
    words: tuple[tuple[dict[str, Any], int], ...] = (
        ({"swiotlb": "noforce"}, 0),
        ({"log_buf_len": MIB}, 0),
        ({"crashkernel": 32 * MIB}, 32 * MIB),
    )
    for given, less in words:
        assert usual - booted(GuestSpec(free=KATA), 256 * MIB, **given)[1] == less


@pytest.mark.parametrize(
    ("free", "most"),
    [(Free(128 * MIB, MIB), 128_308), (Free(200 * MIB, MIB), 128_308), (Free(100 * MIB, MIB, 64 * MIB), 62_868)],
)
def test_more_than_memmap_leaves_cannot_be_what_free_printed(free: Free, most: int) -> None:
    with pytest.raises(InputError, match=r"as\.mem_total: \d+MiB are not what a guest with \d+MiB") as raised:
        booted(GuestSpec(free=free), 128 * MIB)
    found = re.search(r"at most (\d+)KiB", str(raised.value))
    assert found is not None
    assert int(found[1]) == most
    assert booted(GuestSpec(free=free._replace(mem_total=most * KIB)), 256 * MIB)[1] > 0


def test_a_named_kernel_is_that_of_the_series_and_single_parameters_win() -> None:
    for name in ("6.1", "6.12", "7.3"):
        found, _, _ = booted(GuestSpec(preset=f"debian-{name}"), GIB, kernel="6.8")
        assert found == parameters_for(name)
    assert booted(GuestSpec(preset="kata"), 256 * MIB) == booted(GuestSpec(free=KATA), 256 * MIB)
    assert booted(GuestSpec(preset="kata", free=Free(120 * MIB, MIB)), 128 * MIB)[1] == 120 * MIB
    found, _, _ = booted(GuestSpec({"idle_use_bytes": 5 * MIB}, preset="kata"), 256 * MIB)
    assert found.idle_use_bytes == 5 * MIB


def test_every_preset_boots_and_stands_on_the_page_with_its_source() -> None:
    page = (ROOT / "docs" / "guest-model.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z0-9.-]+)` \|", page[page.index("## Guests by name") :], re.MULTILINE)
    assert rows[: len(PRESETS)] == list(PRESETS)
    for name, preset in PRESETS.items():
        assert preset.source
        assert booted(GuestSpec(preset=name), 256 * MIB)[1] > 0


def scores(spec: GuestSpec, boot_memory: int, workload: Workload) -> dict[str, float]:
    result = simulate(MachineSpec((NodeSpec(boot_memory),)), ContigZones(), workload, Streams(1, 0), guest=spec)
    return compute_scores(result)


@pytest.mark.parametrize("spec", [GuestSpec(preset="kata"), GuestSpec(free=KATA)], ids=["preset", "free"])
@pytest.mark.parametrize(("gib", "works"), [(12, True), (15, False)])
def test_kata_takes_a_dimm_of_12_gib_and_not_of_15(spec: GuestSpec, gib: int, works: bool) -> None:  # noqa: FBT001
    """kata-containers PR 4862: a guest of 256 MiB; 48 times its memory works, 15 GB fail with ENOMEM."""
    found = scores(spec, 256 * MIB, DimmSlots(slots=1, sizes=[gib * GIB], initial=1, grow_probability=1.0, duration=30))
    assert found["online_max"] == (gib * GIB if works else 0)
    assert found["failed_adds"] == (0 if works else 1)
    assert found["died"] == 0


@pytest.mark.parametrize(
    "spec",
    [GuestSpec(preset="cloud-hypervisor"), GuestSpec(free=Free(98_740 * KIB, 21_900 * KIB))],
    ids=["preset", "free"],
)
def test_cloud_hypervisors_guest_grows_by_one_block(spec: GuestSpec) -> None:
    """cloud-hypervisor issue 1593: 128 MiB more are exactly 131,072 kB more."""
    workload = VirtioMemResize(maximum=256 * MIB, shape="ramp", step=128 * MIB, interval=5, duration=9)
    found = scores(spec, 128 * MIB, workload)
    assert found["mem_total_max"] == 229_812 * KIB
    assert found["failed_adds"] == 0


def test_a_debian_guest_of_128_mib_grows_by_one_block_without_bounce_buffers() -> None:
    workload = VirtioMemResize(maximum=256 * MIB, shape="ramp", step=128 * MIB, interval=5, duration=9)
    found = scores(GuestSpec(), 128 * MIB, workload)
    assert found["mem_total_max"] == booted(GuestSpec(), 128 * MIB)[1] + 128 * MIB
    assert found["failed_adds"] == 0
    assert found["died"] == 0
