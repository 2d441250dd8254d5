"""Traces that are malformed, each by its number, the same every time, with what the message has to say of it."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from sim.faults import shown
from tests.traces.made import parquet_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS: Final = ("--time", "t", "--series", "vm", "--user", "use:1MiB")
PROMETHEUS: Final = ("--series", "vm", "--user", "value:1MiB")

BAD_AMOUNTS: Final = (
    "abc", "-1", "1e999", "inf", "NaN", "null", "0x10", "12 MiB", "1_000", "2026-11-26", "1e30", "\uff11", "--",
    "1.2.3", "true", "9" * 100, "x" * 5000, "'5'", "5 6", "+", ".", "e5", "\u221e", "1;5", "-0.001", "99999999999999",
)  # fmt: skip
BAD_TIMES: Final = (
    "",
    "abc",
    "inf",
    "NaN",
    "1e999",
    "2026-11-26T16:00",
    "12:30",
    "0x1",
    "1e300",
    "x" * 5000,
    "5 s",
    "--",
)


@dataclass(frozen=True)
class Malformed:
    """A file, the options that map its columns, and what one line of the message must hold; nothing: anything goes.

    ``surely``: the file cannot be taken for a good one.
    """

    data: bytes
    options: tuple[str, ...]
    says: tuple[str, ...]
    surely: bool = True


def _rows(draw: random.Random) -> list[list[str]]:
    names = [f"vm{number}" for number in range(draw.randint(1, 4))]
    times = dict.fromkeys(names, draw.choice((0.0, 1.4e9)))
    rows = []
    for _ in range(draw.randint(3, 40)):
        name = draw.choice(names)
        times[name] += draw.randint(1, 600)
        rows.append(
            [name, f"{times[name]:g}" if times[name] < 1e5 else f"{times[name]:.0f}", str(draw.randint(0, 9000))]
        )
    return rows


def _text(rows: list[list[str]], header: str = "vm,t,use", *, end: str = "\n", comma: str = ",") -> str:
    return end.join([header.replace(",", comma), *(comma.join(row) for row in rows), ""])


def _packed(draw: random.Random, data: bytes) -> bytes:
    return gzip.compress(data, mtime=0) if draw.random() < 0.3 else data


def _bad_cell(draw: random.Random) -> Malformed:
    rows = _rows(draw)
    row, column = draw.randrange(len(rows)), draw.choice((1, 2))
    bad = draw.choice(BAD_TIMES if column == 1 else BAD_AMOUNTS)
    rows[row][column] = bad
    name = ("vm", "t", "use")[column]
    comments = ["# taken by hand"] * draw.randint(0, 2)
    data = "\n".join([*comments, _text(rows)]).encode()
    where = f"trace: row {row + 1} (line {row + 2 + len(comments)}), column {name}: must be "
    return Malformed(
        _packed(draw, data), OPTIONS, (where if bad[:1] != "-" else where[:-3], shown(bad) if bad else "empty")
    )


def _fields(draw: random.Random) -> Malformed:
    rows = _rows(draw)
    row = draw.randrange(len(rows))
    if draw.random() < 0.5:
        rows[row].append("7")
    else:
        rows[row].pop()
    says = f"row {row + 1} (line {row + 2}): has {len(rows[row])} fields, but there are 3 columns"
    return Malformed(_packed(draw, _text(rows).encode()), OPTIONS, (says,))


def _no_name(draw: random.Random) -> Malformed:
    rows = _rows(draw)
    row = draw.randrange(len(rows))
    rows[row][0] = draw.choice(("", " ", '""'))
    return Malformed(
        _text(rows).encode(), OPTIONS, (f"row {row + 1} (line {row + 2}), column vm: must name the series",)
    )


def _time_falls(draw: random.Random) -> Malformed:
    rows = _rows(draw)
    row = draw.randrange(len(rows) - 1)
    again = [rows[row][0], f"{float(rows[row][1]) - 0.5!r}", "5"]
    rows.insert(row + 1, again)
    says = f"row {row + 2} (line {row + 3}), column t: must not be before the sample above of series '{again[0]}'"
    return Malformed(_packed(draw, _text(rows).encode()), OPTIONS, (says, "sort the rows"))


def _header(draw: random.Random) -> Malformed:
    rows = _rows(draw)
    header, says = draw.choice(
        (
            ("vm,t,used", ("line 1: unknown column 'use'; did you mean 'used'?",)),
            ("vm,time,use", ("line 1: unknown column 't'", "time")),
            ("vm,t,t", ("line 1: there are 2 columns 't'",)),
            ("1,2,3", ("line 1: must name the columns, but is '1,2,3'",)),
            (",,", ("line 1: must name the columns",)),
            ('"vm,t,use', ("line 1: is not a line of CSV",)),
        )
    )
    return Malformed(_text(rows, header).encode(), OPTIONS, says)


def _dialect(draw: random.Random) -> Malformed:
    comma, name = draw.choice(((";", "semicolon"), ("\t", "tab"), ("|", "bar")))
    end = draw.choice(("\n", "\r\n", "\r"))
    bom = draw.choice((b"", b"\xef\xbb\xbf"))
    data = bom + _text(_rows(draw), end=end, comma=comma).encode()
    return Malformed(_packed(draw, data), OPTIONS, (f"line 1: its fields are separated by {shown(comma)}", f"'{name}'"))


def _encoding(draw: random.Random) -> Malformed:
    rows = _rows(draw)
    row = draw.randrange(len(rows))
    text = _text(rows)
    which = draw.randrange(3)
    if which == 0:
        return Malformed(text.encode("utf-16"), OPTIONS, ("line 1: is text in UTF-16; save it as UTF-8",))
    rows[row][0] += "\xe4" if which == 1 else "\0"
    says = "is no text in UTF-8 (its byte" if which == 1 else "holds a zero byte"
    return Malformed(_text(rows).encode("latin-1"), OPTIONS, (f"line {row + 2}: {says}",))


def _cut_short(draw: random.Random) -> Malformed:
    data = gzip.compress(_text(_rows(draw)).encode(), mtime=0)
    return Malformed(data[: draw.randrange(12, len(data) - 8)], OPTIONS, ("is a gzip file that is cut short",))


@cache
def _others() -> tuple[tuple[bytes, str], ...]:
    return (
        (b"", "is empty; its first line must name the columns"),
        (b"vm,t,use\n", "holds no rows but the names of the columns"),
        (b"# only a comment\n\n", "is empty"),
        (b"BZh91AY", "is compressed with bzip2"),
        (b"\xfd7zXZ\x00\x00", "is compressed with xz"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "is a zstd file that is damaged or cut short"),
        (gzip.compress(bytes(100 << 20), mtime=0), "holds a zero byte"),
        (b"vm,t,use\n" + b"5" * (3 << 20), "is longer than 1,048,576 bytes"),
        (gzip.compress(b"vm,t,use\n" + b"," * (100 << 20), mtime=0), "is longer than 1,048,576 bytes"),
    )


def _something_else(draw: random.Random) -> Malformed:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("trace.csv", _text(_rows(draw)))
    data, says = draw.choice(((archive.getvalue(), "is a ZIP archive"), *_others()))
    return Malformed(data, OPTIONS, (says,))


def _table(draw: random.Random) -> dict[str, Any]:
    rows = _rows(draw)
    return {"vm": [row[0] for row in rows], "t": [float(row[1]) for row in rows], "use": [int(row[2]) for row in rows]}


def _parquet(draw: random.Random) -> Malformed:
    table = _table(draw)
    row = draw.randrange(1, len(table["t"]))
    which = draw.randrange(6)
    if which == 0:
        table["use"] = [str(each) for each in table["use"]]
        return Malformed(parquet_bytes(table), OPTIONS, ("column use: must hold numbers, but holds string",))
    if which == 1:
        table["used"] = table.pop("use")
        return Malformed(parquet_bytes(table), OPTIONS, ("unknown column 'use'; did you mean 'used'?",))
    if which == 2:
        table["use"][row] = -5
        return Malformed(parquet_bytes(table), OPTIONS, (f"row {row + 1}, column use: must not be negative",))
    if which == 3:
        table["t"] = pa.array([None if at == row else t for at, t in enumerate(table["t"])], pa.float64())
        return Malformed(parquet_bytes(table), OPTIONS, (f"row {row + 1}, column t: must be a number, but is empty",))
    if which == 4:
        table["vm"] = [table["vm"][0]] * len(table["t"])
        table["t"] = sorted(table["t"])
        table["t"][row] = table["t"][row - 1] - 1
        return Malformed(parquet_bytes(table), OPTIONS, (f"row {row + 1}, column t: must not be before",))
    data = parquet_bytes(table)
    return Malformed(data[: draw.randrange(4, len(data))], OPTIONS, ("is a Parquet file that is damaged or cut short",))


def _answer(draw: random.Random) -> dict[str, Any]:
    result = [
        {
            "metric": {"vm": f"vm{number}"},
            "values": [[1.4e9 + 15 * at, str(draw.randint(0, 9000))] for at in range(draw.randint(2, 20))],
        }
        for number in range(draw.randint(1, 3))
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def _prometheus(draw: random.Random) -> Malformed:
    answer = _answer(draw)
    result = answer["data"]["result"]
    number = draw.randrange(len(result))
    values = result[number]["values"]
    at = draw.randrange(1, len(values))
    here = f"result {number + 1}, value {at + 1}, column value: "
    which = draw.randrange(7)
    says: str
    if which == 0:
        values[at][1] = draw.choice(("abc", "-1", "+Inf", "1e999", ""))
        says = here
    elif which == 1:
        values[at][0] = draw.choice((values[at - 1][0] - 1, -1))
        says = f"{here}must not be before the value above"
    elif which == 2:
        values[at] = draw.choice(([], [1], [1, "2", "3"], [None, "1"], ["1.4e9", "1"]))
        says = f"{here}must be a pair of time and value"
    elif which == 3:
        result[number]["metric"] = draw.choice(({}, {"pod": "a"}))
        says = f"result {number + 1}: has no label 'vm'"
    elif which == 4:
        answer["data"]["resultType"] = draw.choice(("vector", "scalar", "streams"))
        says = "ask /api/v1/query_range"
    elif which == 5:
        return Malformed(b'{"a":' * 5000 + b"1", PROMETHEUS, ("is JSON in over 32 levels",))
    else:
        text = json.dumps(answer).encode()
        return Malformed(text[: draw.randrange(1, len(text))], PROMETHEUS, ("trace: ",))
    return Malformed(json.dumps(answer).encode(), PROMETHEUS, (says,))


def _scribbled(draw: random.Random) -> Malformed:
    """Change bytes anywhere in a file of any format: it may even still be a good one."""
    kind = draw.randrange(4)
    options = PROMETHEUS if kind == 3 else OPTIONS
    if kind == 0:
        data = _text(_rows(draw)).encode()
    elif kind == 1:
        data = gzip.compress(_text(_rows(draw)).encode(), mtime=0)
    elif kind == 2:
        data = parquet_bytes(_table(draw))
    else:
        data = json.dumps(_answer(draw)).encode()
    scribbled = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        place = draw.randrange(len(scribbled))
        change = draw.randrange(3)
        if change == 0:
            scribbled[place] = draw.choice((0, 10, 13, 34, 44, 255, draw.randrange(256)))
        elif change == 1:
            del scribbled[place : place + draw.randint(1, 9)]
        else:
            scribbled[place:place] = draw.choice((b",", b'"', b"\n", b"\r", b"[", b"}", b"NaN", b"\xff\xfe", bytes(9)))
        scribbled = scribbled or bytearray(b"x")
    return Malformed(bytes(scribbled), options, (), surely=False)


KINDS: Final[tuple[Callable[[random.Random], Malformed], ...]] = (
    *(_bad_cell, _bad_cell, _bad_cell, _fields, _no_name, _time_falls, _header, _dialect, _encoding, _cut_short),
    *(_something_else, _parquet, _parquet, _prometheus, _prometheus, _scribbled, _scribbled, _scribbled, _scribbled),
)


def malformed(number: int) -> Malformed:
    """Return malformed trace ``number``."""
    return KINDS[number % len(KINDS)](random.Random(number))  # noqa: S311  the same every time is what is wanted


def scribbled_text(number: int) -> bytes:
    """Return CSV in which few bytes were changed, often by what still may be a good file."""
    draw = random.Random(number)  # noqa: S311  as above
    data = bytearray(_text(_rows(draw)).encode())
    for _ in range(draw.randint(0, 2)):
        place = draw.randrange(len(data))
        data[place:place] = draw.choice(
            (
                b"0",
                b" ",
                b'"',
                b"\n",
                b"#",
                b"\n# a, b, c\n",
                b"-",
                b"+",
                b".",
                b"e1",
                b",",
                b"NaN",
                b"\xc3\xa4",
                b"\n\n",
                b"\t",
            )
        )
    return bytes(data)
