from __future__ import annotations

import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.faults import Faults
from sim.plugins.parameter_lists import ListOf, OneOrMore, Row
from sim.plugins.parameter_tables import Key, ShortTable, Table
from sim.plugins.parameter_types import (
    FilePath,
    Flag,
    Name,
    Number,
    ParameterType,
    Percent,
    Seconds,
    Size,
    Text,
    Whole,
    Word,
)
from sim.units import GIB, MIB
from tests.support.reach import Reach

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
#: By the names that listings have for them.
TYPES: dict[str, ParameterType] = {
    each.name: each
    for each in (
        *(Whole(), Number(), Flag(), Text(), Size(), Seconds(), Percent(), FilePath(), Word(("a", "b"))),
        *(Word(("online", "offline")), ListOf(Size()), ListOf(Whole()), ListOf(ListOf(Whole()))),
        *(Row((Size(), Whole())), Row((Whole(), Whole())), Row((Size(), Seconds())), OneOrMore(Size())),
    )
}

#: What would do for some type, beside what does for none.
SENSE = ("a", "b", "online", "1GiB", "512 MiB", 5, 2.5, True, [1, 2], ["1GiB", 3], [4096, "2MiB"])
REACH = Reach({f"{name}: {what}": 3 for name in TYPES for what in ("converted", "a fault")})


def converted(type_name: str, value: object) -> object:
    faults = Faults("here")
    result = TYPES[type_name].convert(value, faults)
    assert not faults
    return result


def faults_in(type_name: str, value: object) -> list[str]:
    faults = Faults("here")
    TYPES[type_name].convert(value, faults)
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
        ("[size, seconds]", ("1GiB", 3), [GIB, 3.0]),
        ("list[list[int]]", ((1,), (2, 3)), [[1], [2, 3]]),
        ("size or list[size]", "1GiB", [GIB]),
        ("size or list[size]", ("1GiB", 5), [GIB, 5]),
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
        ("size or list[size]", "x", "here"),
        ("size or list[size]", ("1GiB", "x"), "here[1]"),
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

        result = TYPES[type_name].convert(value, faults)

        assert faults or result is not None
        assert all(fault.key.startswith("here") and "\n" not in fault.what for fault in faults)
        REACH(f"{type_name}: {'a fault' if faults else 'converted'}")


def test_paths_are_rewritten_wherever_they_are() -> None:
    def rewrite(path: str) -> str:
        return f"/x/{path}"

    assert FilePath().with_paths("a", rewrite) == "/x/a"
    assert Text().with_paths("a", rewrite) == "a"
    assert ListOf(FilePath()).with_paths(["a", "b"], rewrite) == ["/x/a", "/x/b"]
    assert ListOf(Size()).with_paths([1], rewrite) == [1]
    assert ListOf(FilePath()).with_paths(None, rewrite) is None


BIG = 1 << 70


