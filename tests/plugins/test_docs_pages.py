"""The page of all plug-ins: as the code has it, and each parameter with its default and the values that it takes."""

from __future__ import annotations

import pytest

from sim.plugins.docs_pages import PAGE_NAME, as_toml, page
from sim.plugins.lookup import POLICY, WORKLOAD, listing
from sim.plugins.parameter_lists import ListOf, Row
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
from tests.support.places import ROOT
from workloads.parts.parameters import DeviceBlock


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / PAGE_NAME).read_text("utf-8") == page(), "run: make pages"


def test_every_plug_in_and_every_parameter_is_on_the_page() -> None:
    sections = page().split("\n### ")[1:]
    plugins = [listed.plugin for kind in (POLICY, WORKLOAD) for listed in listing(kind)]

    assert [section.partition("\n")[0] for section in sections] == [plugin.name for plugin in plugins if plugin]
    for section, plugin in zip(sections, plugins, strict=True):
        assert plugin is not None
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert [row.split("`")[1] for row in rows] == [parameter.name for parameter in plugin.parameters]


@pytest.mark.parametrize(
    "row",
    [
        "| `ratio` | `301` | a whole number, from 0 to 4294967295 (percent) | most MOVABLE to early KERNEL memory",
        '| `rate` | `"0"` | a size, 0 as well (bytes/s) | how fast it takes what it wants; 0 stands for at once |',
        "| `path` | needed | a file | the trace (docs/demand-traces.md) |",
        "| `log` |  | one of neonvm-pr705, sail-2026 | a shipped log; give this or path |",
        "| `share` | `0` | a whole number of percent, from 0 to 100 | the same as a share of all present memory;",
        "| `nodes` | `[0]` | a list of at least one: a whole number, from 0 to 1023 | NUMA nodes; each plug draws one",
    ],
)
def test_a_row_says_default_and_values(row: str) -> None:
    assert f"\n{row}" in page()


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (Whole(), "a whole number"),
        (Whole(3), "a whole number, at least 3"),
        (Whole(-1, 4), "a whole number, from -1 to 4"),
        (Percent(), "a whole number of percent, at least 0"),
        (Number(), "a number"),
        (Number(0, 0.5), "a number from 0 to 0.5"),
        (Flag(), "true or false"),
        (Text(), "a string"),
        (Name(), "a name"),
        (FilePath(), "a file"),
        (Word(("up", "down")), "one of up, down"),
        (Size(), "a size, more than 0"),
        (Size(zero=True, multiple_of=4096), "a size in multiples of 4KiB, 0 as well"),
        (DeviceBlock(), "a power of two from 1MiB to 1TiB"),
        (Seconds(), "seconds, more than 0"),
        (Seconds(zero=True), "seconds, 0 as well"),
        (ListOf(Flag()), "a list of at least one: true or false"),
        (Row((Flag(), Text())), "a list of 2: true or false; a string"),
    ],
)
def test_which_values_are_taken_is_said_in_words(of: ParameterType, words: str) -> None:
    assert of.in_words == words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), ("1GiB", '"1GiB"'), (0.5, "0.5"), (("1GiB", 2), '["1GiB", 2]'), ([], "[]")],
)
def test_a_default_is_shown_as_in_a_file(value: object, text: str) -> None:
    assert as_toml(value) == text
