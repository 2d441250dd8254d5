"""The page about plans: its commands and code run, its output is what they print, and it names all that JSON holds."""

from __future__ import annotations

import dataclasses
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.what_if import answer
from tests.support.places import ROOT
from workloads.parts.demand import BYTE_KINDS
from workloads.parts.requests.step_words import OPS

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (ROOT / "docs" / "plan.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guest.toml").write_text(PAGE.partition("```toml\n")[2].partition("```")[0], "utf-8")
    monkeypatch.chdir(tmp_path)


def test_the_command_prints_what_the_page_shows() -> None:
    (shown,) = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL)
    result = CliRunner().invoke(main, shlex.split(shown[0])[1:], env={"COLUMNS": "100"})
    assert result.output == shown[1]


def test_the_code_prints_what_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})  # noqa: S102  the page's own code
    # Kernel memory keeps the DIMM in a kernel zone, and none in ZONE_MOVABLE.
    assert capsys.readouterr().out == "{'contig-zones': 0, 'online-movable': 17179869184}\n"


def test_every_word_is_described() -> None:
    words = {*OPS, *BYTE_KINDS}
    for kind in vars(answer).values():
        if dataclasses.is_dataclass(kind):
            words |= {field.name for field in dataclasses.fields(kind)}
    assert sorted(word for word in words if not re.search(rf"`(--)?{word}[` ]", PAGE)) == []
