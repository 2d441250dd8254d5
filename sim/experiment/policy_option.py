"""A policy in one word of a command line: its name, and perhaps parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.assignments import value_of
from sim.experiment.schema import LABEL_LENGTH, usable_label
from sim.faults import Fault, InputError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

_OF_POLICY: Final = re.compile(r"policies\[(\d+)\]\.?(.*)")


def policy_table(text: str) -> dict[str, Any]:
    """Return the table of a policy from ``NAME[:key=value,...]``. Raises InputError for a key without a value."""
    name, _, parameters = text.partition(":")
    if name.endswith(".py"):
        class_name, _, parameters = parameters.partition(":")
        name = f"{name}:{class_name}"
    table: dict[str, Any] = {"name": name}
    words = [name.rpartition(":")[2]]
    for part in filter(None, parameters.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError("--policy", [Fault("", f"{shown(text)}: {shown(part)} is not key=value, as ratio=401 is")])
        if key.strip() in table:
            raise InputError("--policy", [Fault("", f"{shown(text)}: {shown(key.strip())} stands there twice")])
        table[key.strip()] = value_of(value.strip())
        words.append(f"{key.strip()} {value.strip()}")
    return {"label": usable_label(", ".join(words))[:LABEL_LENGTH].strip(), **table}


def told_of_option(faults: Sequence[Fault], texts: Sequence[str | None]) -> list[Fault]:
    """Return ``faults`` of an experiment, those of policies that an option gave with the option instead of their key.

    ``texts`` has for each policy what the option said, None for one of the file.
    """
    told = []
    for fault in faults:
        match = _OF_POLICY.match(fault.key)
        text = texts[int(match[1])] if match and int(match[1]) < len(texts) else None
        key = "" if match is None else match[2] if match[2] != "name" else ""
        told.append(
            fault if text is None else Fault(f"--policy {shown(text)}", f"{key}: {fault.what}" if key else fault.what)
        )
    return told
