"""What udevd does with a file of rules and one event of a memory block: as udev(7) says, and no more than is needed."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PART = re.compile(r'\s*(\w+)(?:\{([^}]+)\})?\s*(==|!=|=)\s*"([^"]*)"\s*(?:,|$)')


def word_written(lines: Sequence[str], *, constants: Mapping[str, str], files: Mapping[str, str]) -> str | None:
    """Return what is written to ``state`` of a block that was added; None where nothing is.

    ``constants`` are ``arch`` and ``virt``, ``files`` what lies in the block's folder.
    """
    files = dict(files)
    event = {"SUBSYSTEM": "memory", "ACTION": "add"}
    written = label = None
    for line in lines:
        parts = _PART.findall(line)
        assert "".join(match[0] for match in _PART.finditer(line)).strip() == line.strip(), line
        if label is not None:
            if ("LABEL", "", "=", label) in parts:
                label = None
            continue
        for key, name, operator, value in parts:
            if operator == "=":
                if key == "ATTR":
                    written = files[name] = value
                elif key == "GOTO":
                    label = value
                else:
                    assert key == "LABEL"
                continue
            if key == "TEST":
                matches = value in files
            else:
                has = constants[name] if key == "CONST" else files[name] if key == "ATTR" else event[key]
                matches = any(fnmatch.fnmatchcase(has, each) for each in value.split("|"))
            if matches is (operator == "!="):
                break
    assert label is None, "GOTO without a LABEL behind it"
    return written
