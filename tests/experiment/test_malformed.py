"""Experiment files that are wrong in any way there is: each is refused in words, none ends in a traceback."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import random
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from sim.cli.main import main
from sim.experiment.load import load
from sim.faults import InputError
from tests.experiment.examples import small
from tests.support.reach import LONG, Reach

if TYPE_CHECKING:
    from pathlib import Path

    from sim.experiment.plan import Experiment

REFUSED_EXAMPLES = 5000 if LONG else 1000

FULL: dict[str, Any] = small(
    name="x",
    description="",
    baseline="contig-zones",
    cell_timeout=10,
    guest={"model": "none"},
    timing={"offline": 0.004},
    sweep=[{"product": {"policies": {"auto-movable": {"ratio": [50, 100]}}}}],
)
FULL["machines"].append({"label": "two", "nodes": [{"boot_memory": "2GiB"}, {"boot_memory": 0}], "kernel": "6.12"})
FULL["workloads"].append({"label": "mix", "together": [{"name": "dimm-slots"}, {"name": "virtio-mem-resize"}]})
TEXT = tomli_w.dumps(FULL)

NASTY: tuple[Any, ...] = (
    -1,
    0,
    2**63,
    10**400,
    -(10**400),
    float("nan"),
    float("inf"),
    -float("inf"),
    1e308,
    True,
    "",
    "-4GiB",
    "4 parsecs",
    "99999999TiB",
    "a\0b",
    "../../etc",
    "x" * 10_000,
    [],
    {},
    [[[[[[]]]]]],
    {"a": {"b": {}}},
    dt.date(2024, 2, 29),
    dt.time(1, 2, 3),
)

wrong = st.one_of(
    st.sampled_from(NASTY),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=3), max_size=3),
).map(copy.deepcopy)  # or a list or table would be shared between places and examples


def places(value: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:  # noqa: ANN401
    """Return the paths of everything in ``value``."""
    found = [here] if here else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*here, key))
    return found


PLACES = places(FULL)


def parent_of(tables: dict[str, Any], place: tuple[str | int, ...]) -> Any:  # noqa: ANN401
    parent: Any = tables
    for key in place[:-1]:
        parent = parent[key]
    return parent


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """Return the full experiment with one to four things in it changed, taken away or added."""
    tables = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(PLACES))
        try:
            parent = parent_of(tables, place)
            match draw(st.sampled_from(["change", "change", "remove", "add"])):
                case "change":
                    parent[place[-1]] = draw(wrong)
                case "remove":
                    del parent[place[-1]]
                case "add":
                    parent[draw(st.text(max_size=8))] = draw(wrong)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return tables


WORDS = ("", "vm", "two", "contig-zones", "4GiB", "0", "-1", "a\nb", "\t", "\x7f", "é", "日本", "\U0001f40d", "x" * 300)


def wrong_value(rng: random.Random) -> Any:  # noqa: ANN401
    """Return what stands in a file by mistake: of any type that TOML has, mostly with a sense of its own."""
    word = rng.choice(WORDS)
    made: tuple[Any, ...] = (
        copy.deepcopy(rng.choice(NASTY)),
        rng.choice((1, -1)) * rng.randrange(1 << rng.choice((4, 16, 64, 200))),
        rng.uniform(-1, 1) * 10.0 ** rng.randrange(-20, 300),
        word,
        [rng.choice((word, rng.randrange(9), True, [word], {"name": word})) for _ in range(rng.randrange(4))],
        {rng.choice(WORDS): rng.choice((word, 3)) for _ in range(rng.randrange(3))},
    )
    return rng.choice(made)


def damaged_by(rng: random.Random) -> dict[str, Any]:
    """Return the full experiment with one to four things in it changed, taken away or added, as :func:`damaged`."""
    tables = copy.deepcopy(FULL)
    for _ in range(rng.randrange(1, 5)):
        place = rng.choice(PLACES)
        with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier change took the place away
            parent = parent_of(tables, place)
            match rng.choice(("change", "change", "remove", "add")):
                case "change":
                    parent[place[-1]] = wrong_value(rng)
                case "remove":
                    del parent[place[-1]]
                case "add":
                    parent[rng.choice(WORDS)] = wrong_value(rng)
    return tables


def loaded(source: Any, folder: Path | None = None) -> Experiment | InputError:  # noqa: ANN401
    """Return what loading gives; any exception but the one for bad input fails the test."""
    try:
        return load(source, folder=folder)
    except InputError as error:
        return error


LOADED = Reach({"refused for one fault": 10, "refused for several": 10, "loaded": 3})


@LOADED.test(examples=90, long=1000)
@given(damaged())
def test_a_damaged_experiment_is_loaded_or_refused_in_words(tables: dict[str, Any]) -> None:
    result = loaded(tables)

    if isinstance(result, InputError):
        assert result.faults
        LOADED("refused for one fault" if len(result.faults) == 1 else "refused for several")
        for fault in result.faults:
            assert fault.what
            assert len(fault.what) < 3000
            assert "\n" not in str(fault)
            assert "Traceback" not in fault.what
    else:
        LOADED("loaded")
        assert len(result) > 0


NAMED = Reach({"named": 190, "what it is part of is named": 0, "what is linked to it is named": 0, "loaded": 5})


def test_a_fault_names_the_key_that_was_damaged() -> None:
    """Every place of the file, each with some values that are mostly wrong there."""
    NAMED.counts.clear()
    rng = random.Random(1)  # noqa: S311  nothing is kept secret
    for place in PLACES * (20 if LONG else 4):
        value = wrong_value(rng)
        tables = copy.deepcopy(FULL)
        parent_of(tables, place)[place[-1]] = value
        result = loaded(tables)
        if not isinstance(result, InputError):
            NAMED("loaded")
            continue
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")
        where = [fault.key for fault in result.faults]
        # What stands elsewhere may be at fault in consequence: labels, swept keys, combinations with nodes.
        linked = ("label", "machines", "nodes", "name", "boot_memory", "together", "sweep")
        if any(one.startswith(path) for one in where):
            NAMED("named")
        elif any(one.startswith(path.rpartition(".")[0] or path) for one in where):
            NAMED("what it is part of is named")
        else:
            NAMED("what is linked to it is named")
            assert any(word in path for word in linked), (path, value, where)
    NAMED.check()


CUT = Reach({"cut: refused": 20, "cut: loaded": 0, "overwritten: refused": 20, "overwritten: loaded": 5,
             "junk: refused": 30, "junk: loaded": 0})  # fmt: skip


@CUT.test(examples=72, long=1000)
@given(st.integers(0, len(TEXT.encode())), st.binary(max_size=8))
@example(0, b"\x7fELF\x02\x01")
def test_a_truncated_or_overwritten_file_is_loaded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    raw = TEXT.encode()
    folder = tmp_path_factory.mktemp("cut")
    path = folder / "e.toml"
    contents = {"cut": raw[:cut], "overwritten": raw[:cut] + junk + raw[cut + len(junk) :], "junk": junk}
    for how, content in contents.items():
        path.write_bytes(content)
        if isinstance(loaded(path), InputError):
            CUT(f"{how}: refused")
            assert_refused(path, folder / "results")
        else:
            CUT(f"{how}: loaded")


def run_main(*arguments: str) -> tuple[int, str, str]:
    from click.testing import CliRunner

    result = CliRunner().invoke(main, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def assert_refused(path: Path, results: Path) -> list[str]:
    """Check that ``run`` ends with exit code 2 and words about a fault in ``path``, and leaves nothing behind.

    Return the lines about faults.
    """
    code, stdout, stderr = run_main("run", str(path), "--out", str(results))

    assert code == 2
    assert stdout == ""
    head, _, faults = stderr.partition(f"Error: {path}: ")
    assert head == ""
    assert faults.strip()
    assert "Traceback" not in stderr
    assert not results.exists()
    return faults.splitlines()


#: Words that a fault may be told in, with how many faults of a thousand files are at least.
FAULTS = {
    "no node has boot memory": 2,
    "unknown key": 100,
    "unknown parameter": 50,
    "unknown label": 30,
    "unknown workload": 8,
    "unknown policy": 3,
    "unknown section": 5,
    "is missing": 50,
    "is not a table": 60,
    "is not a list": 30,
    "is not a string": 60,
    "is not a size": 30,
    "is not a whole number": 30,
    "is not a number": 20,
    "cannot be negative": 5,
    "is too large": 5,
    "must be at most": 5,
    "is more than": 2,
    "must be": 5,
    "is not known": 5,
    "is not a label": 4,
    "is taken by": 0,
    "is empty": 3,
    "needs": 50,
    "is not a kernel series": 2,
    "anything else": 0,
}
REACH = Reach({**FAULTS, "nothing wrong with it": 10})


class WouldRunError(Exception):
    """Instead of running an experiment without faults."""


def would_run(*_: object, **__: object) -> None:
    raise WouldRunError


def test_the_command_refuses_a_thousand_with_exit_code_2_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seeds are drawn from by hand, since Hypothesis would make most of so many by changing others a little."""
    monkeypatch.setattr("sim.cli.run.at_work_in", would_run)
    path = tmp_path / "e.toml"
    REACH.counts.clear()
    number = refused = 0
    while refused < REFUSED_EXAMPLES:
        number += 1
        text = tomli_w.dumps(damaged_by(random.Random(number)))  # noqa: S311  nothing is kept secret
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            said = assert_refused(path, tmp_path / "results")
        except WouldRunError:
            REACH("nothing wrong with it")
            continue
        except AssertionError as error:
            error.add_note(f"damaged_by(random.Random({number}))")
            raise
        refused += 1
        for line in said[len(said) > 1 :]:  # "3 faults" goes before three
            told = [word for word in FAULTS if word in line]
            REACH(told[0] if told else "anything else")
    REACH.check()


NO_TOML = (
    b"",
    b"\x00" * 100,
    b"\xff\xfe",
    b"PK\x03\x04",
    b"[" * 100_000,
    b"a." * 50_000 + b"a = 1",
    b'"a".' * 50_000 + b"a = 1",
    b"a" * 1_000_000,
    b'"' * 3,
    b"= 1",
    b"[[a]",
)


@pytest.mark.parametrize("content", NO_TOML, ids=range(len(NO_TOML)))
def test_the_command_refuses_what_is_no_toml(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_bytes(content)

    assert_refused(path, tmp_path / "results")


def test_tables_that_hold_themselves_are_refused() -> None:
    knot: dict[str, Any] = {}
    knot["a"] = knot
    for tables in (knot, small(machines=[knot]), small(guest=knot), small(sweep=[{"points": [knot]}])):
        result = loaded(tables)
        assert isinstance(result, InputError)
        assert "nested deeper than" in str(result)
