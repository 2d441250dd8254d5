"""Logs with one thing wrong, CSV and JSONL: one line says the file, the line and the column, and the exit code is 2."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.plugins.parameters import ParameterError
from tests.support.recorded_runs import dice
from workloads.parts.requests.columns import NAMES, OF_KIND, OPS, USED
from workloads.request_replay import RequestReplay

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from random import Random

    Row = dict[str, str]

GOOD: list[Row] = [
    {"t_s": "0", "op": "attached", "device": "cold", "kind": "dimm", "size_bytes": "1GiB"},
    {"t_s": "0", "op": "plug", "device": "d", "kind": "dimm", "size_bytes": "1GiB+2GiB",
     "gap_bytes": "128MiB", "slot": "3"},
    {"t_s": "1", "op": "plug", "device": "v, w", "kind": "virtio-mem", "max_bytes": "4GiB", "block_bytes": "4MiB",
     "size_bytes": "0", "unplug_online": "no", "force_bbm": "yes", "bbm_block_bytes": "256MiB", "node": "1"},
    {"t_s": "1", "op": "plug", "device": "x", "kind": "dax", "size_bytes": "2GiB", "address": "0x4000000000",
     "self_host": "yes", "bytes_for_pages": "no"},
    {"t_s": "1.5", "op": "plug", "device": "many", "kind": "dimm", "size_bytes": "1GiB", "count": "4",
     "interval_s": "0.5"},
    {"t_s": "5", "op": "resize", "device": "v, w", "size_bytes": "1GiB"},
    {"t_s": "5", "op": "demand", "device": "l", "kind": "anonymous", "size_bytes": "1000000", "wanted_bytes": "2GiB",
     "node": "1", "turn": "1"},
    {"t_s": "6.000001", "op": "drop-caches", "state": "3"},
    {"t_s": "7", "op": "state", "device": "x", "state": "unplugged"},
    {"t_s": "7.5", "op": "online", "device": "x", "state": "online_movable"},
    {"t_s": "8", "op": "unbind", "device": "x", "note": "anything"},
    {"t_s": "8", "op": "bind", "device": "x"},
    {"t_s": "9", "op": "unplug", "device": "d"},
    {"t_s": "9", "op": "unplug", "device": "nothing", "refused": "yes"},
    {"t_s": "10", "op": "keep", "device": "d"},
    {"t_s": "11", "op": "stop", "turn": "2"},
    {"t_s": "99", "op": "end"},
]  # fmt: skip

IN_X = "256GiB"
"""An address of the device x."""

JUNK = {
    "t_s": ("soon", "-1", "nan", "inf", "1e300", "1,5", "", "0x5", "12:00"),
    "op": ("grow", "", "Plug", "unplug "[:-1] + "ged", "7"),
    "kind": ("", "disk", "DIMM", "5"),
    "size_bytes": ("lots", "-1GiB", "1.5", "4KB/s", "9" * 40, "1GiB+", "nan"),
    "node": ("-1", "1.0", "one", "1025", "9" * 40),
    "address": ("here", "0x", "-1", "1.5", "0x5"),
    "slot": ("-1", "256", "first"),
    "state": ("sideways", "", "4"),
    "turn": ("-1", "x", "1.5"),
    "count": ("0", "257", "many"),
    "interval_s": ("x", "-1"),
    "unplug_online": ("1", "maybe"),
    "block_bytes": ("3MiB", "1KiB", "x"),
    "max_bytes": ("", "0", "x"),
}
SAME = {
    "wanted_bytes": "size_bytes", "gap_bytes": "size_bytes", "bbm_block_bytes": "size_bytes",
    "force_bbm": "unplug_online", "self_host": "unplug_online", "bytes_for_pages": "unplug_online",
    "refused": "unplug_online",
}  # fmt: skip


class Malformed(NamedTuple):
    """A log with one fault: its text, the line, and what has to be named in the fault that is told."""

    kind: str
    text: str
    line: int
    column: str


def malformed(number: int) -> tuple[str, Malformed]:
    """Return the form of log ``number``, and the log."""
    random = dice(number)
    form = random.choice(("csv", "jsonl"))
    rows = [dict(row) for row in GOOD]
    at = random.randrange(len(rows))
    kind = random.choice(("junk", "junk", "not needed", "missing", "order", "history", "structure", "structure"))
    make = {"junk": junk, "not needed": not_needed, "missing": missing, "order": order, "history": history}.get(kind)
    if make is None:
        return form, structure(rows, at, form, random)
    made = make(rows, at, random)
    if made is None:  # this row cannot be wrong in that way
        return malformed(number + (1 << 40))
    at, column = made
    lines = written(rows, form)
    return form, Malformed(kind, "\n".join(lines) + "\n", at + 1 + (form == "csv"), column)


def junk(rows: list[Row], at: int, random: Random) -> tuple[int, str] | None:
    column = random.choice([name for name in rows[at] if name not in ("device", "note")])
    values = JUNK[SAME.get(column, column)]
    if rows[at].get("refused") == "yes" and column not in ("t_s", "op"):
        return None
    if column == "state" and rows[at]["op"] == "drop-caches":
        values = ("4", "all", "-1")
    if column in ("count", "gap_bytes", "wanted_bytes", "block_bytes", "bbm_block_bytes"):
        values = tuple(value for value in values if value)
    if column in ("wanted_bytes", "bbm_block_bytes") or rows[at]["op"] == "demand":
        values = tuple(value for value in values if value != "1.5" or column != "size_bytes")
    if column == "kind" and rows[at]["op"] == "demand":
        values = ("", "disk", "dimm")
    rows[at][column] = random.choice(values)
    return at, column


def not_needed(rows: list[Row], at: int, random: Random) -> tuple[int, str] | None:
    row = rows[at]
    useful = USED[row["op"]] & OF_KIND.get(row.get("kind", ""), frozenset(NAMES))
    column = random.choice(sorted(set(NAMES) - useful - {"refused", "turn"}))
    row[column] = "1"
    return at, column


def missing(rows: list[Row], at: int, random: Random) -> tuple[int, str] | None:
    needed = {"plug": ["kind"], "resize": ["size_bytes"], "demand": ["kind", "size_bytes"]}
    if "device" not in rows[at]:
        return None
    column = random.choice(["device", *needed.get(rows[at]["op"], [])])
    rows[at][column] = ""
    return at, column


def order(rows: list[Row], at: int, random: Random) -> tuple[int, str] | None:
    if at < 5:
        return None
    if at == 6 and random.random() < 0.5:
        rows[7] |= {"t_s": "5", "turn": "0"}
        return 7, "turn"
    rows[at]["t_s"] = "0.5"
    return at, "t_s"


def history(rows: list[Row], _at: int, random: Random) -> tuple[int, str] | None:
    wrong: list[tuple[int, Row, str]] = [
        (4, {"t_s": "1", "op": "plug", "device": "d", "kind": "dimm", "size_bytes": "1GiB"}, "device"),
        (4, {"t_s": "1", "op": "plug", "device": "cold", "kind": "dax", "size_bytes": "1GiB"}, "device"),
        (
            4,
            {"t_s": "1", "op": "plug", "device": "y", "kind": "dimm", "size_bytes": "1GiB", "address": "256GiB"},
            "address",
        ),
        (6, {"t_s": "5", "op": "resize", "device": "v, w", "size_bytes": "5GiB"}, "size_bytes"),
        (6, {"t_s": "5", "op": "resize", "device": "v, w", "size_bytes": "2MiB"}, "size_bytes"),
        (6, {"t_s": "5", "op": "resize", "device": "d", "size_bytes": "1GiB"}, "op"),
        (6, {"t_s": "5", "op": "unplug", "device": "v, w"}, "op"),
        (6, {"t_s": "5", "op": "unplug", "device": "w"}, "device"),
        (6, {"t_s": "5", "op": "bind", "device": "d"}, "op"),
        (8, {"t_s": "7", "op": "demand", "device": "l", "kind": "tmpfs", "size_bytes": "1GiB"}, "kind"),
        (5, {"t_s": "1.6", "op": "unplug", "device": "many3"}, "t_s"),
        (16, {"t_s": "50", "op": "unplug", "device": "d"}, "op"),
        (17, {"t_s": "99", "op": "end"}, "op"),
    ]
    where, row, column = random.choice(wrong)
    rows.insert(where, row)
    return where, column


def structure(rows: list[Row], at: int, form: str, random: Random) -> Malformed:
    lines = written(rows, form)
    line = at + (form == "csv")
    if form == "csv":
        what = random.choice(("field", "quote", "column", "twice"))
        if what == "field":
            lines[line] += ",7"
            return Malformed(what, "\n".join(lines), line + 1, "fields")
        if what == "quote":
            lines[line] = lines[line].replace(",", ',"', 1)
            return Malformed(what, "\n".join(lines), line + 1, "is not a line of CSV")
        name = random.choice(("knid", "t_s"))
        lines[0] = f"{lines[0]},{name}"
        return Malformed(what, "\n".join([lines[0], *(f"{each}," for each in lines[1:])]), 1, name)
    broken = {
        "cut": lines[line][: random.randrange(1, len(lines[line]))],
        "list": "[1, 2]",
        "number": "7",
        "name": lines[line].replace('"op"', '"opp"'),
        "twice": lines[line].replace('"op"', '"t_s": 1, "op"'),
        "nested": lines[line].replace("}", ', "note": [1]}'),
        "nan": lines[line].replace("}", ', "node": NaN}'),
        "deep": "[" * 5_000,
    }
    if at == 0:  # the first line says that it is JSONL
        broken = {name: text for name, text in broken.items() if text.startswith("{")}
    what = random.choice(sorted(broken))
    lines[line] = broken[what]
    return Malformed(
        what, "\n".join(lines), line + 1, {"twice": "t_s", "name": "op", "nested": "note"}.get(what, "JSON object")
    )


def written(rows: Iterable[Row], form: str) -> list[str]:
    """Return the lines of a log, as a person or another program might have written them."""
    if form == "jsonl":
        return [json.dumps(row, ensure_ascii=False) for row in rows]
    return [",".join(NAMES), *(",".join(f'"{field}"' if "," in field else field for field in fields) for fields in (
        [row.get(name, "") for name in NAMES] for row in rows
    ))]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_log_that_is_damaged_here_is_a_good_one(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"log.{form}"
    path.write_text("\n".join(written(GOOD, form)), "utf-8")
    assert {request.op for _, request in RequestReplay(path=str(path)).timeline()} == set(OPS) - {"attached", "end"}


def check(numbers: Iterable[int], folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number in numbers:
        form, log = malformed(number)
        path = folder / f"{number}.{form}"  # of its own: to write over one takes ten times as long
        path.write_text(log.text, "utf-8")
        try:
            RequestReplay(path=str(path))
        except ParameterError as error:
            faults = error.faults
        else:
            pytest.fail(f"log {number} ({log.kind}, {log.column}) is taken: {log.text.splitlines()[log.line - 1]}")
        place = f"path: {path.name}, line {log.line}: "
        assert any(fault.startswith(place) and log.column in fault for fault in faults), (
            number,
            log.kind,
            log.column,
            faults,
        )
        assert all("\n" not in fault and len(fault) < 400 for fault in faults)
        assert all(fault.startswith(f"path: {path.name}") for fault in faults)
        if log.kind in ("junk", "history", "order") and log.column != "op":
            # One thing is wrong, and nothing else is blamed for it.
            assert len({fault.partition(": ")[2].partition(": ")[0] for fault in faults}) == 1, faults
        counts[f"{form} {log.kind}"] += 1
    return counts


def test_a_thousand_malformed_logs_are_told_by_line_and_column(tmp_path: Path) -> None:
    counts = check(range(1000), tmp_path)
    both = {
        f"{form} {kind}" for form in ("csv", "jsonl") for kind in ("junk", "not needed", "missing", "order", "history")
    }
    assert min(counts[kind] for kind in both) > 10


@pytest.mark.slow
def test_ten_thousand_malformed_logs_are_told_by_line_and_column(tmp_path: Path) -> None:
    assert sum(check(range(1000, 11_000), tmp_path).values()) == 10_000


def test_the_command_ends_with_2_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        'machines = [{ boot_memory = "2GiB" }]\npolicies = [{ name = "online-movable" }]\n'
        'workloads = [{ name = "request-replay", path = "log.csv" }]\n',
        "utf-8",
    )
    for number in range(24):
        form, log = malformed(number)
        if form == "csv":
            (tmp_path / "log.csv").write_text(log.text, "utf-8")
            result = CliRunner().invoke(main, ["validate", str(tmp_path / "x.toml")], catch_exceptions=False)
            assert (result.exit_code, result.stdout) == (2, "")
            told = [line for line in result.stderr.splitlines() if f"log.csv, line {log.line}: " in line]
            assert any(log.column in line for line in told), result.stderr
