"""The best ratio as docs/which-ratio.md derives it, against runs: just below it the kernel lives, above it does not."""

from __future__ import annotations

from random import Random

import pytest

from policies.auto_movable import AutoMovable
from sim.devices.specs import MOST_DIMM_SLOTS
from sim.engine import simulate
from sim.kernel.guest_link import GuestSpec
from sim.machine.spec import MachineSpec, NodeSpec
from sim.record.events import Events
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.support.best_ratio import MEMMAP, Setting, best
from tests.support.pages import PAGE_SIZE
from workloads.grow_and_return import DEVICES, GrowAndReturn


def run(setting: Setting, ratio: int) -> tuple[bool, int]:
    """Return whether the kernel lives, and the bytes that it could take at the beginning."""
    grown = max(setting.size / setting.pace, setting.kernel / setting.growth)
    workload = GrowAndReturn(
        device=setting.device,
        size=setting.size,
        step=setting.step,
        pace=int(setting.pace),
        programs=1,
        user=setting.size // 4,
        user_rate=int(setting.pace // 2),
        kernel=int(setting.kernel),
        kernel_rate=int(setting.growth),
        tick=grown / 500,
        leave=grown + 1,
        ask_back=grown + 2,
        duration=grown + 3,
    )
    machine, policy = MachineSpec(nodes=(NodeSpec(setting.boot),)), AutoMovable(ratio=ratio)
    result = simulate(machine, policy, workload, Streams(1, 0), guest=GuestSpec(sample_every=60.0))
    events = Events.of(result.events)
    return not (events.ooms().any() or events.failed_adds().any()), int(result.guest["headroom"][0]) * PAGE_SIZE


def drawn(random: Random, device: str) -> Setting:
    """A setting in which the kernel still grows when it has used up boot memory."""
    boot, step = random.choice([512, 1024, 2048, 4096]) * MIB, random.choice([128, 256, 512]) * MIB
    pace = random.randint(8 * MIB, 64 * MIB)
    growth = int(pace * random.uniform(0.05, 0.5))
    until = boot / (growth + pace * MEMMAP)
    kernel = int(growth * until * random.uniform(1.2, 3))
    steps = max(pace * until * random.uniform(1.2, 4), 1.5 * kernel) // step
    size = min(int(steps), MOST_DIMM_SLOTS) * step
    return Setting(device, boot, step, size, pace, growth, kernel)


def largest_that_lives(setting: Setting, high: int) -> int:
    """Return the largest ratio below ``high`` under which the kernel lives, found by trying."""
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if run(setting, middle)[0] else (low, middle)
    return low


@pytest.mark.parametrize("seed", range(15))
def test_the_kernel_lives_just_below_the_best_ratio_and_not_above(seed: int) -> None:
    setting = drawn(Random(seed), DEVICES[seed % 3])  # noqa: S311  nothing is kept secret
    _, free = run(setting, 0)
    found = best(setting, free)

    assert run(setting, int(0.98 * found))[0]
    assert not run(setting, int(1.05 * found + setting.step_percent) + 1)[0]


def test_a_guest_whose_boot_memory_is_enough_for_its_kernel_needs_no_ratio() -> None:
    setting = Setting("dimm", GIB, 256 * MIB, 15 * GIB, 16 * MIB, MIB, 512 * MIB)
    lives, free = run(setting, 5000)
    assert lives
    assert setting.kernel + setting.size / 64 < free


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_how_far_off_the_best_ratio_is(device: str) -> None:
    """Figures of docs/which-ratio.md: 40 settings of each kind of device, all ratios tried by halving."""
    off = []
    for seed in range(100, 140):
        setting = drawn(Random(seed), device)  # noqa: S311  nothing is kept secret
        _, free = run(setting, 0)
        found = best(setting, free)
        lives = largest_that_lives(setting, int(2 * found + 2 * setting.step_percent))
        off.append(lives / found)
        assert 0.98 * found - 1 <= lives <= 1.05 * found + setting.step_percent + 1
    off.sort()
    print(device, "median", off[20], "from", off[0], "to", off[-1])  # noqa: T201
    assert 1.0 <= off[20] <= 1.05
