"""The text of an experiment to start from: its tables, and beside each line what it means."""

from __future__ import annotations

import shlex
import textwrap
from typing import TYPE_CHECKING, Any, Final

from sim.toml_text import in_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_WIDTH: Final = 118
_COLUMN: Final = 34
"""Where remarks stand beside lines that are short enough."""

MEANINGS: Final[Mapping[str, str]] = {
    # of the experiment
    "seed": "of all that is random; the same seed gives the same bytes",
    "baseline": "what the other policies are compared with",
    # of a machine
    "boot_memory": "memory that is there when it boots; all else is plugged",
    "nodes": "NUMA nodes, each with its memory at boot",
    "kernel": "its Linux; rules of hotplug differ between versions",
    "max_memory": "the most that its host lets it have",
    "slots": "for DIMMs",
    "max_ram_below_4g": "where its host puts memory: the gap for devices begins there",
    "architecture": "what its kernel is built for",
    "cmdline": "what its kernel is told",
    "cold_devices": "devices that are there at boot and stay",
    "block_size": "what memory goes online and offline by",
    "page_size": "of its kernel",
    # of a guest
    "model": "a Linux guest: page tables, page cache, memmap, the out-of-memory killer",
    "as": "what free or /proc/meminfo say of it: MemTotal, and what an idle system uses",
    "draw": "each replication draws what guests differ in, the same for all policies",
    "sample_every": "seconds between samples of its memory, for plots",
    # of a demand trace
    "path": "the recorded demand; a path is seen from this file",
    "columns": "which column is what (docs/demand-traces.md)",
    "includes_system": "what is called used has the system's own memory in it",
    "rate": "bytes per second at which demand grows from one sample to the next",
    "tick": "seconds between two steps of such growth",
    "start": "seconds from a series' first sample: from when it is played ...",
    "end": "... and until when; delete both lines to play all of it",
    "restart": "seconds until a program that was killed is started again",
    "restart_most": "seconds, after several kills",
    # of made-up programs
    "shape": "they come and go, at random",
    "size": "the most that they use",
    "kernel_share": "part of it that is the kernel's, mostly page tables",
    "cache_share": "part of it that is page cache",
    "burst_gap": "seconds between two rushes, on average",
    "burst_length": "seconds that one lasts, on average",
    "duration": "seconds",
    # of controllers
    "device": "the virtio-mem device",
    "maximum": "its largest size",
    "device_block": "by which it is plugged and unplugged",
    "node": "its NUMA node",
    "low": "it grows when less than this of the guest's memory is available ...",
    "target": "... to where about so much is ...",
    "high": "... and is shrunk when more than this is",
    "low_share": "one more is plugged when less than this share of memory is available",
    "hold": "none is asked back sooner than this after its plug, seconds",
    "sizes": "of the DIMMs",
    "cards": "number of cards",
    "period": "seconds between two looks at the guest",
    "shrink_step": "most that is asked back at a time; 0: no limit",
}
"""What keys mean, in a line each; others say it themselves."""

STEP_OF_CONTROLLER: Final = "sizes are multiples of this"
STEP_OF_LOAD: Final = "amounts are multiples of this"

Entry = tuple[str, Any, str]
"""A key, its value, and the remark beside it (empty: none)."""


def entries(table: Mapping[str, Any], **others: str) -> list[Entry]:
    """Return the lines of a ``table``; ``others`` are remarks in place of the usual ones."""
    return [(key, value, others.get(key, MEANINGS.get(key, ""))) for key, value in table.items()]


def table_text(header: str, lines: Iterable[Entry]) -> str:
    """Return a table of TOML under its ``header`` (``[guest]``; empty: none), each line with its remark."""
    return "\n".join([*([header] if header else []), *(line for entry in lines for line in _line(*entry))]) + "\n"


def _line(key: str, value: Any, remark: str) -> Iterator[str]:  # noqa: ANN401  whatever TOML can hold
    line = f"{key} = {in_toml(value)}"
    if not remark:
        yield line
    elif len(beside := f"{line:<{_COLUMN}}# {remark}") <= _WIDTH:
        yield beside
    else:
        yield from comment(remark)
        yield line


def typed(file: Path) -> str:
    """Return ``file`` as a word of a command: quoted for a shell, and never taken for an option."""
    return shlex.quote(f"./{file}" if str(file).startswith("-") else str(file))


def comment(text: str, *, indent: str = "") -> list[str]:
    """Return ``text`` as lines of a comment; what would not print is escaped."""
    plain = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    wrapped = textwrap.wrap(plain, _WIDTH - 2, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
    return [f"# {line}" for line in wrapped] or ["#"]


def heading(title: str) -> str:
    """Return the line over a part of the file."""
    return f"# {title} {'-' * max(0, _WIDTH - len(title) - 3)}\n"


def commented(lines: Sequence[str]) -> str:
    """Return paragraphs as one comment, an entry of a list in each."""
    return "".join(f"{line}\n" for text in lines for line in comment(f"- {text}", indent="  "))
