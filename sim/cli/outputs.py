"""Standard output and standard error as the commands write to them: whoever stops reading stops nothing.

A pipe that was closed early swallows what comes after; a full disk or an output that is not there is told of in the
end, once everything is done; and every character is written as what the other side can show. Only the standard
library is loaded: each command waits for this module.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import select
import sys
from typing import TYPE_CHECKING, Final, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer

_PLAIN: Final = {
    "─": "-",
    "│": "|",
    "━": "-",
    "±": "+-",
    "∞": "inf",
    "▲": "+",
    "▼": "-",
    "✓": "v",
    "✗": "x",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "←": "<-",
    "↔": "<->",
    "\N{MULTIPLICATION SIGN}": "x",
    "…": "...",
    "\N{EN DASH}": "-",
    "—": "-",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "·": "-",
    "█": "#",
    "\N{NO-BREAK SPACE}": " ",
}
"""What is written where the other side lacks a character; of any other its number is."""

_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that terminals obey instead of showing them, or that reorder what is shown; not line ends and tabs."""


def harmless(text: str) -> str:
    """Return ``text`` with the numbers of the characters that a terminal would obey, in their place."""
    return _STEERING.sub(_number, text)


def showable(text: str, stream: TextIO | None = None) -> str:
    """Return ``text`` as ``stream`` (by default standard output) can show it, with something like it for the rest.

    Text that is laid out in columns or lines is handed through here first, as what stands for a character may be wider.
    """
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "shows", None) or getattr(stream, "encoding", None) or "utf-8"
    return _encodable(harmless(text), encoding)


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(each if _has(encoding, each) else _PLAIN.get(each) or _numbered(each) for each in text)
    return text


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _number(found: re.Match[str]) -> str:
    return _numbered(found[0])


def _numbered(character: str) -> str:
    """Return ``character`` by its number, as Python writes it: no two labels become alike."""
    return character.encode("unicode_escape").decode()


class _Raw(io.RawIOBase):
    """The bytes of an output, or nothing where it is closed (``raw`` None); ``fault`` is what went wrong first."""

    def __init__(self, raw: io.RawIOBase | None) -> None:
        self._raw = raw
        self.fault: OSError | None = None
        self.ends_the_command = False
        """Whether a pipe that is closed is an error, once."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._raw is None:
            raise io.UnsupportedOperation("fileno")
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw is not None and self._raw.isatty()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be; what cannot counts as written."""
        size = memoryview(data).nbytes
        if self._raw is None:
            self.fault = OSError(errno.EBADF, "it is closed")
        if self._raw is None or self.fault is not None or size == 0:
            return size
        try:
            while (written := self._raw.write(data)) is None:  # of a pipe that does not wait
                select.select([], [self._raw], [])
        except OSError as error:
            self.fault = error
            if self.ends_the_command and self.nobody_reads:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None
            return size
        return written

    @property
    def nobody_reads(self) -> bool:
        """Whether whoever read a pipe has stopped."""
        ends = (errno.EPIPE, errno.EINVAL) if sys.platform == "win32" else (errno.EPIPE,)
        return self.fault is not None and self.fault.errno in ends


class Output(io.TextIOWrapper):
    """Text for standard output or standard error, written as what the other side ``shows``."""

    def __init__(self, raw: _Raw, shows: str, *, line_buffering: bool) -> None:
        # Of plain ASCII other libraries think that it is set by mistake, and write UTF-8.
        encoding = "iso8859-1" if _is_ascii(shows) else shows
        super().__init__(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=line_buffering)
        self.bytes = raw
        self.shows = shows
        self._begun = False

    def write(self, text: str, /) -> int:
        """Write ``text``, none of which steers a terminal."""
        shown = _encodable(harmless(text), self.shows)
        super().write(self._folded(shown) if self.isatty() else shown)
        self._begun = not text.endswith("\n") if text else self._begun
        return len(text)

    def _folded(self, text: str) -> str:
        """Return ``text`` in lines that end at blanks where the terminal would cut words; files get whole lines."""
        columns = self._columns()
        first, *lines = text.split("\n")
        if not columns or all(line.isascii() and len(line) <= columns for line in (first, *lines)):
            return text
        from sim.cli.wrapping import folded

        return "\n".join([first if self._begun else folded(first, columns), *(folded(each, columns) for each in lines)])

    def _columns(self) -> int:
        """Return the columns of the terminal; 0 where nobody knows."""
        told = os.environ.get("COLUMNS", "")
        try:
            return int(told) if told.isdigit() else os.get_terminal_size(self.fileno()).columns
        except OSError:
            return 0

    def write_steering(self, text: str) -> None:
        """Write ``text`` as it is, with what it says to a terminal, such as colours."""
        super().write(_encodable(text, self.shows))


