"""Random machines, steps and policies: what somebody may ask ``memhp-sim plan``, as an experiment's tables."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

from sim.experiment import build
from sim.experiment.load import load
from sim.experiment.state_tables import state_tables
from sim.machine.current_state import starting_from
from sim.units import format_size, parse_size
from tests.support.real_runs import POLICIES
from workloads.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.machine.host import MachineHost
    from sim.machine.spec import MachineSpec
    from sim.machine.state import MachineState
    from workloads.contract import Host

MIB = 1 << 20
KINDS = ("anonymous", "kernel", "page-cache", "tmpfs", "pinned", "page-tables")


def random_question(seed: int) -> tuple[dict[str, Any], list[tuple[str, str]], str]:
    """Return the tables of an experiment of one machine and one policy, the steps, and what is drawn in words.

    A third of the machines start from the state that others have come to. The machine may be one that cannot be:
    whoever loads it finds out, and so may this.
    """
    rng = random.Random(seed)  # noqa: S311  nothing is kept secret
    machine = _machine(rng)
    tables: dict[str, Any] = {"machines": (machine,), "policies": (dict(rng.choice((*POLICIES, *_KERNEL))),)}
    guest = rng.random() < 0.7
    if guest:
        tables["guest"] = {"model": "linux"}
    if rng.random() < 0.35:
        steps = _steps(rng, machine, guest=False)
        started = _come_to(tables, [f"{op} {text}" for op, text in steps], machine)
        tables["machines"], devices = (started,), started["state"].get("devices", ())
        return tables, _steps(rng, started, guest=guest, there=devices, first=100), f"seed {seed}: {tables}"
    return tables, _steps(rng, machine, guest=guest), f"seed {seed}: {tables}"


class _Last(Steps):
    """Steps that leave the state that the machine has come to."""

    state: MachineState

    def settled(self, host: Host) -> None:
        """Note it."""
        self.state = cast("MachineHost", host).state()


def _come_to(tables: dict[str, Any], steps: list[str], machine: dict[str, Any]) -> dict[str, Any]:
    """Return the machine as it starts from what the steps have made of it."""
    experiment = load({**tables, "guest": {"model": "none"}}, idle=True)
    (cell,) = experiment.cells()
    last = _Last(steps=steps)
    build.simulation(cell, asks=last)()
    begun = cell.combination.machine.spec
    spec: MachineSpec = starting_from(begun, last.state)
    kept = {key: value for key, value in machine.items() if key not in ("cold_dimms", "nodes")}
    nodes = [{"boot_memory": format_size(node.boot_memory), "cpus": bool(node.cpus)} for node in spec.nodes]
    block = format_size(spec.block_size)
    return {**kept, "nodes": nodes, "block_size": block, "state": state_tables(last.state, spec.block_size)}


_KERNEL: tuple[dict[str, Any], ...] = (
    {"name": "kernel", "default_state": "online", "online_policy": "auto-movable", "auto_movable_ratio": 401},
    {"name": "kernel", "default_state": "online_kernel"},
)


def _machine(rng: random.Random) -> dict[str, Any]:
    sizes = [rng.choice((512, 1024, 1976, 2048, 4096, 6144)) for _ in range(rng.choice((1, 1, 2, 3)))]
    sizes[1:] = [rng.choice((0, size)) for size in sizes[1:]]
    total = sum(sizes)
    machine: dict[str, Any] = {
        "label": "vm",
        "nodes": tuple({"boot_memory": f"{size}MiB"} for size in sizes),
        "kernel": rng.choice(("5.15", "6.1", "6.6", "6.8", "6.12")),
    }
    others: tuple[dict[str, Any], ...] = (
        {"block_size": rng.choice(("256MiB", "512MiB", "1GiB"))},
        {"kernelcore": f"{total // 2}MiB"},
        {"movablecore": f"{total // 4}MiB"},
        {"movable_node": True},
        {"cma": "64MiB"},
        {"memmap_on_memory": rng.choice((True, "force"))},
        {"slots": rng.choice((1, 2))},
        {"max_memory": f"{total + rng.choice((2048, 8192))}MiB"},
        {"cold_dimms": ({"size": rng.choice(("256MiB", "1GiB")), "count": rng.choice((1, 2))},)},
        {"architecture": "arm64", "page_size": rng.choice(("4KiB", "16KiB", "64KiB"))},
        {"architecture": "s390x"},
    )
    for other in rng.sample(others, rng.choice((0, 0, 1, 1, 2, 3))):
        machine |= other
    return machine


def _steps(
    rng: random.Random, machine: dict[str, Any], *, guest: bool, there: Sequence[dict[str, Any]] = (), first: int = 0
) -> list[tuple[str, str]]:
    nodes = len(machine["nodes"])
    cold = [f"cold{number}" for dimms in machine.get("cold_dimms", ()) for number in range(dimms["count"])]
    whole = [device["id"] for device in there if device["kind"] != "virtio-mem"] if there else cold
    virtio_mem = {
        device["id"]: (parse_size(device["max_size"]) // MIB, parse_size(device.get("block_size", "2MiB")) // MIB)
        for device in there
        if device["kind"] == "virtio-mem"
    }
    steps: list[tuple[str, str]] = []
    for number in range(first, first + rng.randint(1, 6)):
        what = rng.choice(("plug", "plug", "plug", "resize", "unplug", "demand"))
        name, size = f"d{number}", rng.choice((128, 256, 384, 1000, 1024, 2048, 4096, 16384))
        if what == "resize" and virtio_mem:
            device = rng.choice(list(virtio_mem))
            most, block = virtio_mem[device]
            steps.append(("resize", f"{device}:{rng.randrange(0, most + 1, block)}MiB"))
        elif what == "unplug" and whole:
            steps.append(("unplug", whole.pop(rng.randrange(len(whole)))))
        elif what == "demand" and guest:
            amount = rng.choice((0, 64, 512, 2048, 8192, 65536))
            steps.append(("demand", f"{rng.choice(KINDS)}:{amount}MiB,id=load{number}"))
        elif rng.random() < 0.4:
            block = rng.choice((2, 2, 4, 64, 512))
            most = -(-max(size, block) // block) * block
            first = rng.randrange(0, most + 1, block)
            steps.append(
                ("plug", f"virtio-mem:{first}MiB@{rng.randrange(nodes)},max={most}MiB,block={block}MiB,id={name}")
            )
            virtio_mem[name] = (most, block)
        else:
            kind = "dax" if machine.get("architecture") == "s390x" else rng.choice(("dimm", "dimm", "dax"))
            sizes = f"{size}MiB+256MiB" if rng.random() < 0.2 else f"{size}MiB"
            steps.append(("plug", f"{kind}:{sizes}@{rng.randrange(nodes)},id={name}"))
            whole.append(name)
    return steps
