"""What the guest model costs in runs as users have them: sampled, with its listeners, and record."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.ratios import bare_event, ratio
from benchmarks.runs import cpu_of, mixed, resized

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.experiment.plan import Experiment

    Report = Callable[[str, float, float], None]


def on_against_off(experiment: Callable[[str], Experiment], report: Report, what: str, rounds: int = 5) -> float:
    """Return what the cells of an experiment cost with the guest against without, and report both in bare events."""
    cells = {model: list(experiment(model).cells()) for model in ("linux", "none")}
    taken = [(cpu_of(cells["linux"]), cpu_of(cells["none"]), bare_event()) for _ in range(rounds)]
    for side, name in enumerate(("on", "off")):
        events = statistics.median(times[side] / times[2] for times in taken) / len(cells["none"])
        report(f"{what}, guest {name}, in thousand bare events a run", events / 1e3, float("inf"))
    return statistics.median(on / off for on, off, _ in taken)


def test_guest_on_a_triangle(goal: Callable[[float], None], report: Report) -> None:
    goal(on_against_off(lambda guest: resized(30, guest, step="1GiB"), report, "virtio-mem up and down"))


def test_guest_on_the_mix(goal: Callable[[float], None], report: Report) -> None:
    goal(on_against_off(lambda guest: mixed(guest, "mix"), report, "the mix"))


def test_guest_on_the_logs(goal: Callable[[float], None], report: Report) -> None:
    goal(on_against_off(lambda guest: mixed(guest, "neonvm-pr705", "sail-2026"), report, "the logs", rounds=9))


def test_many_nodes(goal: Callable[[float], None]) -> None:
    many, one = (list(resized(30, "linux", step="128MiB", nodes=nodes).cells()) for nodes in (64, 1))
    goal(ratio(lambda: cpu_of(many), lambda: cpu_of(one), rounds=5))
