"""Experiment files that are wrong in any way there is: each is refused in words, none ends in a traceback."""

from __future__ import annotations

import copy
import datetime as dt
import os
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from sim.cli import main
from sim.experiment.load import load
from sim.faults import InputError
from tests.experiment.examples import small

if TYPE_CHECKING:
    from pathlib import Path

    from sim.experiment.plan import Experiment

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
EXAMPLES = 1000 if LONG else 150
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

wrong = st.one_of(
    st.sampled_from(
        [
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
        ]
    ),
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


def loaded(source: Any, folder: Path | None = None) -> Experiment | InputError:  # noqa: ANN401
    """Return what loading gives; any exception but the one for bad input fails the test."""
    try:
        return load(source, folder=folder)
    except InputError as error:
        return error


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(damaged())
def test_a_damaged_experiment_is_loaded_or_refused_in_words(tables: dict[str, Any]) -> None:
    result = loaded(tables)

    if isinstance(result, InputError):
        assert result.faults
        for fault in result.faults:
            assert fault.what
            assert len(fault.what) < 3000
            assert "\n" not in str(fault)
            assert "Traceback" not in fault.what
    else:
        assert len(result) > 0


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(PLACES), wrong)
def test_a_fault_names_the_key_that_was_damaged(place: tuple[str | int, ...], value: Any) -> None:  # noqa: ANN401
    tables = copy.deepcopy(FULL)
    parent_of(tables, place)[place[-1]] = value
    result = loaded(tables)
    assume(isinstance(result, InputError))
    assert isinstance(result, InputError)
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")

    # What stands elsewhere may be at fault in consequence: labels, swept keys, combinations with nodes.
    linked = ("label", "machines", "nodes", "name", "boot_memory", "together", "sweep")
    assert any(fault.where.startswith((path, path.rpartition(".")[0] or path)) for fault in result.faults) or any(
        word in path for word in linked
    )


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(TEXT.encode())), st.binary(max_size=8))
@example(0, b"\x7fELF\x02\x01")
def test_a_truncated_or_overwritten_file_is_loaded_or_refused(tmp_path: Path, cut: int, junk: bytes) -> None:
    raw = TEXT.encode()
    path = tmp_path / "e.toml"
    for content in (raw[:cut], raw[:cut] + junk + raw[cut + len(junk) :], junk):
        path.write_bytes(content)
        if isinstance(loaded(path), InputError):
            assert_refused(path, tmp_path / "results")


def run_main(*arguments: str) -> tuple[int, str, str]:
    from click.testing import CliRunner

    result = CliRunner().invoke(main, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def assert_refused(path: Path, results: Path) -> None:
    """Check that ``run`` ends with exit code 2 and words about a fault in ``path``, and leaves nothing behind."""
    code, stdout, stderr = run_main("run", str(path), "--out", str(results))

    assert code == 2
    assert stdout == ""
    head, _, faults = stderr.partition(f"Error: {path}: ")
    assert head == ""
    assert faults.strip()
    assert "Traceback" not in stderr
    assert not results.exists()


@settings(
    max_examples=REFUSED_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tables=damaged())
def test_the_command_refuses_it_with_exit_code_2_and_leaves_nothing_behind(
    tmp_path: Path, tables: dict[str, Any]
) -> None:
    assume(isinstance(loaded(tables), InputError))
    try:
        text = tomli_w.dumps(tables)
    except (TypeError, ValueError):
        assume(False)  # noqa: FBT003  TOML has no such value
    path = tmp_path / "e.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    assert_refused(path, tmp_path / "results")


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
