"""What a controller saw in a recorded run: sample by sample, failed ones among them, and which run it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import simpy

from sim.faults import Faults
from sim.plugins.parameters import ParameterError
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.workloads.fake_host import FakeHost
from tests.workloads.watched_guest import WatchedGuest, sizes
from workloads.hyperalloc import HyperAlloc
from workloads.parts.traces.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEXT = """run,at,huge
a,10,100
b,0,2000
a,11.5,
a,13,700
a,13,1500
b,2,
a,16.25,700
"""


def columns(**changed: Any) -> Mapping[str, Any]:  # noqa: ANN401  whatever a mapping holds
    faults = Faults("columns")
    table = {"time": "at", "series": "run", "free_huge": {"column": "huge", "unit": "1MiB"}, **changed}
    converted = COLUMNS.convert({key: value for key, value in table.items() if value}, faults)
    assert not faults
    assert isinstance(converted, dict)
    return converted


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "seen.csv"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def asked(controller: HyperAlloc) -> list[tuple[float, int]]:
    """Return (seconds, GiB of the guest) of what is asked for."""
    env = simpy.Environment()
    host = WatchedGuest(env, ())
    env.run(until=env.process(controller.run(host, Streams(1, 0))))
    return [(at, 2 + size // GIB) for at, size in sizes(host.calls)]


def test_each_sample_is_seen_at_its_time_from_the_first_one_on(trace: str) -> None:
    """100 MiB free: two steps. The next sample failed; of the two at one time the last counts: 1,500 MiB rest."""
    controller = HyperAlloc(path=trace, columns=columns(), series="a", period=2.0)
    assert asked(controller) == [(0.0, 4), (6.25, 5)]
    assert controller.duration() == 6.25 + 2.0
    assert controller.recording() == "a"
    assert controller.most_replications() is None


def test_each_that_fits_a_pattern_is_a_replication(trace: str) -> None:
    controller = HyperAlloc(path=trace, columns=columns(), series="[!a]")
    assert controller.most_replications() == 1
    assert [controller.recording(), controller.for_replication(0).recording()] == ["b", "b"]


def test_without_a_series_each_is_a_replication(trace: str) -> None:
    controller = HyperAlloc(path=trace, columns=columns())
    assert controller.most_replications() == 2
    first, second = (controller.for_replication(number) for number in range(2))
    assert isinstance(first, HyperAlloc)
    assert isinstance(second, HyperAlloc)
    assert (first.recording(), second.recording()) == ("a", "b")
    assert asked(first) == [(0.0, 4), (6.25, 5)]
    assert asked(second) == []


def test_a_controller_that_looks_itself_has_no_recording() -> None:
    controller = HyperAlloc()
    assert controller.recording() is None
    assert controller.most_replications() is None
    assert controller.for_replication(3) is controller


def test_what_is_wrong_with_the_recording_is_told(trace: str) -> None:
    with pytest.raises(ParameterError, match="series: unknown series 'c'"):
        HyperAlloc(path=trace, columns=columns(), series="c")
    with pytest.raises(ParameterError, match="columns: must tell free_huge, which is what it looks at"):
        HyperAlloc(path=trace, columns=columns(free_huge=None, free={"column": "huge"}))


def test_a_host_without_a_guest_is_asked_for_nothing(trace: str) -> None:
    env = simpy.Environment()
    host = FakeHost(env)
    controller = HyperAlloc(path=trace, columns=columns(), series="a", maximum=4 * GIB, device_block=2 * MIB)
    env.run(until=env.process(controller.run(host, Streams(1, 0))))
    assert [verb for _, verb, _, _ in host.calls] == ["plug"]
