"""What is found out about a demand: which part of it is played, and how fast it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.starting.demand import read_demand
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from sim.starting.demand import Demand

MINUTE, HOUR = 60, 3600


def read(folder: Path, used_mib: list[float]) -> Demand:
    """Read a demand with a sample each minute."""
    rows = [f"{number * MINUTE},{value}\n" for number, value in enumerate(used_mib)]
    (folder / "demand.csv").write_text("".join(["t_s,used_mib\n", *rows]))
    return read_demand(folder / "demand.csv", {}, likely=64 * GIB)


@pytest.mark.parametrize(
    ("minutes", "peak", "played"),
    [
        (600, 300, (0, 0)),
        (720, 300, (0, 0)),  # up to a fifth more is played, too
        (721, 300, (0, 10 * HOUR)),
        (2880, 1440, (16.5 * HOUR, 26.5 * HOUR)),  # three quarters of it before the peak
        (2880, 2870, (38 * HOUR, 48 * HOUR)),  # no farther than to the end
    ],
)
def test_ten_hours_around_the_peak_are_played_of_a_sample_each_minute(
    minutes: int, peak: int, played: tuple[float, float], tmp_path: Path
) -> None:
    used = [1000.0] * (minutes + 1)
    used[peak] = 2000.0
    found = read(tmp_path, used)
    assert (found.start_s, found.end_s) == played
    assert (found.peak, found.peak_s) == (2000 * MIB, peak * MINUTE)
    assert found.played_s == (played[1] - played[0] or minutes * MINUTE)


def test_it_grows_as_fast_as_between_two_samples_in_whole_mib_and_no_slower_than_a_leak(tmp_path: Path) -> None:
    assert read(tmp_path, [0, 6001, 3000, 3100]).rate == 101 * MIB
    assert read(tmp_path, [3000, 9001, 0]).rate == 101 * MIB
    assert read(tmp_path, [3000, 3001, 0]).rate == 47 * MIB
    assert read(tmp_path, [0, 0]).peak == 0
