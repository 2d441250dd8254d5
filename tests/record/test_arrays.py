"""Order, sums and numbers within groups of rows."""

from __future__ import annotations

import numpy as np
import pytest

from sim.record.arrays import counted_up, order_by, starts_to_rows, sums_within


def test_numbers_are_counted_up_for_each_length() -> None:
    assert counted_up(np.array([2, 0, 3, 1])).tolist() == [0, 1, 0, 1, 2, 0]
    assert counted_up(np.array([], dtype=np.int64)).tolist() == []


def test_sums_begin_anew_in_each_group() -> None:
    starts = np.array([0, 0, 2, 3, 3, 3])
    assert sums_within(np.array([5, -2, 7, 1, 1, -4]), starts).tolist() == [5, 3, 7, 1, 2, -2]


@pytest.mark.parametrize("largest", [5, 32767, 32768, 65535 + 3, 1 << 40])
def test_events_are_put_in_order_by_key_and_equal_ones_stay_in_theirs(largest: int) -> None:
    keys = [largest, 3, largest, 0, 3, 4, largest - 1, 0] * 40
    expected = [place for _, place in sorted((key, place) for place, key in enumerate(keys))]
    assert order_by(np.array(keys, dtype=np.int64)).tolist() == expected
    assert order_by(np.zeros(0, dtype=np.int64)).tolist() == []


def test_each_position_is_led_to_the_start_of_its_part() -> None:
    first = np.array([True, False, False, True, True, False])
    assert starts_to_rows(first).tolist() == [0, 0, 0, 3, 4, 4]
