"""The memory map of one scenario: which run of each policy it shows, and what it says where it cannot say more."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from sim.analysis.compare import number
from sim.analysis.ranking import failing
from sim.experiment.again import notes_of
from sim.experiment.load import load_stored
from sim.faults import MemhpSimError
from sim.kernel.diary import Decided, Refused
from sim.memory.zones import ZONE_LABELS
from sim.report.environment import rendered
from sim.report.memory_map.encoding import encoded
from sim.report.section import Section
from sim.units import us_to_seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sim.analysis.scenario import Scenario
    from sim.experiment.plan import Experiment
    from sim.kernel.diary import Note
    from sim.record.run_result import RunResult
    from sim.results.store import ResultStore

SCRIPTS: Final = ("shared.js", "memory-map-run.js", "memory-map.js")
STYLES: Final = ("memory-map.css",)

MOST_RUNS: Final = 16
"""Runs whose maps a page holds."""

MOST_BYTES: Final = 480_000
"""Bytes of all maps of a page together."""

_MOST_OF_ONE: Final = 4
"""A map may take so many times its share of what is left."""

_MOST_ROWS: Final = 100_000
"""Events and samples of guests in the runs that are run again for one page, rehearsals included: some seconds."""

_SQUARE: Final = "M0 0h12v12h-12z"
_LEGEND: Final = (
    ("Normal", "z2", _SQUARE),
    ("DMA32", "z1", _SQUARE),
    ("DMA", "z0", _SQUARE),
    ("several zones", "z-several", _SQUARE),
    ("MOVABLE", "z3", _SQUARE),
    ("partly unplugged", "z3", "M0 6h12v6h-12z"),
    ("offline", "z-offline", _SQUARE),
    ("not there", "z-absent", "M5 5h2v2h-2z"),
    ("asked to leave, refused", "z-stays", "M0 0l12 12"),
    ("gap in the addresses", "z-gap", "M5 0h1.5v12h-1.5z"),
)


class ScenarioMaps:
    """Makes maps of one scenario after the other, as far as a page has room. A part of the page.

    ``runs`` are those of the ``store`` under their own labels, ``scenarios`` all of the page, ``experiment`` that of
    the store, if at hand. With ``wanted``, labels of workloads, only theirs have maps, else the first ones.
    """

    def __init__(
        self,
        store: ResultStore,
        scenarios: Sequence[Scenario],
        wanted: Collection[str] = (),
        experiment: Experiment | None = None,
    ) -> None:
        self._store = store
        self._chosen: dict[tuple[str, str], int] = {}
        """The runs of each scenario that has a map."""
        for each in scenarios:
            count = min(len(each.present), MOST_RUNS)
            if is_wanted(each.workload, wanted) and sum(self._chosen.values()) + count <= MOST_RUNS:
                self._chosen[each.machine, each.workload] = count
        self._left = sum(self._chosen.values())
        self._bytes = MOST_BYTES
        self._rows = _MOST_ROWS
        self._experiment, self._missing = _experiment(store) if experiment is None else (experiment, "")

    def __call__(self, scenario: Scenario, anchor: str) -> Section | None:
        """Return the section with the map of ``scenario``; where the page has no room for it, what makes room."""
        own = f"{anchor}-map"
        title = "Memory map through time"
        if (scenario.machine, scenario.workload) not in self._chosen:
            command = shlex.join(["--map", scenario.workload.partition(" (")[0]])
            told = Markup("<p>A page has room for {} maps; <code>memhp-sim report RESULTS {}</code> has this one.</p>")
            return Section(own, title, told.format(MOST_RUNS, command))
        replication, why = told_by(scenario)
        runs, notes, unknown = [], {}, []
        for policy in scenario.present[:MOST_RUNS]:
            row = scenario.of(policy)
            row = row[row["replication"] == replication] if replication in set(row["replication"]) else row.head(1)
            made, own_notes, reason = self._map(scenario, policy, row.iloc[0].to_dict())
            if made is None:
                unknown.append(f"{policy}: no map: {reason}")
                continue
            runs.append(made)
            notes[policy] = own_notes
            if reason:
                unknown.append(f"{policy}: why blocks are where they are is not told: {reason}")
        if not runs:
            return None
        left, right = _sides(scenario, replication, [run["policy"] for run in runs])
        html = rendered(
            "memory_map",
            anchor=own,
            title=scenario.title,
            note=f"{why} Each square is a memory block, in order of address. Point at one, or use the arrow keys.",
            legend=_LEGEND,
            replication=replication,
            unknown=unknown,
            rows=[row for policy, told in notes.items() for row in _rows(scenario.marked(policy), told)],
        )
        data = {"runs": runs, "left": left, "right": right}
        return Section(own, title, html, {f"{own}-data": data}, SCRIPTS, STYLES)

    def _map(
        self, scenario: Scenario, policy: str, row: Mapping[Any, Any]
    ) -> tuple[dict[str, Any] | None, Sequence[tuple[int, Note]], str]:
        """Return the map of the run ``row``, what was noted of it, and why there is no map, or no reasons in it."""
        key = str(row["cell"])
        try:
            result = self._store.result(key)
        except (KeyError, OSError) as error:
            return None, (), f"its events cannot be read: {error}"
        notes, unknown = self._notes(key, result, row)
        share = self._bytes // max(self._left, 1)
        self._left -= 1
        made = encoded(result, notes, min(_MOST_OF_ONE * share, self._bytes))
        if made is None:
            return None, (), "more changes than a page has room for; memhp-sim explain tells all of them"
        made |= {"policy": policy, "label": scenario.marked(policy), "unknown": unknown}
        self._bytes -= len(json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode())
        return made, notes, unknown

    def _notes(self, key: str, result: RunResult, row: Mapping[Any, Any]) -> tuple[Sequence[tuple[int, Note]], str]:
        if self._experiment is None:
            return (), self._missing
        rows = len(result.events) + len(result.guest.get("t_us", ()))
        again = rows * (1 + int(_or_zero(row.get("plan_rehearsals"))))
        if again > self._rows:
            return (), "running it again, too, would take long; memhp-sim explain does that"
        self._rows -= again
        try:
            return notes_of(self._store, key, result, self._experiment), ""
        except (MemhpSimError, ValueError, OSError, KeyError) as error:
            return (), " ".join(str(error).split())


def _experiment(store: ResultStore) -> tuple[Experiment | None, str]:
    try:
        experiment = load_stored(store.folder)
    except ValueError as error:
        return None, " ".join(str(error).split())
    return experiment, "" if experiment else "the results have no manifest, by which they could be run again"


def _or_zero(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and value == value else 0.0  # noqa: PLR0124  NaN


def is_wanted(workload: str, wanted: Collection[str]) -> bool:
    """Whether a map of ``workload``, a scenario's, is ``wanted``: labels of the experiment, none of which are all."""
    return not wanted or any(workload == label or workload.startswith(f"{label} (") for label in wanted)


