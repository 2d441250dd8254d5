"""What the README begins with: the picture and the sentence of what the quickstart finds for its guest with DIMMs.

``python -m tests.support.opening`` runs that guest, writes ``docs/quickstart.svg`` and prints what the README says.
"""

from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from memhp_sim import load, run
from sim.analysis.compare import compare, number
from sim.analysis.findings import RETURNED, extremes
from sim.analysis.scenario import scenarios
from sim.analysis.tradeoffs import HEADROOM
from sim.units import GIB
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.analysis.scenario import Scenario

PICTURE: Final = ROOT / "docs" / "quickstart.svg"
GUEST: Final = "DIMMs"

_WIDE, _ROW, _TOP = 760, 36, 124
_LEFT, _RIGHT = 150, 480
"""Where the bars of what came back begin, and where those of the headroom do."""

_BACK_LONG, _ROOM_LONG = 240, 170
"""How long they are at most: all came back, the most that any kernel had left."""

_INK, _SOFT, _RULE = "#1f2328", "#59636e", "#d1d9e0"
_BACK, _ROOM, _DEAD = "#0072b2", "#009e73", "#b3261e"


def quickstart(folder: Path) -> Scenario:
    """Run the guest with DIMMs of the quickstart below ``folder``."""
    experiment = load(ROOT / "experiments" / "quickstart.toml")
    tables = dict(experiment.tables)
    tables["workloads"] = [table for table in tables["workloads"] if table["label"] == GUEST]
    kept = tables["workloads"][0]["machines"]
    tables["machines"] = [table for table in tables["machines"] if table["label"] in kept]
    results = run(tables, folder, workers=1)
    (found,) = scenarios(results.runs(), results.policies, baseline=experiment.baseline)
    return found


def sentence(scenario: Scenario) -> str:
    """Return what the quickstart finds, as the screen says it."""
    return f"{extremes(scenario)}."


def picture(scenario: Scenario) -> str:
    """Return the picture: for each policy what came back and what was left to the kernel, or how many guests died."""
    lines = textwrap.wrap(sentence(scenario), 78)
    high = _TOP + _ROW * len(scenario.ranked) + 34
    guest = "A guest of 2 GiB grows to 16 GiB under load, by DIMMs, and is asked for 14 GiB back"
    font = "-apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"
    size = f'width="{_WIDE}" height="{high}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_WIDE} {high}" font-family="{font}" role="img">',
        f"<title>{escape(' '.join(lines))}</title>",
        # A ground of its own: the page may be light or dark.
        f'<rect {size} rx="8" fill="#ffffff" stroke="{_RULE}"/>',
        *(_text(20, 32 + 22 * place, line, 16, weight="bold") for place, line in enumerate(lines)),
        _text(20, 78, guest, 13, colour=_SOFT),
        _text(_LEFT, 108, "came back, of what was asked back", 13, weight="bold"),
        _text(_RIGHT, 108, "what the kernel had left, at least", 13, weight="bold"),
        *_rows(scenario),
        _text(20, high - 14, _told(scenario), 12, colour=_SOFT),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _rows(scenario: Scenario) -> Iterator[str]:
    table = compare(scenario.runs, scenario.against, [RETURNED, HEADROOM], policies=scenario.policies)
    found = {(row["policy"], row["score"]): row for row in table.to_dict("records")}
    most = max(float(row["high"]) for (_, score), row in found.items() if score == HEADROOM)
    for place, policy in enumerate(scenario.ranked):
        middle = _TOP + _ROW * place + _ROW / 2
        how = scenario.failures[policy]
        above = middle - _ROW / 2
        yield f'<line x1="20" x2="{_WIDE - 20}" y1="{above:g}" y2="{above:g}" stroke="{_RULE}"/>'
        yield _text(
            20, middle + 5, scenario.marked(policy).partition(" (")[0], 14, colour=_DEAD if how.failed else _INK
        )
        if how.failed:
            words = f"{how.failed} of {how.runs} guests died, their kernels out of memory"
            yield _text(_LEFT, middle + 5, words, 14, colour=_DEAD, weight="bold")
            continue
        back, room = found[policy, RETURNED], found[policy, HEADROOM]
        yield from _bar(
            _LEFT, middle, [back[key] / 100 for key in _ENDS], _BACK, _BACK_LONG, f"{number(back['mean'])} %"
        )
        words = f"{number(room['mean'] / GIB)} GiB"
        yield from _bar(_RIGHT, middle, [room[key] / most for key in _ENDS], _ROOM, _ROOM_LONG, words)


_ENDS: Final = ("mean", "low", "high")


def _bar(left: float, middle: float, shares: list[float], colour: str, long: int, words: str) -> Iterator[str]:
    """Yield a bar for the mean, the first of ``shares``, a line for its interval, and ``words`` behind."""
    mean, low, high = (round(share * long, 1) for share in shares)
    yield f'<rect x="{left}" y="{middle - 9:g}" width="{max(mean, 1):g}" height="18" fill="{colour}"/>'
    if low < high:
        ends = f'x1="{left + low:g}" x2="{left + high:g}" y1="{middle:g}" y2="{middle:g}"'
        yield f'<line {ends} stroke="{_INK}" stroke-width="1.5"/>'
    yield _text(left + high + 10, middle + 5, words, 14)


def _told(scenario: Scenario) -> str:
    return f"Means of {scenario.replications} guests, each drawn anew; thin lines: 95 % confidence. Simulated."


def _text(x: float, y: float, words: str, size: int, *, colour: str = _INK, weight: str = "normal") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{colour}">{escape(words)}</text>'


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        drawn = quickstart(Path(made))
    PICTURE.write_text(picture(drawn), "utf-8")
    print(sentence(drawn))  # noqa: T201  a program's output
