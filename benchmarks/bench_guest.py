"""What the guest model costs in runs as users have them: sampled, with its listeners, and record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.ratios import ratio
from benchmarks.runs import cpu_of, mixed, resized

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.experiment.plan import Experiment


def on_against_off(experiment: Callable[[str], Experiment], rounds: int = 5) -> float:
    """Return what the cells of an experiment cost with the guest against without."""
    on, off = (list(experiment(model).cells()) for model in ("linux", "none"))
    return ratio(lambda: cpu_of(on), lambda: cpu_of(off), rounds)


def test_guest_on_a_triangle(goal: Callable[[float], None]) -> None:
    goal(on_against_off(lambda guest: resized(30, guest, step="1GiB")))


def test_guest_on_the_mix(goal: Callable[[float], None]) -> None:
    goal(on_against_off(lambda guest: mixed(guest, "mix")))


def test_guest_on_the_logs(goal: Callable[[float], None]) -> None:
    goal(on_against_off(lambda guest: mixed(guest, "neonvm-pr705", "sail-2026"), rounds=9))


def test_many_nodes(goal: Callable[[float], None]) -> None:
    many, one = (list(resized(30, "linux", step="128MiB", nodes=nodes).cells()) for nodes in (64, 1))
    goal(ratio(lambda: cpu_of(many), lambda: cpu_of(one), rounds=5))
