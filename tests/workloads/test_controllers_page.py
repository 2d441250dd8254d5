"""The page about controllers: its examples are experiments, and what it says of presets and of swings is so."""

from __future__ import annotations

import re
import tomllib

import pytest

from sim.experiment.load import load
from sim.units import MIB, format_size
from tests.experiment.examples import small
from tests.support.places import ROOT
from tests.workloads.oscillation import turns
from workloads.psi_governor import PsiGovernor
from workloads.watermark import PRESETS, Watermark

PAGE = (ROOT / "docs" / "controllers.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_one_of_an_experiment(example: str) -> None:
    assert len(load(small(guest={"model": "linux"}, **tomllib.loads(example)))) > 0


def test_presets_are_as_the_table_has_them() -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith(("| `plain`", "| `proxmox"))]
    assert len(rows) == len(PRESETS)
    for row, (name, preset) in zip(rows, PRESETS.items(), strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[0] == f"`{name}`"
        assert cells[1] == f"{preset['period']:g} s"
        assert cells[5] == format_size(preset["step"]).replace("MiB", " MiB")
        assert cells[6] == {"available": "MemAvailable", "free": "MemFree"}[preset["counts"]]
        assert cells[7] == f"stops {preset['host_stops']}"
        if name != "plain":
            assert cells[2] == f"above {100 * (1 - preset['low']):g} % in use"
            assert cells[3].startswith(f"below {100 * (1 - preset['high']):g} %")


@pytest.mark.parametrize(("used", "swings"), [(387, False), (388, True), (406, True), (407, False)])
def test_a_sandbox_of_512_mib_swings_where_the_page_says(used: int, *, swings: bool) -> None:
    assert (turns(PsiGovernor(), used * MIB, boot=484 * MIB, seconds=2000) > 10) is swings


@pytest.mark.parametrize(("boot", "swings"), [(212, True), (214, False)])
def test_proxmox_swings_in_guests_below_213_mib(boot: int, *, swings: bool) -> None:
    """At just above 85 percent, which is just below 25 percent of 512 MiB more."""
    used = int(0.85 * boot * MIB) + MIB // 8
    assert (turns(Watermark(preset="proxmox"), used, boot=boot * MIB, seconds=3000) > 10) is swings
