"""``lsmem --json``, of every version: sizes and nodes as strings or numbers, REMOVABLE as a word or a boolean."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from sim.faults import Fault, InputError, shown
from sim.readers.facts import Remark
from sim.readers.lsmem_rows import COLUMNS, Row, Summary, facts_of

if TYPE_CHECKING:
    from sim.readers.facts import Facts

_MEMORY: Final = re.compile(r'"memory"\s*:\s*\[')


def reads_as_lsmem_json(text: str) -> bool:
    """Whether ``text`` holds what ``lsmem --json`` prints: rows under ``memory``."""
    return "{" in text and _MEMORY.search(text) is not None and ('"range"' in text or '"block"' in text)


def read_lsmem_json(text: str, file: str) -> Facts:
    """Return what the rows say; InputError with all faults, each with the row's place such as ``memory[3]``."""
    # Numbers stay text: cells are text, and a number of a million digits is none of ours.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
    start = text.index("{")
    try:
        document, _ = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise InputError(
            file, [Fault(f"line {error.lineno}", f"the JSON is damaged or cut short: {error.msg}")]
        ) from None
    except RecursionError:
        raise InputError(file, [Fault("", "the JSON is nested too deep for any output of lsmem")]) from None
    entries = document.get("memory") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise InputError(file, [Fault("memory", "is not the list of rows that lsmem --json prints")])
    rows: list[Row] = []
    faults: list[Fault] = []
    unknown: dict[str, None] = {}
    for number, entry in enumerate(entries):
        where = f"memory[{number}]"
        if not isinstance(entry, dict):
            faults.append(Fault(where, f'{shown(entry)} is not a row such as {{"range": ..., "state": "online"}}'))
            continue
        cells: dict[str, str] = {}
        for key, value in entry.items():
            name = key.upper().replace("_", "-")
            if name not in COLUMNS:
                unknown[key] = None
            elif isinstance(value, (dict, list)):
                faults.append(Fault(f"{where}.{key}", "is not a word or a number"))
            else:
                cells[name] = _cell(value)
        rows.append(Row(where, cells))
    if faults:
        raise InputError(file, faults)
    facts = facts_of(file, rows, Summary())
    facts.remarks += (Remark(shown(key, quote=""), "this key of a row is not known") for key in unknown)
    return facts


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