class _Steering:
    """An output as those write to it who mean to steer the terminal."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, text: str) -> int:
        self._output.write_steering(text)
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._output, name)


def steering(stream: TextIO) -> TextIO:
    """Return ``stream`` for those whose own text steers the terminal, with colours, or a line that is written over.

    They see to it that what others wrote is :func:`harmless`.
    """
    return cast("TextIO", _Steering(stream)) if isinstance(stream, Output) else stream


def _is_ascii(encoding: str) -> bool:
    return not _has(encoding, "\x80") and not _has(encoding, "é") and not _has(encoding, "─")


@contextlib.contextmanager
def outputs() -> Iterator[None]:
    """Write to both outputs through :class:`Output`, and in the end leave with a code that is not 0 where that failed.

    Outputs that somebody else has put in place are left alone, as in a notebook or a test. Raises SystemExit.
    """
    before = sys.stdout, sys.stderr
    _fill_what_is_closed()
    made = [_output(stream) for stream in before]
    sys.stdout, sys.stderr = (new or old for new, old in zip(made, before, strict=True))
    code: int | str | None = 0
    try:
        yield
    except SystemExit as end:
        code = end.code
        raise
    finally:
        for each in made:
            if each is not None:
                each.flush()
        fault = None if made[0] is None or made[0].bytes.nobody_reads else made[0].bytes.fault
        if fault is not None:
            print(f"Error: standard output: {fault.strerror}", file=sys.stderr, flush=True)  # noqa: T201
        sys.stdout, sys.stderr = before
        if fault is not None and not code:
            raise SystemExit(_UNWRITTEN)


_UNWRITTEN: Final = 2
"""The exit code where standard output could not be written: what it is was the user's choice."""


def _output(stream: TextIO | None) -> Output | None:
    """Return what writes to ``stream`` instead; None where it was made by somebody else."""
    if stream is None:
        return Output(_Raw(None), "utf-8", line_buffering=False)
    buffer = getattr(stream, "buffer", None)
    raw = buffer if isinstance(buffer, io.RawIOBase) else getattr(buffer, "raw", None)
    if type(stream) is not io.TextIOWrapper or not isinstance(raw, io.RawIOBase):
        return None
    with contextlib.suppress(OSError):
        stream.flush()
    shows = "ascii" if stream.isatty() and _plain_locale(os.environ) else stream.encoding
    return Output(_Raw(raw), shows, line_buffering=stream.line_buffering)


def _plain_locale(environment: os._Environ[str]) -> bool:
    """Whether somebody asks for the locale C by name, in which Python writes UTF-8 all the same."""
    if not sys.flags.utf8_mode or {"PYTHONUTF8", "PYTHONIOENCODING"} & environment.keys():
        return False
    # Python itself sets LC_CTYPE to C.UTF-8 in the locale C.
    names = (environment.get("LC_ALL"), environment.get("LC_CTYPE", "").replace("C.UTF-8", ""), environment.get("LANG"))
    return next(filter(None, names), "") in ("C", "POSIX")


def _fill_what_is_closed() -> None:
    """Have the numbers 0 to 2 taken: a file of results that gets one of them would be printed into."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004  as every process has them
        pass
    os.close(number)


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has stopped."""
    return isinstance(sys.stdout, Output) and sys.stdout.bytes.nobody_reads


@contextlib.contextmanager
def ended_where_nobody_reads() -> Iterator[None]:
    """Raise BrokenPipeError inside the body where a pipe is closed: nothing but text for it would come.

    Everywhere else the command goes on, as what it writes to files, and its exit code, are wanted all the same.
    """
    raw = sys.stdout.bytes if isinstance(sys.stdout, Output) else None
    if raw is None:
        yield
        return
    raw.ends_the_command = True
    try:
        if raw.nobody_reads:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        yield
    finally:
        raw.ends_the_command = False
