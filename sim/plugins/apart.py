"""A question about a plug-in answered in a process of its own, which may never end, or end without a word.

What the process is asked and what it answers is JSON; where strings are kept in sets, their order is that of the hash
seed that it is given.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_LOOKS: Final = 24
"""How often in its time it is noted where a process is."""

_START_S: Final = 60.0
"""Seconds that a process may take to start."""

_LOOK_AGAIN_S: Final = 0.05
_AT_WORK: Final = "at-work"
"""The file that says since when a process is at work."""

_SHOWN_LINES: Final = 3
_SEEN: Final = "seen"
"""The file that says where in the code that is blamed a process was, a line for each look."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process answered: ``value``; or None, and ``why`` in words."""

    value: Any
    why: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """``asked`` of the module's :func:`answer_in_process`, in a process with this ``hash_seed``."""

    asked: Mapping[str, Any]
    hash_seed: int


def ask_apart(module: str, questions: Sequence[Question], limit: float, blame: str) -> list[Answer]:
    """Have ``module``, run as a program, answer each question in a process of its own, all at the same time.

    ``limit`` is in seconds. Of one that is stopped the words say where in the file of the name ``blame`` it was seen
    most often, if anywhere.
    """
    with tempfile.TemporaryDirectory(prefix="memhp-sim-") as folder, contextlib.ExitStack() as ends:
        running = [
            (
                ends.enter_context(_started(module, each, Path(folder, str(number)), limit / _LOOKS, blame)),
                Path(folder, str(number)),
            )
            for number, each in enumerate(questions)
        ]
        answers = []
        for process, place in running:
            _wait(process, place, limit)
            status = process.poll()
            process.kill()  # so that what it says is whole
            process.wait()
            answers.append(_answer(status, place, limit))
        return answers


def _wait(process: subprocess.Popen[str], place: Path, limit: float) -> None:
    """Wait until a process has ended, or has been at work for longer than ``limit``: its start does not count."""
    begun = time.monotonic()
    at_work: float | None = None
    while time.monotonic() - (at_work or begun) < (limit if at_work else max(limit, _START_S)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_AGAIN_S)
            return
        if at_work is None and (place / _AT_WORK).exists():
            at_work = (place / _AT_WORK).stat().st_mtime - time.time() + time.monotonic()


@contextlib.contextmanager
def _started(module: str, question: Question, place: Path, every: float, blame: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process; it is gone when the body is left, however that is."""
    place.mkdir()
    # As this process finds modules, and not what lies where it was started.
    path = os.pathsep.join(each for each in sys.path if each)
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(question.hash_seed)}
    with (place / "said").open("w") as said:
        process = subprocess.Popen(  # noqa: S603  this very interpreter, and a module of the program
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=environment,
            text=True,
        )
    try:
        with contextlib.suppress(BrokenPipeError), process.stdin as asked:  # type: ignore[union-attr]  # a pipe
            json.dump({"place": str(place), "every": every, "blame": blame, "asked": question.asked}, asked)
        yield process
    finally:
        process.kill()
        process.wait()


def _answer(status: int | None, place: Path, limit: float) -> Answer:
    if (place / "answer").exists():
        return Answer(json.loads((place / "answer").read_text("utf-8")))
    said = (place / "said").read_text("utf-8", errors="replace").splitlines()
    if status is None:
        at = _place(place / _SEEN)
        return Answer(None, f"was not done after {limit:g} seconds{f', and was seen {at}' if at else ''}")
    last = " ".join(" ".join(said[-_SHOWN_LINES:]).split())
    return Answer(None, f"ended its process, with status {status}{f': {last}' if last else ''}")


def _place(seen: Path) -> str:
    """Return where a process was seen most often; empty where it was seen nowhere."""
    places = Counter(seen.read_text("utf-8").splitlines()) if seen.exists() else Counter[str]()
    return places.most_common(1)[0][0] if places else ""


def answer_in_process(handle: Callable[[Mapping[str, Any]], Any]) -> None:
    """Answer the question that this process was started for by what ``handle`` makes of it."""
    question = json.load(sys.stdin)
    place = Path(question["place"])
    # Not faulthandler's own thread: it looks at frames while they change, and may end the process by that.
    looks = threading.Thread(target=_look, args=(place / _SEEN, question["every"], question["blame"]), daemon=True)
    looks.start()
    (place / _AT_WORK).touch()
    answer = json.dumps(handle(question["asked"]))
    unfinished = place / "unfinished"
    unfinished.write_text(answer, "utf-8")
    unfinished.rename(place / "answer")


def _look(seen: Path, every: float, blame: str) -> None:
    """Write down again and again where in the file ``blame`` the main thread is, if it is there."""
    main = threading.main_thread().ident
    while True:
        time.sleep(every)
        frame = sys._current_frames().get(main or 0)  # noqa: SLF001  there is no other way to another thread
        while frame is not None and Path(frame.f_code.co_filename).name != blame:
            frame = frame.f_back
        if frame is not None:
            with seen.open("a", encoding="utf-8") as lines:
                lines.write(f"in line {frame.f_lineno} of {blame}, {frame.f_code.co_name}()\n")
