"""What the page on the guest model says of recordings under load, from comparisons whose figures are known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sim.replay.load_comparison import StepComparison, TraceComparison
from sim.replay.load_summary import FITTED
from tests.guest.recordings_table import BEGIN, END, PAGE, table

if TYPE_CHECKING:
    from pathlib import Path


def test_the_halves_stand_apart_the_worst_first_and_what_was_moved_below() -> None:
    fitted, shown = min(FITTED), "a-recording"
    free = {"0/Normal": (150.0, 100.0)}
    steps = [
        StepComparison(0, free_mib=free, moved_mib=(7.0, 8.0)),
        StepComparison(1, plugged_mib={"v": (4.0, 2.0)}, moved_mib=(7.0, 7.9)),
        StepComparison(2, oom=(1, 1), tie=True, moved_mib=(99.0, 0.0)),
        StepComparison(3, free_mib=free),
    ]
    found = table([TraceComparison(fitted, "6.12.117-amd64", steps), TraceComparison(shown, "6.1.0-44", [steps[1]])])
    assert "**Fitted to:** 1 of 3 steps off, 33.3%: free 1 (accepted 2%), plugged 0" in found
    assert "1 steps after a tie are left out." in found
    assert "**Not fitted to:** 0 of 1 steps off, 0.0%" in found
    assert f"| {fitted} | 6.12 | 3 | 1 | free 0/Normal | 0 | 150 | 100 | 1.56 |\n" in found
    assert f"| {shown} | 6.1 | 1 | 0 | plugged v | 1 | 4 | 2 | 0.25 |\n" in found
    assert found.endswith(f"|---|---|---|---|\n| {fitted} | 0 | 7 | 8 |\n")


def test_the_page_has_every_recording_in_its_half(shared_dir: Path) -> None:
    text = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].partition("Pages that were moved")[0]
    name = re.compile(r"^\| ([a-z0-9-]+-[a-z0-9-]+) \|", re.MULTILINE)
    halves = [set(name.findall(half)) for half in text.split("**Not fitted to:")]
    given = {path.stem for path in shared_dir.glob("kernel-traces*/guest-load/*.json")}
    assert halves == [set(FITTED), given - FITTED]
