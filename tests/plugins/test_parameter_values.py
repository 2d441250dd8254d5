from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.faults import Faults
from sim.plugins.parameter_values import UnknownTypeError, convert, json_schema, paths_in, with_paths
from sim.units import GIB, MIB
from tests.support.reach import Reach

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TYPES = (
    "int",
    "float",
    "bool",
    "str",
    "size",
    "seconds",
    "percent",
    "path",
    "a|b",
    "list[size]",
    "ints",
    "[size, int]",
)

#: What would do for some type, beside what does for none.
SENSE = ("a", "b", "1GiB", "512 MiB", 5, 2.5, True, [1, 2], ["1GiB", 3], [4096, "2MiB"])
REACH = Reach({f"{name}: {what}": 3 for name in TYPES for what in ("converted", "a fault")})


def converted(type_name: str, value: object) -> object:
    faults = Faults("here")
    result = convert(type_name, value, faults)
    assert not faults
    return result


def faults_in(type_name: str, value: object) -> list[str]:
    faults = Faults("here")
    convert(type_name, value, faults)
    return [fault.key for fault in faults]


@pytest.mark.parametrize(
    ("type_name", "written", "meant"),
    [
        ("int", 5, 5),
        ("float", 1, 1.0),
        ("float", 0.5, 0.5),
        ("bool", False, False),
        ("str", "x", "x"),
        ("size", "4GiB", 4 * GIB),
        ("size", "1.5 MiB", 3 * MIB // 2),
        ("size", 4096, 4096),
        ("seconds", 2, 2.0),
        ("percent", 301, 301),
        ("path", "a.csv", "a.csv"),
        ("online|offline", "offline", "offline"),
        ("list[size]", ("1GiB", 5), [GIB, 5]),
        ("list[int]", [], []),
        ("sizes", "1GiB", [GIB]),
        ("ints", (1, 2), [1, 2]),
        ("[size, seconds]", ("1GiB", 3), [GIB, 3.0]),
        ("list[list[int]]", ((1,), ()), [[1], []]),
    ],
)
def test_what_is_written_becomes_what_is_meant(type_name: str, written: object, meant: object) -> None:
    result = converted(type_name, written)

    assert result == meant
    assert type(result) is type(meant)


@pytest.mark.parametrize(
    ("type_name", "value", "where"),
    [
        ("int", True, "here"),
        ("int", 1.0, "here"),
        ("int", 2**63, "here"),
        ("float", math.nan, "here"),
        ("float", -math.inf, "here"),
        ("float", "1", "here"),
        ("bool", 1, "here"),
        ("str", 1, "here"),
        ("str", "a\0b", "here"),
        ("size", -1, "here"),
        ("size", "-1GiB", "here"),
        ("size", "4 apples", "here"),
        ("size", "9" * 5000, "here"),
        ("size", "65TiB", "here"),
        ("size", True, "here"),
        ("size", 1.5, "here"),
        ("seconds", -0.1, "here"),
        ("seconds", 1e300, "here"),
        ("percent", -1, "here"),
        ("a|b", "c", "here"),
        ("a|b", 1, "here"),
        ("list[int]", 1, "here"),
        ("list[int]", (1, "x"), "here[1]"),
        ("ints", (), "here"),
        ("ints", "x", "here"),
        ("[int, int]", (1,), "here"),
        ("[int, int]", (1, None), "here[1]"),
    ],
)
def test_what_cannot_be_meant_is_a_fault_in_its_place(type_name: str, value: object, where: str) -> None:
    assert faults_in(type_name, value) == [where]


def test_every_element_has_its_fault() -> None:
    assert faults_in("list[size]", ("x", "1GiB", -1)) == ["here[0]", "here[2]"]


@REACH.test(examples=99)
@given(st.lists(st.sampled_from(SENSE) | anything, min_size=3, max_size=3))
def test_anything_is_converted_or_has_a_fault(values: list[object]) -> None:
    for type_name, value in itertools.product(TYPES, values):
        faults = Faults("here")

        result = convert(type_name, value, faults)

        assert faults or result is not None
        assert all(fault.key.startswith("here") and "\n" not in fault.what for fault in faults)
        REACH(f"{type_name}: {'a fault' if faults else 'converted'}")


@pytest.mark.parametrize("type_name", TYPES)
def test_every_type_has_a_json_schema(type_name: str) -> None:
    assert json_schema(type_name)


@pytest.mark.parametrize("type_name", ["banana", "list[banana]", "[int, banana]", ""])
def test_an_unknown_type_is_the_plug_ins_mistake(type_name: str) -> None:
    with pytest.raises(UnknownTypeError, match="known are int"):
        json_schema(type_name)
    with pytest.raises(UnknownTypeError):
        convert(type_name, [1, 2], Faults())


def test_paths_are_found_and_rewritten_wherever_they_are() -> None:
    assert paths_in("list[path]", ["a", "b"]) == ["a", "b"]
    assert paths_in("str", "a") == []
    assert with_paths("[int, path]", [1, "a"], lambda path: f"/x/{path}") == [1, "/x/a"]
