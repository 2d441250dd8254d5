"""Runs commands with real files, pipes and terminals as their outputs, mostly without a process for each."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import termios
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Done(NamedTuple):
    """What a command left: its exit ``code``, and both outputs, empty where they went elsewhere."""

    code: int
    out: bytes
    errors: bytes


def run(
    arguments: Sequence[object],
    folder: Path,
    *,
    encoding: str = "utf-8",
    stdout: int | None = None,
    stderr: int | None = None,
) -> Done:
    """Run the command line in ``folder``, its outputs the descriptors ``stdout`` and ``stderr``, or files."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors, contextlib.chdir(folder):
        with (
            _instead(1, out.fileno() if stdout is None else stdout, encoding),
            _instead(2, errors.fileno() if stderr is None else stderr, encoding),
        ):
            try:
                main([str(each) for each in arguments], prog_name="memhp-sim")
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
        out.seek(0)
        errors.seek(0)
        return Done(code, out.read(), errors.read())


def shown(arguments: Sequence[object], folder: Path, columns: int, *, encoding: str = "utf-8") -> tuple[int, str]:
    """Return the exit code of a command line, and what it writes on a terminal of so many ``columns``."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    os.set_blocking(leader, False)
    written: list[bytes] = []

    over = threading.Event()

    def read() -> None:
        # Not until the other side is closed everywhere: servers of processes that were started keep it open.
        while select.select([leader], [], [], 0 if over.is_set() else 0.02)[0] or not over.is_set():
            with contextlib.suppress(BlockingIOError):
                written.append(os.read(leader, 65536))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        code = run(arguments, folder, encoding=encoding, stdout=follower, stderr=follower).code
    finally:
        over.set()
        reader.join()
        os.close(follower)
        os.close(leader)
    return code, b"".join(written).decode(encoding).replace("\r\n", "\n")


STEERING: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What the console says to the terminal itself."""


@contextlib.contextmanager
def _instead(number: int, descriptor: int, encoding: str) -> Iterator[None]:
    """Have the output of this ``number`` be ``descriptor``, as Python makes it at its start."""
    name = {1: "stdout", 2: "stderr"}[number]
    before, kept = getattr(sys, name), os.dup(number)
    before.flush()
    os.dup2(descriptor, number)
    made = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(number, "w", closefd=False)),
        encoding,
        "strict" if number == 1 else "backslashreplace",
        line_buffering=os.isatty(number),
    )
    setattr(sys, name, made)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # as at Python's end, whatever is left; a test sees it in the files
            made.flush()
        made.detach()
        setattr(sys, name, before)
        os.dup2(kept, number)
        os.close(kept)


def sealed() -> int:
    """Return a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def on_terminal(command: Sequence[str], folder: Path, environment: dict[str, str], columns: int = 80) -> bytes:
    """Run ``command`` on a terminal of so many ``columns`` with no more of an environment, and return what it wrote."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", **environment}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
    ):
        os.close(follower)
        written = b""
        with contextlib.suppress(OSError):  # EIO: all who had the terminal open have ended
            while part := os.read(leader, 65536):
                written += part
    os.close(leader)
    return written.replace(b"\r\n", b"\n")
