"""Files of a machine, edited and put together at random: an import, or an answer in words, and no traceback."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from sim.experiment.imported import experiment_tables, experiment_text
from sim.faults import InputError
from sim.readers.reading import read_facts
from sim.snapshot.assembly import put_together
from sim.snapshot.wishes import Wishes
from sim.units import GIB, KIB
from tests.cli.test_import import FREE, LSMEM, XML
from tests.readers.test_qemu_command import LOGGED, SCRIPT
from tests.readers.test_qemu_devices import FOR_PEOPLE

ZONEINFO: Final = """Node 0, zone    DMA32
  pages free     180000
        spanned  520192
        present  520160
        managed  480000
  start_pfn:           4096
Node 0, zone  Movable
  pages free     262144
        spanned  524288
        present  524288
        managed  524288
  start_pfn:           1572864
"""
LOG: Final = """[    0.000000] Linux version 6.12.5-amd64 (x86_64-linux-gnu-gcc-14) #1 SMP
[    0.000000] Command line: quiet memhp_default_state=online_movable mem=4G
[    0.052000] Memory: 3900000K/4193784K available (14336K kernel code, 290000K reserved, 0K cma-reserved)
"""
TEXTS: Final = (XML, LSMEM, FREE, ZONEINFO, LOG, FOR_PEOPLE, SCRIPT, LOGGED)
WORDS: Final = (
    "0",
    "1",
    "-1",
    "7",
    "64",
    "4096",
    "18446744073709551615",
    "128M",
    "0x100000000",
    "None",
    "offline",
    "Movable",
)
_PLACE: Final = re.compile(r"0x[0-9a-f]+|[0-9]+|[A-Z][a-z]+")


@st.composite
def edited(draw: st.DrawFn) -> str:
    """Return a text with a few of its words replaced, lines doubled or dropped, or its end cut off."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        how = draw(st.sampled_from(["word", "word", "double", "drop", "cut"]))
        places = list(_PLACE.finditer(text))
        lines = text.splitlines(keepends=True)
        if how == "word" and places:
            place = draw(st.sampled_from(places))
            text = text[: place.start()] + draw(st.sampled_from(WORDS)) + text[place.end() :]
        elif how == "cut":
            text = text[: draw(st.integers(0, len(text)))]
        elif lines:
            at = draw(st.integers(0, len(lines) - 1))
            lines[at : at + 1] = [] if how == "drop" else [lines[at]] * 2
            text = "".join(lines)
    return text


wishes = st.builds(
    Wishes,
    boot_memory=st.sampled_from([None, None, GIB, 4 * GIB]),
    kernel=st.sampled_from([None, None, "6.12"]),
    architecture=st.sampled_from([None, None, None, "arm64", "s390x"]),
    page_size=st.sampled_from([None, None, None, 64 * KIB]),
)


@given(st.lists(edited(), min_size=1, max_size=4), wishes)
def test_edited_files_import_or_are_refused_in_words(texts: list[str], said: Wishes) -> None:
    with TemporaryDirectory() as name:
        paths = [Path(name) / str(number) for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        try:
            imported = put_together(read_facts(paths), said)
            tables = experiment_tables(imported)
        except InputError as error:
            told = str(error)
        else:
            told = experiment_text(tables, imported, ["a file"])
    assert told.strip()
