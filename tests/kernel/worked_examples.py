"""The worked examples of ``data/worked_examples.toml``, read for the tests of both implementations."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from tests.support.places import DATA

BLOCK = 32768
GIB = 262144
MIB = 256

EXAMPLES: dict[str, Any] = tomllib.loads((DATA / "worked_examples.toml").read_text(encoding="utf-8"))

#: Stage of the policy -> the key that holds its zones where the stages differ.
STAGES = {"A": "after_2", "B": "after_8", "C": "final"}

_TOKEN = re.compile(r"\((?P<inner>[^()]*)\)x(?P<times>\d+)|(?P<zone>[MN.])x(?P<count>\d+)")


@dataclass(frozen=True)
class PlugExample:
    """One ``[[plug]]`` entry, in pages. ``expected``: per stage, one zone string for each plugging step."""

    name: str
    boot_pages: tuple[int, ...]
    boot_blocks_taken_offline: int
    cma_pages: tuple[int, ...]
    ratio: int
    numa_aware: bool
    steps: tuple[dict[str, Any], ...]
    expected: dict[str, list[str]]


def spell_out(zones: str) -> str:
    """``"Mx2 (Nx1 Mx1)x2"`` -> ``"MMNMNM"``."""
    out = ""
    for token in _TOKEN.finditer(zones):
        if token["inner"] is not None:
            out += spell_out(token["inner"]) * int(token["times"])
        else:
            out += token["zone"] * int(token["count"])
    return out


def plug_examples() -> list[PlugExample]:
    return [
        PlugExample(
            name=entry["id"],
            boot_pages=tuple(entry["boot_pages"]),
            boot_blocks_taken_offline=entry.get("boot_blocks_taken_offline", 0),
            cma_pages=tuple(entry.get("cma_pages", [0] * len(entry["boot_pages"]))),
            ratio=entry["ratio"],
            numa_aware=entry.get("numa_aware", True),
            steps=tuple(entry["steps"]),
            expected={
                stage: [spell_out(zones) for zones in entry.get("all") or entry[key]] for stage, key in STAGES.items()
            },
        )
        for entry in EXAMPLES["plug"]
    ]
