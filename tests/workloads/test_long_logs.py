"""Logs of very many rows: the short way to read them says what the long one says, in little room, and tells of it."""

from __future__ import annotations

import io
import json
import random
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from sim import progress
from sim.cli.reading_progress import ReadingProgress
from sim.plugins.parameters import ParameterError
from workloads.parts.requests import log as logs
from workloads.parts.requests.kept import KeptRequests
from workloads.parts.requests.quick import QuickRows
from workloads.parts.requests.request import Request
from workloads.request_replay import RequestReplay

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("t_s", "op", "device", "kind", "size_bytes", "max_bytes", "wanted_bytes", "turn", "refused", "note")
JUNK = (
    "",
    "-1",
    "nan",
    "1e400",
    "9" * 400,
    "x",
    "plug",
    "vmem1",
    "anonymous",
    "kernel",
    "1GiB",
    "3",
    "0",
    "7.5",
    "yes",
)


def random_log(dice: random.Random, rows: int) -> list[dict[str, str]]:
    """Return rows, nearly all of them sound."""
    found = [
        {"t_s": "0", "op": "plug", "device": "vmem0", "kind": "virtio-mem", "max_bytes": "1GiB", "size_bytes": "0"}
    ]
    at = 0.0
    for _ in range(rows):
        at += dice.choice((0, 0, 0.5, 1))
        blocks = dice.randrange(513)
        row = {"t_s": f"{at}", "op": "resize", "device": "vmem0", "size_bytes": str(2097152 * blocks)}
        if dice.random() < 0.5:
            device = dice.choice("abc")
            kind = "anonymous" if device != "c" else "processes"
            row = {"t_s": f"{at}", "op": "demand", "device": device, "kind": kind, "size_bytes": str(blocks)}
        if dice.random() < 0.1:
            row["turn"] = str(dice.randrange(3))
        if dice.random() < 0.1:
            row["note"] = "said"
        found.append(row)
    return found


def written(path: Path, rows: list[dict[str, str]], form: str) -> Path:
    if form == "csv":
        lines = [",".join(COLUMNS), *(",".join(row.get(name, "") for name in COLUMNS) for row in rows)]
    else:
        lines = [json.dumps({key: _number(value) for key, value in row.items()}) for row in rows]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _number(text: str) -> object:
    return int(text) if text.isdecimal() and len(text) < 300 else text


def outcome(path: Path) -> object:
    """Return what is read, or all that is wrong."""
    try:
        log = logs.read_request_log(path)
    except ParameterError as error:
        return error.faults
    return list(log.requests), log.stop, log.end_us


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_short_way_says_what_the_long_one_says(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(7)  # noqa: S311  nothing is kept secret
    faulty = quick = 0
    taken: list[object] = []
    add = KeptRequests.add

    def noted(self: KeptRequests, *given: Any) -> None:  # noqa: ANN401  what it takes
        taken.append(given)
        add(self, *given)

    monkeypatch.setattr(KeptRequests, "add", noted)
    for number in range(150):
        rows = random_log(dice, 30)
        for _ in range(dice.randrange(3)):
            dice.choice(rows)[dice.choice(COLUMNS)] = dice.choice(JUNK)
        path = written(tmp_path / f"{number}.{form}", rows, form)
        before = len(taken)
        short = outcome(path)
        quick += len(taken) - before
        with monkeypatch.context() as patch:
            patch.setattr(QuickRows, "take_fields", lambda *_: False)
            patch.setattr(QuickRows, "take_object", lambda *_: False)
            assert outcome(path) == short
        faulty += isinstance(short, tuple) and isinstance(short[0], str)
    assert faulty > 20
    assert quick > 2000


def test_kept_requests_are_the_requests(tmp_path: Path) -> None:
    del tmp_path
    requests = [
        Request(5, "resize", "v", size=7),
        Request(3, "demand", "l", kind="anonymous", size=1 << 70, wanted=3, turn=1),
        Request(3, "unplug", "d", turn=0),
    ]
    kept = KeptRequests(requests)
    kept.add(3, "demand", "l", "anonymous", 9)
    assert kept[-1] == Request(3, "demand", "l", kind="anonymous", size=9)
    assert kept[1:3] == requests[1:3]
    faster = kept.faster(0.5, ("demand",))
    kept.sort()
    assert list(kept) == [requests[2], Request(3, "demand", "l", kind="anonymous", size=9), requests[1], requests[0]]
    assert [(each.t_us, each.op) for each in faster] == [(3, "demand"), (3, "demand"), (6, "unplug"), (10, "resize")]
    assert kept != requests
    assert kept == KeptRequests(list(kept))


def test_a_long_log_takes_little_room_and_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40,000 rows: as objects they were 250 bytes each and more, and the text of all of them beside."""
    rows = 40_000
    lines = ["t_s,op,device,kind,size_bytes", *(f"{at / 100},demand,app,anonymous,{at * 4096}" for at in range(rows))]
    path = tmp_path / "long.csv"
    path.write_text("\n".join(lines), "utf-8")
    monkeypatch.setattr("sim.traces.content.settled", lambda _: True)
    told = []

    tracemalloc.start()
    with progress.told_to(lambda *what: told.append(what)):
        replay = RequestReplay(path=str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(1 for _ in replay.timeline()) == rows
    assert peak < 100 * rows + (4 << 20)
    size = path.stat().st_size
    assert told == [("long.csv", min(at, size), size) for at in range(1 << 20, size + (1 << 20), 1 << 20)]
    monkeypatch.setattr(logs, "_read", None)  # not even looked at again
    assert RequestReplay(path=str(path)).duration() == replay.duration()


@pytest.mark.slow
def test_a_log_of_a_million_rows_takes_seconds(tmp_path: Path) -> None:
    """It took 14 s of CPU time as CSV, 27 s as JSONL."""
    for form, limit in (("csv", 8), ("jsonl", 12)):
        path = tmp_path / f"log.{form}"
        with path.open("w", encoding="utf-8") as file:
            file.write("t_s,op,device,kind,size_bytes\n" if form == "csv" else "")
            for at in range(1_000_000):
                row = {"t_s": at / 100, "op": "demand", "device": "app", "kind": "anonymous", "size_bytes": at * 4096}
                file.write((",".join(map(str, row.values())) if form == "csv" else json.dumps(row)) + "\n")
        before = time.process_time()
        assert len(logs.read_request_log(path).requests) == 1_000_000
        assert time.process_time() - before < limit


def test_after_two_seconds_it_is_shown_how_much_was_read_and_taken_away_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("sim.cli.reading_progress.time.monotonic", lambda: clock[0])
    terminal = io.StringIO()
    shown = ReadingProgress(terminal)
    for at, done in ((0.0, 1), (1.9, 30), (2.5, 45), (2.55, 46), (2.7, 50), (3.0, 100)):
        clock[0] = at
        shown("log.csv", done, 100)
    erased = "\r\033[K"
    assert terminal.getvalue() == f"{erased}Reading log.csv: 45 %{erased}Reading log.csv: 50 %{erased}"


@pytest.mark.parametrize(
    "content", [b"t_s,op,device\n0,plug,\0\n", b"x" * (3 << 20), b"\0" * (3 << 20)], ids=["nul", "line", "nuls"]
)
def test_what_is_no_text_of_lines_is_refused_at_once(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with path.open("ab") as file:
        file.truncate(8 << 30)  # a sparse file of 8 GiB
    start = time.process_time()
    with pytest.raises(ParameterError, match=r"zero bytes? near|line of over"):
        RequestReplay(path=str(path))
    assert time.process_time() - start < 2
