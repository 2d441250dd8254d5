"""Text as people hand it over: decoded, cleaned of what terminals and mail add, and cut where a command begins.

The number of lines is kept, so that places in messages are those of the file.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_left
from typing import Final, NamedTuple

from sim.faults import Fault, InputError

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_OTHER_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_QUOTED: Final = re.compile(r"^(?:[>|] ?)+", re.MULTILINE)
_COMMANDS: Final = (
    "cat|lsmem|free|dmesg|journalctl|uname|head|tail|grep|egrep|zcat|zgrep|less|more|numactl|ls|echo|virsh|socat|ssh|lscpu"
    "|memhp-sim|chmem|lspci|dmidecode|tee|watch|stress|stress-ng|exit|logout|sleep|daxctl|cxl|ndctl|vmstat|swapon|find"
    "|getconf"
)
_PROMPT: Final = re.compile(
    r"^[ \t]{0,40}(?:"
    rf"[^\n$#%>\u276f]{{0,100}}[$#%>\u276f][ \t]*(?:sudo[ \t]+)?(?:/\S*/)?(?:{_COMMANDS})(?=\s|$|[|;&])"
    r"|\[?[\w.-]{1,40}@[\w.-]{1,80}[ :][^\n$#]{0,80}[$#][ \t]"  # user@host:~$
    r"|\(qemu\)[ \t]"
    r"|==> .{1,200} <==[ \t]*$"  # head and tail of several files
    r").*$",
    re.MULTILINE,
)
_KEPT: Final = re.compile(r"[\s;|&/](?:free|getconf)(?:[ \t]|$)")


def refusal(file: str, *faults: Fault) -> InputError:
    """Return the error for ``file``, whose name is shown in one line whatever is in it."""
    return InputError(file if file.isprintable() else file.encode("unicode_escape").decode(), faults)


class Piece(NamedTuple):
    """A part of a text: of ``file``, as it was named; ``line`` is the number of its first line there."""

    file: str
    text: str
    line: int = 1


class Places:
    """The lines of a text by offsets, as messages write them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ends: list[int] | None = None

    def at(self, offset: int) -> str:
        """Return the line that the character at ``offset`` stands in: ``line 3``."""
        if self._ends is None:
            self._ends = [match.start() for match in re.finditer("\n", self._text)]
        return f"line {bisect_left(self._ends, offset) + 1}"


def clean(data: bytes) -> str:
    """Return ``data`` as text with line feeds as ends of lines, and without colours, control characters, quote signs.

    Never fails: bytes that are no UTF-8 become replacement characters. NUL bytes vanish: ``tar`` adds them to files of
    sysfs, a crash leaves them in logs.
    """
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    text = data.decode(encoding, errors="replace")
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    text = _OTHER_CONTROL.sub("", text)
    if text.startswith((">", "|")) and _is_quoted(text):
        text = _QUOTED.sub("", text)
    return text


def _is_quoted(text: str) -> bool:
    """Return whether nearly all lines begin with a mail's quote sign."""
    lines = [line for line in text[:100_000].split("\n") if line.strip()]
    return sum(line.startswith((">", "|")) for line in lines) * 10 >= 9 * len(lines)


def pieces(whole: Piece) -> list[Piece]:
    """Cut a text at the lines in which a command was typed; the whole of it where there is none.

    The typed lines are in no piece, but for ``free``, whose options say which unit it prints, and ``getconf``, whose
    answer is but a number; nor is what is blank.
    """
    found: list[Piece] = []
    start, line = 0, whole.line
    cuts = [(match.start(), match.end()) for match in _PROMPT.finditer(whole.text)]
    for begin, end in [*cuts, (len(whole.text), len(whole.text))]:
        text = whole.text[start:begin]
        if text.strip():
            found.append(Piece(whole.file, text, line))
        kept = begin if _KEPT.search(whole.text, begin, end) else end + 1
        line += whole.text.count("\n", start, kept)
        start = kept
    return found
