"""Experiments whose runs scores are looked at: those that are shipped, and random ones with a bit of everything."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.api import load, run

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def shipped(name: str, store: Path, replications: int, policies: Sequence[str] = (), workloads: int = 99) -> Path:
    """Run a shipped experiment below ``store``, so many replications of it, and return the folder of its results.

    ``policies`` are the names of those to keep (all where empty, and then swept as in the file); only the first
    ``workloads`` stay.
    """
    tables = tomllib.loads((EXPERIMENTS / f"{name}.toml").read_text("utf-8"))
    tables["replications"] = min(replications, tables["replications"])
    tables["workloads"] = tables["workloads"][:workloads]
    if policies:
        tables["policies"] = [policy for policy in tables["policies"] if policy["name"] in policies]
        tables.pop("sweep", None)
        tables.pop("baseline", None)
    return simulated(tables, store)


def simulated(tables: dict[str, Any], store: Path) -> Path:
    """Run an experiment below ``store`` in this process, and return the folder of its results."""
    results = run(load(tables, folder=EXPERIMENTS), store)
    assert set(results.runs()["status"]) == {"completed"}
    return results.store.folder


POLICIES: tuple[dict[str, Any], ...] = (
    {"name": "contig-zones"},
    {"name": "online-kernel"},
    {"name": "online-movable"},
    {"name": "auto-movable"},
    {"name": "auto-movable", "ratio": 50, "label": "auto-movable 50"},
    {"name": "auto-movable", "ratio": 1000, "label": "auto-movable 1000"},
    {"name": "auto-movable-patch2", "ratio": 80},
    {"name": "headroom", "reserve": "64MiB"},
    {"name": "udev", "delay": 2.5, "state": "online_movable"},
    {"name": "offline"},
)


def random_experiment(seed: int) -> dict[str, Any]:
    """Return a small experiment of three policies: all kinds of devices and loads, of any size, for some minutes."""
    rng = random.Random(seed)  # noqa: S311  nothing is kept secret
    nodes = rng.choice((1, 1, 2))
    duration = rng.choice((600, 1200))
    return {
        "seed": seed,
        "replications": 1,
        "machines": [
            {
                "label": "vm",
                "slots": rng.choice((4, 16)),
                "nodes": [{"boot_memory": rng.choice(("1GiB", "2GiB"))} for _ in range(nodes)],
            }
        ],
        "policies": [dict(policy) for policy in rng.sample(POLICIES, 3)],
        "workloads": [
            {
                "label": "all",
                "together": [
                    {
                        "name": "random-mix",
                        "label": "devices",
                        "nodes": list(range(nodes)),
                        "dimms": rng.choice((2, 6)),
                        "dimm_sizes": ["256MiB", "1GiB"],
                        "virtio_mems": rng.choice((0, 1, 2)),
                        "virtio_mem_size": "4GiB",
                        "device_block": rng.choice(("2MiB", "64MiB", "512MiB")),
                        "resize_step": "512MiB",
                        "dax_devices": rng.choice((0, 1)),
                        "dax_sizes": ["1GiB", "2GiB"],
                        "maximum": rng.choice(("4GiB", "12GiB")),
                        "interval": rng.choice((20, 60)),
                        "ask_again": rng.random() < 0.3,
                        "wait_for_guest": rng.random() < 0.3,
                        "duration": duration,
                    },
                    *(_load(rng, number, duration) for number in range(rng.choice((1, 2, 3)))),
                ],
            }
        ],
        "guest": {"model": rng.choice(("linux", "linux", "linux", "none")), "sample_every": 5},
        "timing": {"virtio_mem_unplug": rng.choice((0, 3)), "migrate": rng.choice((0, 5))},
    }


def _load(rng: random.Random, number: int, duration: int) -> dict[str, Any]:
    kernel_share = rng.choice((0.0, 0.05, 0.4, 1.0))
    return {
        "name": "guest-load",
        "label": f"programs {number}",
        "load": f"load{number}-",
        "shape": rng.choice(("constant", "bursts", "ramp")),
        "size": rng.choice(("256MiB", "1GiB", "4GiB")),
        "rate": rng.choice(("4MiB", "64MiB")),
        "kernel_share": kernel_share,
        "kernel_kind": rng.choice(("kernel", "page-tables")),
        "cache_share": 0.0 if kernel_share > 0.5 else rng.choice((0.0, 0.5)),
        "burst_gap": 100,
        "burst_length": 100,
        "start": rng.choice((0, 60)),
        "end": rng.choice((0, duration // 2)),
        "tick": 5,
        "duration": duration,
    }
