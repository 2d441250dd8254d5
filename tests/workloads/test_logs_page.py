"""The page that describes logs of requests and loads: it names all there is, and its examples can be replayed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.places import ROOT
from workloads.load_trace import LoadTrace
from workloads.parts.demand import BYTE_KINDS, PIECE_KINDS
from workloads.parts.mixes import MIXES
from workloads.parts.requests.columns import COLUMNS, DEVICE_KINDS, OPS, USED
from workloads.request_replay import RequestReplay

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "logs.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def tables() -> tuple[str, str]:
    """What the page says of operations and columns, which follows from the code."""
    operations = ["| `op` | what happens |", "| --- | --- |", *(f"| `{op}` | {what} |" for op, what in OPS.items())]
    columns = ["| column | unit | meaning | with |", "| --- | --- | --- | --- |"]
    for column in COLUMNS:
        ops = "any" if column.ops == tuple(OPS) else ", ".join(f"`{op}`" for op in column.ops)
        ops = "what is asked of a device or the guest" if len(column.ops) == len(USED) - 3 else ops
        kinds = "" if column.kinds == DEVICE_KINDS else f" of {' or '.join(column.kinds)}"
        columns.append(f"| `{column.name}` | {column.unit} | {column.meaning} | {ops}{kinds} |")
    return "\n".join(operations), "\n".join(columns)


def test_operations_and_columns_are_described_as_the_code_has_them() -> None:
    for table in tables():
        assert table in PAGE, table


def test_every_kind_of_load_is_described_as_the_code_has_it() -> None:
    units = ((BYTE_KINDS, "bytes"), (PIECE_KINDS, "pieces"))
    rows = [f"| `{kind}` | {what} | {unit} |" for kinds, unit in units for kind, what in kinds.items()]
    names = ", ".join(f"`{name}`" for name in MIXES)
    assert "\n".join((*rows, f"| {names} | loads by name")) in PAGE


def test_the_log_of_requests_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(EXAMPLES[0], "utf-8")
    asked = [request for _, request in RequestReplay(path=str(tmp_path / "log.csv")).timeline()]
    assert [request.op for request in asked] == ["plug", "plug", "plug", "demand", "resize", "state", "unplug"]


def test_the_log_of_loads_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "loads.csv").write_text(EXAMPLES[1], "utf-8")
    assert LoadTrace(path=str(tmp_path / "loads.csv")).duration() == 120 + 60