@pytest.mark.parametrize(
    ("of", "value", "complaints"),
    [
        (Whole(1, 4), 1, []),
        (Whole(1, 4), 4, []),
        (Whole(1, 4), 0, ["must be from 1 to 4, but is 0"]),
        (Whole(1, 4), 5, ["must be from 1 to 4, but is 5"]),
        (Whole(1, 4), True, ["must be a whole number, but is true"]),
        (Whole(1, 4), 1.0, ["must be a whole number, but is 1.0"]),
        (Whole(3), 2, ["must be at least 3, but is 2"]),
        (Whole(3), 1 << 62, []),
        (Whole(), -BIG, [f"must be from {1 - (1 << 63)} to {(1 << 63) - 1}, but is {-BIG}"]),
        (Percent(), 301, []),
        (Percent(most=100), 101, ["must be from 0 to 100, but is 101"]),
        (Percent(), -1, ["must be at least 0, but is -1"]),
        (Number(0, 0.5), 0.5, []),
        (Number(0, 0.5), 0, []),
        (Number(0, 0.5), 0.75, ["must be from 0 to 0.5, but is 0.75"]),
        (Number(0, 0.5), math.nan, ["must be from 0 to 0.5, but is nan"]),
        (Number(0, 0.5), False, ["must be a number, but is false"]),
        (Number(), math.inf, ["must be from -1.79769e+308 to 1.79769e+308, but is inf"]),
        (Flag(), False, []),
        (Flag(), 0, ["must be true or false, but is 0"]),
        (Text(), "", []),
        (Text(), 3, ["must be a string, but is 3"]),
        (Name(), "a b", []),
        (Name(), " a", ["must be a name without blanks around it, but is ' a'"]),
        (Name(), "", ["must be a name without blanks around it, but is ''"]),
        (Name(), "a\n", ["must be a name without blanks around it, but is 'a\\n'"]),
        (FilePath(), "a.csv", []),
        (FilePath(), 3, ["must be a name without blanks around it, but is 3"]),
        (Word(("up", "down")), "down", []),
        (Word(("up", "down")), "dwn", ["unknown word 'dwn'; did you mean 'down'? Valid: down, up"]),
        (Word(("up", "down")), 1, ["must be one of up, down, but is 1"]),
        (Size(), 1, []),
        (Size(), 0, ["must be more than 0 bytes, but is 0"]),
        (Size(zero=True), 0, []),
        (Size(zero=True), -1, ["must be no less than 0 bytes, but is -1"]),
        (Size(), "1GiB", ["must be a size in bytes, but is '1GiB'"]),
        (Size(), True, ["must be a size in bytes, but is true"]),
        (Size(), 64 << 40, []),
        (Size(), (64 << 40) + 1, [f"must be at most 64TiB, but is {(64 << 40) + 1} bytes"]),
        (Size(multiple_of=MIB), GIB, []),
        (Size(multiple_of=MIB), 4096, ["must be a multiple of 1MiB, but is 4KiB; the nearest is 1MiB"]),
        (Seconds(), 0.000001, []),
        (Seconds(), 1e-7, ["must be at least a microsecond (0.000001 seconds), but is 1e-07"]),
        (Seconds(zero=True), 1e-7, []),
        (Seconds(), 0, ["must be more than 0 seconds, but is 0"]),
        (Seconds(zero=True), -1, ["must be no less than 0 seconds, but is -1"]),
        (Seconds(), 1_000_000_000, []),
        (Seconds(), 1_000_000_001, ["must be at most 1000000000 seconds, but is 1000000001"]),
        (Seconds(), math.nan, ["must be a number of seconds, but is nan"]),
        (Seconds(), True, ["must be a number of seconds, but is true"]),
        (ListOf(Whole(0, 3), "node"), (0, 3), []),
        (ListOf(Whole(0, 3), "node"), [], ["must be a list of at least one node, but is a list of 0"]),
        (ListOf(Whole(0, 3), "node"), 3, ["must be a list of at least one node, but is 3"]),
        (ListOf(Whole(0, 3)), [4, 1, 5], ["must be from 0 to 3, but is 4", "must be from 0 to 3, but is 5"]),
        (Row((Whole(0, 3), Flag())), (3, True), []),
        (Row((Whole(0, 3), Flag())), [4, 1], ["must be from 0 to 3, but is 4", "must be true or false, but is 1"]),
        (Row((Whole(), Flag())), (3,), ["must be a list of 2 ([int, bool]), but is a list of 1"]),
    ],
)
def test_a_value_from_anywhere_is_taken_or_complained_about(
    of: ParameterType, value: object, complaints: list[str]
) -> None:
    assert list(of.complaints(value)) == complaints


@pytest.mark.parametrize(
    ("of", "value", "written"),
    [
        (Size(), 3 * GIB, "3GiB"),
        (Size(zero=True), 0, "0"),
        (Size(), 5, "5B"),
        (ListOf(Size()), (GIB, 2 * MIB), ("1GiB", "2MiB")),
        (ListOf(Whole()), (1, 2), (1, 2)),
        (Seconds(), 0.5, 0.5),
        (Word(("up",)), "up", "up"),
    ],
)
def test_a_default_is_written_as_a_person_would(of: ParameterType, value: object, written: object) -> None:
    faults = Faults()

    assert of.written(value) == written
    assert of.convert(written, faults) == (list(value) if isinstance(value, tuple) else value)
    assert not faults


