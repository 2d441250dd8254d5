"""Step series in columns lose no peak, and the paths that are drawn of them say the same."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.report.charts.scale import tick_text, ticks, top_of
from sim.report.charts.stepped import HEIGHT, Columns, band_path, in_columns, line_path, one_in_columns


def steps(*rows: tuple[int, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([time for time, _ in rows], dtype=np.int64), np.array([value for _, value in rows], dtype=float)


def test_a_column_has_the_mean_over_its_time_and_its_ends() -> None:
    found = one_in_columns(*steps((0, 1.0), (15, 5.0)), 40, 4)
    assert found.mean.tolist() == [1, 3, 5, 5]
    assert found.low.tolist() == [1, 1, 5, 5]
    assert found.high.tolist() == [1, 5, 5, 5]


def test_a_peak_of_a_microsecond_is_not_lost() -> None:
    found = one_in_columns(*steps((0, 1.0), (501, 900.0), (502, 1.0)), 1000, 2)
    assert found.high.tolist() == [1, 900]
    assert found.low.tolist() == [1, 1]


def test_of_several_rows_of_one_instant_the_last_holds() -> None:
    found = one_in_columns(*steps((0, 7.0), (0, 2.0), (5, 9.0), (5, 3.0)), 10, 2)
    assert found.high.tolist() == [2, 3]


def test_nothing_is_known_before_the_first_row_and_after_a_run_has_ended() -> None:
    late = one_in_columns(*steps((10, 4.0)), 20, 2)
    assert np.isnan(late.mean).tolist() == [True, False]
    both = in_columns([(*steps((0, 2.0)), 10), (*steps((0, 6.0)), 20)], 2)
    assert both.mean.tolist() == [4, 6]
    assert both.low.tolist() == [2, 6]


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 50)), min_size=1, max_size=30),
    st.integers(1, 12),
)
def test_columns_are_what_looking_at_every_microsecond_gives(rows: list[tuple[int, int]], count: int) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    times, values = steps(*[(time, float(value)) for time, value in rows])
    end = 120
    found = one_in_columns(times, values, end, count)
    held: list[float] = []
    for moment in range(end * count):  # of 1 / count microseconds, so that columns begin and end at whole ones
        known = [value for time, value in rows if time * count <= moment]
        held.append(known[-1] if known else np.nan)
    table = np.array(held).reshape(count, end)
    for column in range(count):
        part = table[column]
        if np.isnan(part).all():
            assert np.isnan(found.high[column])
            continue
        assert found.low[column] == np.nanmin(part)
        assert found.high[column] == np.nanmax(part)
        if not np.isnan(part).any():
            assert found.mean[column] == pytest.approx(part.mean())


def walked(path: str) -> list[tuple[int, int]]:
    """Return the corners of a path."""
    x = y = 0
    corners = []
    for verb, one, two in re.findall(r"([Mhv])(-?\d+)(?: (-?\d+))?", path):
        if verb == "M":
            x, y = int(one), int(two)
        elif verb == "h":
            x += int(one)
        else:
            y += int(one)
        corners.append((x, y))
    return corners


def test_a_line_goes_through_its_values_and_is_broken_where_nothing_is_known() -> None:
    path = line_path(np.array([0.0, 0.0, 5.0, np.nan, 10.0]), 10.0)
    assert path == f"M0 {HEIGHT}h2v-500h1M4 0h1"


def test_what_is_beyond_the_axis_is_drawn_at_its_end() -> None:
    assert line_path(np.array([np.inf, -3.0]), 10.0) == f"M0 0h1v{HEIGHT}h1"


def test_a_band_goes_there_above_and_back_below() -> None:
    columns = Columns(np.array([5.0, 5.0]), np.array([0.0, 5.0]), np.array([10.0, 5.0]))
    corners = walked(band_path(columns, 10.0))
    assert corners == [(0, 0), (1, 0), (1, 500), (2, 500), (1, 500), (1, 1000), (0, 1000)]


def test_there_is_no_band_where_replications_are_alike() -> None:
    same = np.array([1.0, 2.0])
    assert band_path(Columns(same, same, same), 10.0) == ""


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2.5, 5, 7.5, 10]), (0, 1.7, [0, 0.5, 1, 1.5]), (-0.3, 0.25, [-0.2, 0, 0.2]), (3, 3, [3])],
)
def test_ticks_are_round_and_within_the_axis(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_ticks_are_written_without_digits_that_say_nothing() -> None:
    assert [tick_text(each) for each in (0.0, -0.0, 0.25, 1200.0, 2e6, 3 * 0.1)] == [
        "0", "0", "0.25", "1,200", "2,000,000", "0.3",
    ]  # fmt: skip


@given(st.floats(1e-6, 1e15))
def test_an_axis_ends_a_little_above_what_it_shows(value: float) -> None:
    assert value < top_of(value) <= 2 * value
