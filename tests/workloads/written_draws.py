"""Workloads asked for their requests with draws that are written down instead of drawn at random."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, cast

import numpy as np
import simpy

from tests.workloads.fake_host import FakeHost

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from tests.workloads.fake_host import Call, Character
    from workloads.contract import Workload

SECOND = 1_000_000


class Written:
    """Stands for a random generator: whatever is drawn from it is the next of ``numbers``, again and again."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self._numbers = cycle(numbers)

    def random(self, count: int) -> npt.NDArray[np.float64]:
        return np.array(list(islice(self._numbers, count)))

    standard_exponential = random
    standard_normal = random


class Streams:
    """Streams by name, each with its written draws; one that is not named may not be drawn from."""

    def __init__(self, **draws: Sequence[float]) -> None:
        self._draws = {name.replace("__", "/").replace("_", "-"): numbers for name, numbers in draws.items()}

    def __call__(self, name: str) -> np.random.Generator:
        return cast("np.random.Generator", Written(self._draws.get(name, ())))


def asked(workload: Workload, character: Character = "obliging", **draws: Sequence[float]) -> list[Call]:
    env = simpy.Environment()
    host = FakeHost(env, character)
    env.run(until=env.process(workload.run(host, Streams(**draws))))
    return host.calls


def short(found: list[Call]) -> list[tuple[float, str, str]]:
    """(seconds, verb, device)."""
    return [(now / SECOND, verb, device) for now, verb, device, _ in found]
