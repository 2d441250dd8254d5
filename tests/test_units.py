"""Sizes as people write them: which are read, and what is offered where one is none."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.experiment.load import load
from sim.experiment.settings import PluginSettings
from sim.faults import InputError
from sim.plugins import values
from sim.plugins.parameter_addresses import Address
from sim.plugins.parameter_types import Size
from sim.units import GIB, KIB, MIB, TIB, parse_rounded_size, parse_size, rounded_size, rounded_time
from tests.experiment.examples import small


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1.5MiB", 3 * MIB // 2),
        ("0.5MiB", 512 * KIB),
        ("0.00390625 MiB", 4 * KIB),
        ("1.25GiB", 5 * GIB // 4),
        ("108Mi", 108 * MIB),
        ("8Gi", 8 * GIB),
        ("98740KiB", 98_740 * KIB),
        ("2t", 2 * TIB),
    ],
)
def test_fractions_and_all_binary_units_are_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert values.size(text) == size


@pytest.mark.parametrize(
    ("text", "offers"),
    [
        ("1.93GiB", "'1.93GiB' is no whole number of bytes; in whole pages the nearest are 2023748KiB and 2023752KiB"),
        ("0.0001MiB", "'0.0001MiB' is no whole number of bytes; in whole pages the nearest is 4KiB"),
        ("98740 kB", "'512MiB' or '4GiB'; kB in /proc/meminfo are KiB"),
        ("1.5.5GiB", "is not a size"),
        ("-1GiB", "is not a size"),
    ],
)
def test_what_is_no_size_is_told_with_what_is_near(text: str, offers: str) -> None:
    with pytest.raises(ValueError, match=r"size|bytes") as caught:
        parse_size(text)
    assert offers in str(caught.value)


@given(st.decimals(0, 9999, places=4), st.sampled_from([("KiB", KIB), ("Mi", MIB), ("G", GIB)]))
def test_a_size_is_exact_or_between_the_pages_that_are_offered(number: object, unit: tuple[str, int]) -> None:
    exact = Fraction(str(number)) * unit[1]
    text = f"{number}{unit[0]}"
    assert parse_rounded_size(text) == exact // 1
    try:
        assert parse_size(text) == exact
    except ValueError as error:
        offered = [parse_size(word) for word in str(error).partition("nearest")[2].split() if word[0].isdigit()]
        assert exact.denominator > 1
        assert offered[-1] - offered[0] in {0, 4 * KIB}
        assert offered[-1] - 4 * KIB < exact < offered[-1]


def test_pages_are_offered_where_a_size_has_to_come_out_in_them() -> None:
    assert list(Size(multiple_of=4 * KIB).complaints(GIB + 1)) == [
        "must be a multiple of 4KiB, but is 1073741825B; the nearest are 1GiB and 1048580KiB"
    ]
    with pytest.raises(InputError, match="whole pages of 4KiB; the nearest are 4KiB and 8KiB"):
        load(small(machines=[{"boot_memory": 5000}]))
    fractions = small(
        machines=[{"boot_memory": "1.5GiB", "kernelcore": "0.5MiB", "crashkernel": "1.5MiB"}],
        workloads=[{"name": "dimm-slots", "sizes": ["0.5MiB", "1.5MiB"]}],
    )
    spec = load(fractions).combinations[0].machine.spec
    assert (spec.boot_memory, spec.kernelcore, spec.crashkernel) == (3 * GIB // 2, 512 * KIB, 3 * MIB // 2)


def test_figures_of_free_may_have_been_rounded() -> None:
    """``free -h`` prints 1.9Gi of 2 GiB: no whole number of bytes, and still a figure to go by."""
    guest = {"model": "linux", "as": {"mem_total": "1.9Gi", "used": "0.11Gi"}}
    free = load(small(machines=[{"boot_memory": "2GiB"}], guest=guest)).combinations[0].guest.free
    assert free is not None
    assert (free["mem_total"], free["used"]) == (2_040_109_465, 118_111_600)


@pytest.mark.parametrize("text", ["0x140000000", "0X140000000", "5GiB", "5368709120", "5.0G"])
def test_an_address_is_hexadecimal_or_a_size(text: str) -> None:
    assert values.address(text) == 5 * GIB
    assert Address().read(text) == 5 * GIB
    assert values.address(Address().written(5 * GIB)) == 5 * GIB
    with pytest.raises(ValueError, match="not a size"):
        values.size("0x140000000")


@pytest.mark.parametrize("text", ["0x", "0xmany", "140000000h", "0x1" + "0" * 40, "0x7fffffffffff", -1, 1.5, True])
def test_what_is_no_address_is_told(text: object) -> None:
    with pytest.raises(ValueError, match=r"size|64TiB"):
        values.address(text)


def test_keys_of_machines_and_workloads_take_hexadecimal_addresses() -> None:
    tables = small(
        machines=[{"boot_memory": "8GiB", "soft_reserved": [{"address": "0x140000000", "size": "1GiB"}]}],
        workloads=[{"name": "dimm-slots", "address": "0x400000000", "label": "dimms"}],
    )
    combination = load(tables).combinations[0]
    assert combination.machine.spec.soft_reserved == ((5 * GIB, GIB),)
    assert isinstance(combination.workload, PluginSettings)
    assert combination.workload.parameters["address"] == 16 * GIB


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"), (16 * GIB, "16GiB"), (-256 * MIB, "-256MiB"), (999, "999B"), (1000 * MIB, "1000MiB"),
        (GIB + 1, "1GiB"), (19 * GIB + 820 * MIB, "19.8GiB"), (1008 * GIB, "1008GiB"), (3 * TIB // 2, "1.5TiB"),
        (-4 * MIB - 4096, "-4MiB"), (4096, "4KiB"), (1234, "1.21KiB"), (1001, "1001B"),
        (999 * MIB + 600 * KIB, "1000MiB"), (99 * GIB + 1020 * MIB, "100GiB"),
    ],
)  # fmt: skip
def test_sizes_are_short(amount: int, text: str) -> None:
    assert rounded_size(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.25, "0.25 s"), (119.5, "119.5 s"), (120, "2 minutes"), (300, "5 minutes"),
        (7199, "119.98 minutes"), (9000, "2.5 hours"), (863_700, "10 days"), (36_500 * 86_400, "36500 days"),
    ],
)  # fmt: skip
def test_times_are_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert rounded_time(seconds) == text