def test_the_json_schema_has_the_bounds() -> None:
    size = Size().json_schema()
    zero = Size(zero=True).json_schema()

    assert Whole().json_schema() == {"type": "integer"}
    assert Whole(1, 4).json_schema() == {"type": "integer", "minimum": 1, "maximum": 4}
    assert Whole(1).json_schema() == {"type": "integer", "minimum": 1}
    assert Percent(most=100).json_schema() == {"type": "integer", "minimum": 0, "maximum": 100}
    assert Number().json_schema() == {"type": "number"}
    assert Number(0, 1).json_schema() == {"type": "number", "minimum": 0, "maximum": 1}
    assert Seconds().json_schema() == {"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000_000}
    assert Seconds(zero=True).json_schema() == {"type": "number", "minimum": 0, "maximum": 1_000_000_000}
    assert size["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 64 << 40}
    assert zero["anyOf"][0] == {"type": "integer", "minimum": 0, "maximum": 64 << 40}
    assert re.fullmatch(zero["anyOf"][1]["pattern"], "1.5 MiB")
    assert Word(("up", "down")).json_schema() == {"enum": ["up", "down"]}
    assert [each.json_schema() for each in (Flag(), Text(), Name(), FilePath())] == [
        {"type": "boolean"},
        *[{"type": "string"}] * 3,
    ]
    assert ListOf(Flag()).json_schema() == {"type": "array", "items": {"type": "boolean"}, "minItems": 1}
    assert Row((Flag(), Text())).json_schema() == {
        "type": "array",
        "prefixItems": [{"type": "boolean"}, {"type": "string"}],
        "minItems": 2,
        "maxItems": 2,
    }


def test_units_go_with_the_types_and_can_be_others() -> None:
    types = (Whole(), Percent(), Size(), Seconds(), Size(unit="bytes/s"), Whole(1, unit="slots"))

    assert [each.unit for each in types] == ["-", "percent", "bytes", "s", "bytes/s", "slots"]


RULE = Table(
    (
        Key("state", Word(("online", "offline")), "the word", needed=True),
        Key("delay", Seconds(zero=True), "how late"),
        Key("sizes", ListOf(Size()), "some sizes"),
    )
)


def test_a_table_holds_the_keys_that_are_given_each_in_the_programs_terms() -> None:
    faults = Faults("rules[0]")
    assert RULE.convert({"sizes": ["1GiB"], "state": "online"}, faults) == {"state": "online", "sizes": [GIB]}
    assert RULE.convert({"state": "offline", "delay": 2}, faults) == {"state": "offline", "delay": 2.0}
    assert not faults
    assert list(RULE.complaints({"state": "online", "delay": 0.0, "sizes": [GIB]})) == []
    assert RULE.written({"sizes": [GIB], "state": "online"}) == {"state": "online", "sizes": ("1GiB",)}
    assert (RULE.name, RULE.in_words) == ("table", "a table of state, delay, sizes")


def test_what_is_wrong_in_a_table_is_told_under_its_key() -> None:
    faults = Faults("rules[0]")
    RULE.convert({"stat": "online", "delay": -1, "sizes": ["1GiB", "x"]}, faults)
    assert [fault.key for fault in faults] == ["rules[0].stat", "rules[0].state", "rules[0].delay", "rules[0].sizes[1]"]
    assert "did you mean 'state'?" in next(iter(faults)).what
    assert list(RULE.complaints({"stat": 1, "delay": -1.0, "sizes": []})) == [
        "unknown key 'stat'; did you mean 'state'? Valid: delay, sizes, state",
        "state is missing",
        "delay must be no less than 0 seconds, but is -1.0",
        "sizes must be a list of at least one value, but is a list of 0",
    ]
    for nonsense in (None, 5, "x", ["state"]):
        faults = Faults("rules[0]")
        assert RULE.convert(nonsense, faults) is None
        assert [fault.key for fault in faults] == ["rules[0]"]
        assert len(list(RULE.complaints(nonsense))) == 1


def test_paths_in_tables_are_found_like_any_others() -> None:
    logs = ListOf(Table((Key("path", FilePath(), "a file"), Key("number", Whole(), "a number"))))
    assert logs.with_paths([{"path": "a", "number": 1}, {"number": 2}], lambda path: f"/x/{path}") == [
        {"path": "/x/a", "number": 1},
        {"number": 2},
    ]


def test_the_schema_of_a_table_names_its_keys_and_those_that_are_needed() -> None:
    schema = RULE.json_schema()
    assert schema["required"] == ["state"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["state"] == {"enum": ["online", "offline"], "description": "the word"}
    assert "required" not in Table((Key("path", FilePath(), "a file"),)).json_schema()
    assert list(ListOf(RULE).details()) == list(RULE.details())
    assert next(iter(RULE.details())) == ("state", "one of online, offline (needed): the word")
    assert list(Whole().details()) == []


SHORT = ShortTable((Key("at", OneOrMore(Name()), "where", needed=True), Key("unit", Size(), "bytes of a 1")), "at")


@pytest.mark.parametrize(
    ("written", "meant", "in_full"),
    [
        ("a", {"at": ["a"]}, ("a",)),
        (["a", "b"], {"at": ["a", "b"]}, ("a", "b")),
        ({"at": "a"}, {"at": ["a"]}, ("a",)),
        ({"at": "a", "unit": "1MiB"}, {"at": ["a"], "unit": MIB}, {"at": ("a",), "unit": "1MiB"}),
    ],
)
def test_one_key_of_a_table_may_stand_alone(written: object, meant: object, in_full: object) -> None:
    faults = Faults()

    assert SHORT.convert(written, faults) == meant
    assert not faults
    assert SHORT.written(meant) == in_full
    assert list(SHORT.complaints(meant)) == []


def test_what_stands_alone_is_held_to_the_type_of_its_key() -> None:
    faults = Faults("here")

    SHORT.convert(3, faults)
    SHORT.convert({"unit": "1MiB"}, faults)

    assert [fault.key for fault in faults] == ["here", "here.at"]
    assert list(SHORT.complaints(" a")) == ["must be a name without blanks around it, but is ' a'"]
    assert SHORT.json_schema()["anyOf"][0]["anyOf"][0] == {"type": "string"}
