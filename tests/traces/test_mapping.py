from __future__ import annotations

from typing import Any

import pytest

from sim.faults import Faults, InputError
from sim.traces.mapping import Amount, read_columns
from sim.units import GIB, KIB
from workloads.parts.traces.columns import COLUMNS

WRONG: dict[str, dict[str, Any]] = {
    "columns.usr: unknown key 'usr'; did you mean 'user'?": {"time": "t", "usr": "use"},
    "columns: name no quantity": {"time": "t"},
    "columns.user: unit and percent_of exclude each other": {"user": {"column": "a", "unit": 1, "percent_of": GIB}},
    "columns.user: its column is missing": {"user": {"unit": 1}},
    "columns.user: column 'a' stands there more than once": {"user": {"column": "a", "less": "a"}},
    "columns.step: is missing": {"user": {"column": "m0", "last": "m9"}},
    "columns.step: is for rows of several samples": {"user": "use", "step": 5},
    "so all others must, too": {"user": {"column": "m0", "last": "m9"}, "capacity": "cap", "step": 5},
    "without sums": {"user": {"column": ["m0", "m1"], "last": "m9"}, "step": 5},
    "columns.time.unit: is for times that are numbers": {
        "time": {"column": "t", "form": "iso-8601", "unit": 1},
        "user": "a",
    },
    "'1 MB' is not a size": {"user": {"column": "a", "unit": "1 MB"}},
}


@pytest.mark.parametrize("says", WRONG)
def test_a_mapping_that_makes_no_sense_is_refused_by_key(says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_columns(WRONG[says])

    assert caught.value.source == "columns"
    assert says in str(caught.value)


def test_what_the_parameter_type_reads_is_what_is_written_in_short() -> None:
    short = {"time": "t", "series": "vm", "user": ["a", "b"], "kernel": {"column": "k", "less": "l", "unit": "1KiB"}}
    faults = Faults()

    converted = COLUMNS.convert(short, faults)

    assert isinstance(converted, dict)
    assert not faults
    assert read_columns(converted) == read_columns(short)
    assert read_columns(short).amounts == {"user": Amount(("a", "b")), "kernel": Amount(("k",), ("l",), float(KIB))}


def test_percent_and_shares_are_of_a_size() -> None:
    columns = read_columns(
        {"user": {"column": "a", "percent_of": "100GiB"}, "free": {"column": "b", "share_of": "2GiB"}}
    )

    assert columns.amounts["user"].unit == GIB
    assert columns.amounts["free"].unit == 2 * GIB
