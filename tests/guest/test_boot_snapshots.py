"""What a kernel reserves and leaves free at boot, against every recorded boot, and against figures of its boot line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from sim.guest import default_boot, parameters_for, parameters_for_kernel
from sim.guest.reserve import managed_pages
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.memory.zones import ZONE_LABELS
from sim.replay.recorded_machine import recorded_machine
from sim.replay.trace_format import read_trace
from sim.units import GIB, MIB
from tests.conftest import KERNEL_TRACES
from tests.support.pages import PAGE_SIZE

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from sim.guest import GuestParameters
    from sim.replay.trace_format import Trace

GUEST_LOAD: Final = KERNEL_TRACES[0].parents[1] / "guest-load"
PAGES: Final = MIB // PAGE_SIZE
LOG: Final = 4 * MIB
"""``log_buf_len=4M`` is a word of every recorded command line."""
TOOLS: Final = 8
"""MiB that the tools take which recordings with free memory by zone were made with."""


def is_small(trace: Trace) -> bool:
    """Whether it is the 6.1 that was built with CMA and hardly a driver."""
    return "cma" in trace.kernel.split()[0]


def kernel(trace: Trace) -> GuestParameters:
    parameters = parameters_for_kernel(trace.series)
    if is_small(trace):
        return replace(parameters, kernel_image_bytes=2_767 * PAGE_SIZE, idle_use_bytes=5 * MIB, idle_pcp_bytes=7 * MIB)
    if any(zone.free_pages is not None for zone in trace.boot.zones):
        return replace(parameters, idle_use_bytes=parameters.idle_use_bytes + TOOLS * MIB)
    return parameters


def differences(trace: Trace) -> list[str]:
    """Return what is off: managed pages of a zone by more than 16 (small kernel: 80), free memory by more than 8 MiB.

    Zones, too, are those that the machine is laid out with, not the recorded ones.
    """
    layout = lay_out(recorded_machine(trace))
    recorded = {(zone.node, zone.zone): zone for zone in trace.boot.zones}
    off, total_free = [], 0
    for zone in default_boot(layout.present_zones(), kernel(trace), layout.options):
        found = recorded[zone.node, ZONE_LABELS[zone.zone]]
        if abs(zone.managed - found.managed_pages) > (80 if is_small(trace) else 16):
            off.append(f"{found.zone} {zone.node}: {zone.managed} pages managed, {found.managed_pages} recorded")
        free = zone.free - zone.pcp
        if found.free_pages is not None and abs(free - found.free_pages) > 8 * PAGES:
            off.append(f"{found.zone} {zone.node}: {free} pages free, {found.free_pages} recorded")
        total_free += free
    cold = any(run.state != "online" for run in trace.boot.blocks)  # DIMMs that are there at boot hold a memmap
    if trace.boot.mem_free is not None and not cold and abs(total_free - trace.boot.mem_free // PAGE_SIZE) > 8 * PAGES:
        off.append(f"{total_free // PAGES} MiB free, {trace.boot.mem_free // MIB} recorded")
    return off


@pytest.mark.parametrize("path", [*KERNEL_TRACES, *sorted(GUEST_LOAD.glob("*.json"))], ids=lambda path: path.stem)
def test_a_recorded_boot(path: Path) -> None:
    assert not differences(read_trace(path))


def test_every_recorded_boot_there_is(shared_dir: Path) -> None:
    found = {path.stem: differences(read_trace(path)) for path in sorted(shared_dir.glob("kernel-traces*/**/*.json"))}
    assert len(found) > 150
    assert not {name: off for name, off in found.items() if off}


FREED_LATER: Final = {"6.1": 9.25, "6.12": 8.0, "7.3": 9.7}
"""MiB that the kernel counts as reserved in the line it prints at boot, and frees before the first program runs:
initial RAM disk and code that runs once. From machines of 2 GiB (7.3: of 512 MiB that can grow): that line less what is
unmanaged in the snapshot."""


def reserved_mib(
    boot_mib: int, series: str, *, grows: bool, word: Literal["noforce"] | None = None, log_buf_len: int = 0
) -> float:
    """Reserved boot memory as the kernel prints it."""
    most = 32 * GIB if grows else boot_mib * MIB
    machine = MachineSpec(
        (NodeSpec(boot_mib * MIB),), kernel=series, max_memory=most, swiotlb=word, log_buf_len=log_buf_len
    )
    layout = lay_out(machine)
    zones = layout.present_zones()
    managed, _ = managed_pages(zones, parameters_for(series), layout.options)
    return (sum(zone.pages for zone in zones) - sum(managed.values())) / PAGES + FREED_LATER[series]


@pytest.mark.parametrize(
    ("boot_mib", "series", "alone", "can_grow", "noforce"),
    [
        (512, "6.1", 81.3, 146.0, 81.3),
        (512, "6.12", 73.2, 137.9, 73.2),
        (2048, "6.1", 107.5, 172.3, 107.5),
        (2048, "6.12", 99.4, 164.2, 99.4),
        (4096, "6.1", 207.3, 207.3, 142.5),
        (4096, "6.12", 199.2, 199.2, 134.5),
    ],
)
def test_swiotlb_comes_with_hotplug_and_goes_with_noforce(
    boot_mib: int, series: str, alone: float, can_grow: float, noforce: float
) -> None:
    """Reserved boot memory of a machine that cannot grow, of one that can, and without bounce buffers."""
    found = (
        reserved_mib(boot_mib, series, grows=False, log_buf_len=LOG),
        reserved_mib(boot_mib, series, grows=True, log_buf_len=LOG),
        reserved_mib(boot_mib, series, grows=True, word="noforce", log_buf_len=LOG),
    )
    assert found == pytest.approx((alone, can_grow, noforce), abs=0.5)


@pytest.mark.parametrize(
    ("series", "grows", "word", "kib"),
    [
        ("6.1", False, None, 64_804),
        ("6.1", True, None, 131_108),
        ("6.12", True, None, 122_824),
        ("6.12", True, "noforce", 56_520),
        ("7.3", False, None, 64_760),
        ("7.3", True, None, 131_064),
        ("7.3", True, "noforce", 64_760),
    ],
)
def test_so_it_does_with_the_log_buffer_that_is_built_in(
    series: str,
    grows: bool,  # noqa: FBT001
    word: Literal["noforce"] | None,
    kib: int,
) -> None:
    """Booted with 512 MiB: without ``log_buf_len=4M`` 18 MiB less are reserved."""
    assert reserved_mib(512, series, grows=grows, word=word) == pytest.approx(kib / 1024, abs=0.5)
