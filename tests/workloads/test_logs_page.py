"""The page that describes logs of requests and loads: it names all there is, and its examples can be replayed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.places import ROOT
from workloads.load_trace import LoadTrace
from workloads.parts.demand import KINDS
from workloads.parts.request_log import KINDS as DEVICES
from workloads.parts.request_log import OPS, OPTIONAL, REQUIRED
from workloads.request_replay import RequestReplay

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "logs.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("words", [OPS, DEVICES, (*REQUIRED, *OPTIONAL), KINDS], ids=["op", "device", "column", "load"])
def test_every_word_of_a_log_is_described(words: tuple[str, ...]) -> None:
    assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_the_log_of_requests_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(EXAMPLES[0], "utf-8")
    asked = [request for _, request in RequestReplay(path=str(tmp_path / "log.csv")).timeline()]
    assert [request.op for request in asked] == ["plug", "plug", "plug", "demand", "resize", "state", "unplug"]


def test_the_log_of_loads_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "loads.csv").write_text(EXAMPLES[1], "utf-8")
    assert LoadTrace(path=str(tmp_path / "loads.csv")).duration() == 120 + 60