def told_by(scenario: Scenario) -> tuple[int, str]:
    """Return the replication that tells most, and why it is that one.

    That in which some policies fail and others do not, the most evenly; else the first that all have.
    """
    runs = scenario.runs
    failed = failing(runs)
    counts = failed.groupby(runs["replication"]).agg(["sum", "count"])
    whole = counts[counts["count"] == counts["count"].max()]
    parted = whole[(whole["sum"] > 0) & (whole["sum"] < whole["count"])]
    if len(parted):
        best = int((parted["sum"] / parted["count"] - 0.5).abs().idxmin())
        fail = int(parted.loc[best, "sum"])
        return best, f"Replication {best}, in which {fail} of {int(parted.loc[best, 'count'])} policies fail."
    return int(whole.index[0]), f"Replication {whole.index[0]}."


def _sides(scenario: Scenario, replication: int, policies: Sequence[str]) -> tuple[int, int]:
    """Return the numbers of two policies to begin with: one that fails in the replication, and one that does not.

    Where all or none do: the baseline or first, and the one whose memory is in ZONE_MOVABLE the most differently.
    """
    runs = scenario.runs[scenario.runs["replication"] == replication].set_index("policy")
    failed = failing(runs)
    fails = [policy for policy in policies if failed.get(policy, False)]
    sound = [policy for policy in policies if policy not in fails and policy != scenario.bound]
    shares = runs["movable_share_mean"].fillna(0.0)
    if fails and sound:
        best = max(sound, key=lambda policy: (float(shares.get(policy, 0.0)), -policies.index(policy)))
        return policies.index(fails[0]), policies.index(best)
    first, *others = policies
    other = max(
        others or policies, key=lambda policy: abs(float(shares.get(policy, 0.0)) - float(shares.get(first, 0.0)))
    )
    return 0, policies.index(other)


def _rows(policy: str, notes: Sequence[tuple[int, Note]]) -> list[dict[str, Any]]:
    """Return what was decided under ``policy``: a row for each zone and reason, numbers aside, in order of time."""
    counts: Counter[str] = Counter()
    first: dict[str, tuple[str, int]] = {}
    for time, note in notes:
        if isinstance(note, Decided):
            text = f"{note.why.zone.label}: {note.why.reason}"
        elif isinstance(note, Refused):
            text = f"refused to go offline, stays in {ZONE_LABELS[note.zone]}"
        else:
            continue
        alike = re.sub(r"\d+", "", text)
        counts[alike] += 1
        first.setdefault(alike, (text, time))
    return [
        {"policy": policy, "what": text, "blocks": counts[alike], "first": f"{number(us_to_seconds(time))} s"}
        for alike, (text, time) in first.items()
    ]
