"""Which guests an experiment may have: on every machine one that boots, and drawn ones that differ by replication."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sim.api import run
from sim.experiment.load import load
from sim.faults import InputError
from sim.guest.parameters import SCATTER, GuestParameters, parameters_for
from sim.guest.presets import parameters_of
from sim.guest.uncertainty import draw_factors, highest_factors, scaled
from sim.kernel.timing import PROFILES, Timing
from sim.machine.boot_layout import lay_out
from sim.machine.spec import MachineSpec, NodeSpec
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.experiment.examples import small

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

LINUX = {"model": "linux"}
TOO_SMALL = "MiB of boot memory are less than the kernel takes for itself"


def faults(**changed: Any) -> list[tuple[str, str]]:  # noqa: ANN401  whatever TOML can hold
    with pytest.raises(InputError) as raised:
        load(small(**changed))
    return [(fault.key, fault.what) for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("machine", "key"),
    [
        ({"boot_memory": "64MiB"}, "boot_memory"),
        ({"nodes": [{"boot_memory": "32MiB"}, {"boot_memory": "32MiB"}, {"boot_memory": 0}]}, "nodes"),
        ({"boot_memory": "140MiB"}, "boot_memory"),
        ({"boot_memory": "1GiB", "crashkernel": "950MiB"}, "boot_memory"),
        ({"boot_memory": "1GiB", "log_buf_len": "256MiB"}, "boot_memory"),
    ],
)
def test_a_machine_too_small_for_its_guest_is_a_fault_of_the_machine(machine: dict[str, Any], key: str) -> None:
    machines = [{"label": "fine", "boot_memory": "2GiB"}, {"label": "small", **machine}]
    ((found, what),) = faults(machines=machines, guest=LINUX)
    assert found == f"machines[1].{key}"
    assert TOO_SMALL in what
    assert len(load(small(machines=machines, replications=1)).combinations) == 8, "without a guest it does not matter"


@pytest.mark.parametrize(
    "kept",
    [
        {"mem": "64MiB"},
        {"soft_reserved": [{"address": "64MiB", "size": "7GiB"}, {"address": "4GiB", "size": "5GiB"}]},
    ],
)
def test_what_the_machine_keeps_to_itself_is_no_part_of_what_the_kernel_takes(kept: dict[str, Any]) -> None:
    machines = [{"label": "small", "boot_memory": "8GiB", **kept}]
    ((_, what),) = faults(machines=machines, guest=LINUX)
    left = "64MiB of boot memory (all that mem, soft_reserved and reserved leave of 8192MiB)"
    assert what.startswith(f"{left} are less than the kernel takes for itself, ")
    assert int(what.split("more than ")[1].split("MiB")[0]) < 160


@pytest.mark.parametrize(
    "kept", [{"mem": 2 * GIB}, {"soft_reserved": ((2 * GIB, GIB), (4 * GIB, 5 * GIB))}], ids=["mem", "soft_reserved"]
)
def test_a_guest_known_from_another_size_reserves_as_much_whatever_is_kept_from_it(kept: dict[str, Any]) -> None:
    """What Kata reserves, read off a guest of 128 MiB, is the same in 2 GiB and in 2 GiB that are left of 8."""
    found = []
    for gib, words in ((2, {}), (8, kept)):
        layout = lay_out(MachineSpec((NodeSpec(gib * GIB),), **words))
        found.append(parameters_of("kata", None, layout.present_zones(), layout.options).boot_reserved_bytes)
    assert found[0] == found[1]


def test_every_guest_is_tried_on_every_machine() -> None:
    """Of two machines and two guests one pair does not boot, and is told once, at the value that is swept."""
    sweep = [
        {
            "product": {
                "guest": {"preset": ["kata", "debian-6.1"]},
                "machines": {"vm": {"boot_memory": ["1GiB", "132MiB"]}},
            }
        }
    ]
    ((key, what),) = faults(guest=LINUX, sweep=sweep)
    assert key == "sweep[0].product.machines.vm.boot_memory[1]"
    assert what.startswith(f"132{TOO_SMALL}")
    assert what.endswith('or the guest a smaller kernel (preset = "kata", for one)')
    ((_, what),) = faults(guest={**LINUX, "preset": "kata"}, machines=[{"boot_memory": "32MiB"}])
    assert "kata" not in what, "it has that kernel already"
    small_kernel = {**LINUX, "boot_reserved_bytes": "18MiB", "idle_use_bytes": "22MiB"}
    assert len(load(small(guest=small_kernel, machines=[{"boot_memory": "128MiB"}], replications=1)).combinations) == 4


def test_a_guest_that_may_be_drawn_too_large_is_a_fault() -> None:
    """143 MiB are enough for 27 in use and not for 15 % more."""
    machines = [{"boot_memory": "143MiB"}]
    assert load(small(guest=LINUX, machines=machines))
    ((key, what),) = faults(guest={**LINUX, "draw": True}, machines=machines)
    assert (key, TOO_SMALL in what) == ("machines[0].boot_memory", True)


# Drawn guests ---------------------------------------------------------------------------------------------------------


def test_what_is_drawn_lies_in_its_range_is_the_same_for_the_seed_and_differs_by_replication() -> None:
    many = [draw_factors(Streams(5, replication)) for replication in range(300)]
    for name, scatter in SCATTER.items():
        values = [factors[name] for factors in many]
        assert scatter.low <= min(values) < 1 < max(values) <= scatter.high
        assert len(set(values)) == len(values)
        mean = (scatter.low + 1 + scatter.high) / 3
        assert sum(values) / len(values) == pytest.approx(mean, abs=0.06 * (scatter.high - scatter.low))
    assert draw_factors(Streams(5, 7)) == many[7]
    assert draw_factors(Streams(6, 7)) != many[7]


def test_one_range_more_or_less_changes_no_other_draw() -> None:
    factors = draw_factors(Streams(5, 0))
    for name in SCATTER:
        assert draw_factors(Streams(5, 0), fixed=[name]) == {key: factors[key] for key in factors if key != name}
        assert highest_factors([name]).keys() == factors.keys() - {name}


def test_factors_multiply_the_parameters_that_scatter_on_the_kernel() -> None:
    for series in ("6.1", "6.12", "7.3"):
        parameters = parameters_for(series)
        found = scaled(parameters, dict.fromkeys(SCATTER, 1.1))
        for name, scatter in SCATTER.items():
            before, after = getattr(parameters, name), getattr(found, name)
            assert after == pytest.approx(before * 1.1 if series in scatter.series else before, rel=1e-6)
            assert isinstance(after, type(before))
    assert scaled(GuestParameters(first_shrink_share=0.9), {"first_shrink_share": 1.17}).first_shrink_share == 1.0


WORKLOAD = {
    "name": "guest-load",
    "shape": "constant",
    "size": "300MiB",
    "kernel_share": 1.0,
    "kernel_kind": "kernel",
    "end": 20,
    "duration": 40,
}
DEVICE = {
    "name": "virtio-mem-resize",
    "shape": "triangle",
    "maximum": "1GiB",
    "step": "1GiB",
    "interval": 15,
    "duration": 40,
}


def drawn(folder: Path, **guest: Any) -> pd.DataFrame:  # noqa: ANN401
    tables = small(
        guest={**LINUX, **guest},
        workloads=[{"label": "both", "together": [WORKLOAD, DEVICE]}],
        policies=[{"name": "online-kernel"}, {"name": "contig-zones"}],
        replications=6,
    )
    return run(load(tables, folder=folder), folder / str(len(guest))).runs()


def test_with_draw_nothing_else_random_replications_differ_and_policies_share_the_guest(tmp_path: Path) -> None:
    fixed = drawn(tmp_path)
    assert (fixed["streams_drawn"] == 0).all()
    assert len(fixed) == 2, "where nothing is random, one replication is run"
    assert fixed["guest_drawn"].isna().all()
    runs = drawn(tmp_path, draw=True, leftover_pipes=5)
    assert len(runs) == 12
    assert (runs["streams_drawn"] == len(SCATTER) - 1).all()
    by_replication = runs.groupby("replication")["guest_drawn"].unique()
    assert all(len(values) == 1 for values in by_replication)
    found = [json.loads(values[0]) for values in by_replication]
    assert len({guest["idle_use_bytes"] for guest in found}) == 6
    for guest in found:
        assert guest.keys() == {name for name in SCATTER if "6.1" in SCATTER[name].series} - {"leftover_pipes"}
        assert 0.95 * 27 * MIB <= guest["idle_use_bytes"] <= 1.15 * 27 * MIB
    assert runs.groupby("policy")["headroom_min"].nunique().min() == 6, "so intervals are wider than nothing"


# Times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "plug", "unplug"),
    [
        ("neon", (26_500, 26_500), (18_000, 18_000)),
        ("qemu-bare", (1_350, 1_400), (3_400, 4_100)),
        ("qemu-vfio", (29_000, 29_400), (6_080, 6_250)),
    ],
)
def test_a_profile_has_the_measured_times(profile: str, plug: tuple[int, int], unplug: tuple[int, int]) -> None:
    timing = load(small(timing={"profile": profile})).combinations[0].timing
    assert plug[0] <= timing.virtio_mem_plug <= plug[1]
    assert unplug[0] <= timing.virtio_mem_unplug <= unplug[1]
    assert timing == PROFILES[profile].timing()
    assert timing.retry_first == Timing().retry_first
    assert load(small()).combinations[0].timing == Timing() == PROFILES["neon"].timing()
    both = load(small(timing={"profile": profile, "virtio_mem_plug": 1})).combinations[0].timing
    assert (both.virtio_mem_plug, both.virtio_mem_unplug) == (1_000_000, timing.virtio_mem_unplug)
