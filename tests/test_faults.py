from __future__ import annotations

import pickle

import pytest

from sim.faults import Fault, Faults, InputError, key_path, raise_all, shown, unknown_name


def test_key_path_is_what_toml_writes() -> None:
    assert key_path("policies", 1, "ratio") == "policies[1].ratio"
    assert key_path("a b", "c") == '"a b".c'
    assert key_path("x", 2, below="sweep[0]") == "sweep[0].x[2]"
    assert key_path(below="guest") == "guest"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", r"'a\nb'"),
        ({"x": 1}, "a table"),
        ((1, 2), "a list of 2"),
        pytest.param(10**5000, "a number of 16610 bits", id="huge"),
        (float("nan"), "nan"),
        (True, "true"),
        (5, "5"),
    ],
)
def test_values_are_shown_in_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_string_is_cut() -> None:
    text = shown("x" * 1000)

    assert len(text) == 60
    assert text.endswith("...'")


def test_an_unknown_name_gets_a_guess_and_the_valid_ones() -> None:
    message = unknown_name("policy", "auto-movabel", ["offline", "auto-movable"])

    assert message == "unknown policy 'auto-movabel'; did you mean 'auto-movable'? Valid: auto-movable, offline"
    assert unknown_name("policy", "zzz", ["b", "a"]) == "unknown policy 'zzz'. Valid: a, b"
    assert unknown_name("policy", "x", []) == "unknown policy 'x'; there is none"


def test_forty_valid_names_are_listed_and_the_others_counted() -> None:
    names = [f"n{number:02}" for number in range(42)]

    assert unknown_name("name", "?", names[:40]).endswith(f" Valid: {', '.join(names[:40])}")
    assert unknown_name("name", "?", names).endswith(f", n38, n39 and {len(names) - 40} more")


def test_an_input_error_tells_all_faults_and_crosses_processes() -> None:
    error = InputError("f.toml", [Fault("a", "is wrong"), Fault("", "too")])

    assert str(error) == "f.toml: 2 faults\n  a: is wrong\n  too"
    assert str(InputError("f.toml", [Fault("a", "is wrong")])) == "f.toml: a: is wrong"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  our own bytes


def test_a_collector_has_the_faults_at_its_key_and_below_in_the_order_in_which_they_came() -> None:
    faults = Faults("machines")
    machine = faults.below(0)
    node = machine.below("nodes", 1)

    node.add("is wrong")
    faults.add("are few")
    faults.below("a b").add("is unknown")

    assert list(map(str, faults)) == [
        "machines[0].nodes[1]: is wrong",
        "machines: are few",
        'machines."a b": is unknown',
    ]
    assert list(machine) == list(node) == [Fault("machines[0].nodes[1]", "is wrong")]
    assert (len(faults), bool(machine), bool(faults.below(0)), bool(Faults())) == (3, True, False, False)


def test_faults_that_come_from_elsewhere_keep_their_keys() -> None:
    faults = Faults()
    below = faults.below("sweep")

    below.include(Fault(key, "is wrong") for key in ("policies[0].ratio", ""))

    assert list(faults) == list(below) == [Fault("policies[0].ratio", "is wrong"), Fault("", "is wrong")]


def test_collected_faults_are_raised_together_and_none_raise_nothing() -> None:
    faults = Faults("x")
    faults.raise_if_any("f.toml")
    faults.add("is wrong")
    faults.below(2).add("too")

    with pytest.raises(InputError) as caught:
        faults.raise_if_any("f.toml")

    assert (caught.value.source, caught.value.faults) == ("f.toml", (Fault("x", "is wrong"), Fault("x[2]", "too")))


def test_faults_of_several_sources_are_raised_together_and_those_of_one_as_they_are() -> None:
    raise_all([], "all")
    one, other = InputError("a", [Fault("x", "is wrong"), Fault("", "is odd")]), InputError("b", [Fault("", "is not")])
    with pytest.raises(InputError) as raised:
        raise_all([one], "all")
    assert raised.value is one
    with pytest.raises(InputError) as raised:
        raise_all([one, other], "all")
    assert str(raised.value) == "all: 3 faults\n  a: x: is wrong\n  a: is odd\n  b: is not"
