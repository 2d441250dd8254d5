"""A policy in one word of a command line: its name, and perhaps parameters."""

from __future__ import annotations

import tomllib
from typing import Any

from sim.experiment.schema import LABEL_FORBIDS, LABEL_LENGTH
from sim.faults import Fault, InputError, shown


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
        table[key.strip()] = _value(value.strip())
        words.append(f"{key.strip()} {value.strip()}")
    label = "".join("-" if each in LABEL_FORBIDS or not each.isprintable() else each for each in ", ".join(words))
    return {"label": label[:LABEL_LENGTH].strip(), **table}


def _value(text: str) -> object:
    """Return a value as TOML has it, or the text itself where TOML would want quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
