"""What a figure or a table of one machine and workload finds, in one short sentence of plain text.

Figures have these sentences as titles, reports above their charts. A difference that chance may have made is told as
that, or not at all. All of them take a scenario of any size: one policy, one replication, nobody alive, no guest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.analysis.compare import number
from sim.analysis.grid import rows_of, thresholds
from sim.analysis.intervals import FEWEST_FOR_INTERVAL
from sim.analysis.lasting import lasting
from sim.analysis.tradeoffs import HEADROOM, IN_MOVABLE, front, gain_score, points
from sim.analysis.verdict import NEARLY, less_arrived, nearly_alike, returning_score
from sim.analysis.who_fails import who_fails
from sim.analysis.wording import amount, amounts, caution, means, moment, names, titled, told_apart
from sim.faults import set_off
from sim.scores.registry import SCORES
from sim.units import counted, seconds_to_us

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import pandas as pd

    from sim.analysis.grid import Grid
    from sim.analysis.scenario import Scenario
    from sim.analysis.tradeoffs import Point
    from sim.results.store import ResultStore

RETURNED: Final = returning_score().name
ARRIVED: Final = "arrived_share"

NOTHING_BACK: Final = 5.0
"""Percent of what was asked back below which a policy is said to give nothing back."""

NO_GUEST: Final = "No guest is modelled, so nobody can die"


def memory(scenario: Scenario, store: ResultStore | None = None) -> str:
    """Return what memory over time shows: who fails most and how, else how much of it is in ZONE_MOVABLE.

    With a ``store``, also how much of ZONE_MOVABLE was free when the first guest died.
    """
    worst = scenario.ranked[-1]
    how = scenario.failures[worst]
    if not how.failed:
        return in_movable(scenario)
    runs = scenario.of(worst)
    for score, at, one, several in (
        ("died", "death_time", "the guest dies", "guests die"),
        ("kernel_ooms", "kernel_oom_first", "the kernel finds no memory", "kernels find no memory"),
    ):
        times = int((runs[score] > 0).sum())
        if times:
            many = f"all {times}" if times == how.runs else f"{times} of {how.runs}"
            text = f"With {set_off(worst)} {one if how.runs == 1 else f'{many} {several}'}"
            return text + _first_time(runs, at, times, store)
    often = f" in {how.count()} runs" if how.runs > 1 else ""
    return f"With {set_off(worst)} memory could not be added{often}"


def _first_time(runs: pd.DataFrame, at: str, times: int, store: ResultStore | None) -> str:
    """Return when what happened so many ``times``, by the column ``at``, happened first, and what was free then."""
    if not runs[at].notna().any():
        return ""
    first = runs.sort_values(at).iloc[0]
    text = f"{', the first' if times > 1 else ''} after {moment(float(first[at]))}"
    free = math.nan if store is None else _free_movable(store, str(first["cell"]), float(first[at]))
    return text if math.isnan(free) else f"{text}, with {amount('returned', free)} of MOVABLE free"


def _free_movable(store: ResultStore, cell: str, seconds: float) -> float:
    """Return how many bytes of ZONE_MOVABLE were free just before ``seconds``; NaN where that is not known."""
    try:
        result = store.result(cell)
    except KeyError:
        return math.nan
    if "free_movable" not in result.guest:
        return math.nan
    before = result.guest["free_movable"][result.guest["t_us"] < seconds_to_us(seconds)]
    return float(before[-1]) * result.page_size if len(before) else math.nan


def in_movable(scenario: Scenario) -> str:
    """Return how much of the hotplugged memory is in ZONE_MOVABLE, over the whole run."""
    score = "movable_share_mean"
    shares = means(scenario, score, scenario.present)
    if not shares:
        return "No memory is hotplugged"
    least, most = _ends(shares)
    low, high = number(shares[least]), number(shares[most])
    if low == high:
        who = set_off(most) if len(shares) == 1 else "every policy"
        return f"With {who} {high} % of hotplugged memory is in MOVABLE"
    pairs = scenario.runs.pivot_table(score, "replication", "policy")[[least, most]].dropna()
    always = bool((pairs[most] > pairs[least]).all())
    sure = "" if always else caution(scenario, apart=told_apart(scenario, score, most, [least])[least])
    return f"{high} % of hotplugged memory is in MOVABLE with {set_off(most)}, {low} % with {set_off(least)}{sure}"


def _ends(values: Mapping[str, float]) -> tuple[str, str]:
    """Return the policy with the least and the one with the largest value, the first of several."""
    return min(values, key=lambda policy: values[policy]), max(values, key=lambda policy: values[policy])


def ratio(scenario: Scenario) -> str:
    """Return how far MOVABLE : KERNEL goes in any replication, and whether past what is configured."""
    peaks = {policy: float(scenario.of(policy)["ratio_max"].max()) for policy in scenario.present}
    peaks = {policy: peak for policy, peak in peaks.items() if not math.isnan(peak)}
    if not any(peaks.values()):
        return "Nothing is put into MOVABLE"
    least, most = _ends(peaks)
    configured = {policy: scenario.configured_ratio(policy) for policy in peaks}
    configured = {policy: limit for policy, limit in configured.items() if not math.isnan(limit)}
    # What reads alike is not past it.
    past = [p for p, limit in configured.items() if peaks[p] > limit and number(peaks[p]) != number(limit)]
    if past:
        farthest = max(past, key=lambda policy: peaks[policy] / max(configured[policy], 1.0))
        past_what = f"past the {number(configured[farthest])} % that it is set to"
        return f"{set_off(farthest)} goes up to {number(peaks[farthest])} %, {past_what}"
    kept = [policy for policy in configured if peaks[policy]]
    others = {policy: peak for policy, peak in peaks.items() if policy not in kept}
    if not kept:
        last = "" if len(peaks) == 1 else f", {set_off(least)} to {number(peaks[least])} %"
        return f"{set_off(most)} goes up to {number(peaks[most])} %{last}"
    text = f"{names(kept)} {'keeps' if len(kept) == 1 else 'keep'} to what is configured"
    if not any(others.values()):
        return text
    _, most = _ends(others)
    return f"{text}; {set_off(most)} goes up to {number(others[most])} %"


def memory_map(scenario: Scenario) -> str:
    """Return what the map of one replication shows: who died, else what was asked back and is there at the end.

    It is the first replication that all policies have, else the first of each.
    """
    shared = scenario.shared_replication()
    runs = scenario.runs if shared is None else scenario.runs[scenario.runs["replication"] == shared]
    shown = runs.sort_values("replication").drop_duplicates("policy").set_index("policy").loc[scenario.present]
    dead = [policy for policy in scenario.present if shown["died"][policy] > 0]
    if dead:
        return f"The guest dies with {names(dead)}" if len(dead) < len(shown) else "The guest dies, whatever the policy"
    back = bool((shown["asked_back"] > 0).any())
    score = "not_given_end" if back else "movable_share_end"
    values = {policy: float(shown[score][policy]) for policy in scenario.present}
    values = {policy: value for policy, value in values.items() if not math.isnan(value)}
    what = "asked back and still there at the end" if back else "of hotplugged memory in MOVABLE at the end"
    if not values:
        return "No memory is hotplugged"
    if back and not any(values.values()):
        return "All memory that was asked back is gone at the end"
    least, most = _ends(values)
    low, high = amount(score, values[least]), amount(score, values[most])
    if len(values) == 1 or low == high:
        return f"{high} {what} with {set_off(most) if len(values) == 1 else 'every policy'}"
    return f"{high} {what} with {set_off(most)}, {low} with {set_off(least)}"


def scores(scenario: Scenario, score: str = RETURNED) -> str:
    """Return who of those that never fail is best by ``score``, and whether others may be as good."""
    known = SCORES[score]
    if len(scenario.present) == 1:
        return _alone(scenario, score)
    if not scenario.sound:
        return all_fail(scenario)
    values = means(scenario, score, scenario.sound)
    if not values:
        return f"{known.title}: {known.undefined}"
    who = ["never fail"] if _any_fails(scenario) else []
    if score == RETURNED and (fewer := less_arrived(_rows(scenario, ARRIVED), list(values))):
        values = {policy: value for policy, value in values.items() if policy not in fewer}
        who.append("get what they ask for")
    those = f" of those that {' and '.join(who)}" if who else ""
    least, most = _ends(values)
    if len(values) == 1:
        return f"{known.title}: {amount(score, values[most])} with {set_off(most)}, the only one{those}"
    if nearly_alike(list(values.values())):
        return f"{known.title}: {amounts(score, values[least], values[most])} with every policy{those}"
    if known.better == "neither":
        sure = told_apart(scenario, score, most, [least])[least]
        ends = ", ".join(f"{amount(score, values[policy])} with {set_off(policy)}" for policy in (most, least))
        return f"{known.title}: {ends}{caution(scenario, apart=sure)}"
    best = most if known.better == "higher" else least
    text = f"{set_off(best)} {_superlative(score)} ({amount(score, values[best])}){those}"
    apart = told_apart(scenario, score, best, [policy for policy in values if policy != best])
    alike = [policy for policy, yes in apart.items() if not yes]
    if alike and len(alike) < len(apart):
        return f"{text}; {names(alike, 'others')} may do as well"
    return text + caution(scenario, apart=not alike)


def _any_fails(scenario: Scenario) -> bool:
    return any(how.failed for how in scenario.failures.values())


def _rows(scenario: Scenario, score: str) -> list[dict[str, Any]]:
    """Return the means of ``score`` as rows of a comparison."""
    return [{"policy": p, "score": score, "mean": mean} for p, mean in means(scenario, score, scenario.present).items()]


def _superlative(score: str) -> str:
    if score == RETURNED:
        return "gives most back"
    return f"has the {'highest' if SCORES[score].better == 'higher' else 'lowest'} '{titled(score)}'"


def _alone(scenario: Scenario, score: str) -> str:
    """Return what there is to say of the only policy."""
    (policy,) = scenario.present
    how = scenario.failures[policy]
    fails = "" if not how.failed else "fails; " if how.runs == 1 else f"fails in {how.count()} runs; "
    value = means(scenario, score, [policy])
    what = f"{titled(score)} {amount(score, value[policy])}" if value else f"{titled(score)} is undefined"
    return f"{set_off(policy)}: {fails}{what}"


def all_fail(scenario: Scenario) -> str:
    """Return that no policy is left to be chosen."""
    bound = scenario.bound if scenario.bound in scenario.present else None
    but = "" if bound is None or scenario.failures[bound].failed else f" but {set_off(bound)}"
    return f"Every policy{but} fails{' in some replication' if scenario.replications > 1 else ''}"


def tradeoff(scenario: Scenario) -> str:
    """Return the two ends of the front of memory that comes back against kernel headroom, without those that fail."""
    found = points(scenario)
    if not found:
        return "No guest is modelled, so there is no headroom to trade"
    choices, best = [point for point in found if point.choice], front(found)
    if not best:
        return all_fail(scenario)
    score, (most, roomy) = gain_score(scenario), (best[0], best[-1])
    gain, room = amount(score, most.y), amount(HEADROOM, roomy.x)
    back, one, several = ("back", "gives", "give") if score != IN_MOVABLE else ("in MOVABLE", "has", "have")
    among = "Of those that never fail, " if _any_fails(scenario) else ""
    if len(choices) == 1:
        only = "Only this never fails: " if among else ""
        return f"{only}{set_off(most.policy)}, {gain} {back}, {room} of kernel headroom left"
    leads = _those_with(choices, "y", most, one, several, f"most {back}")
    leaves = _those_with(choices, "x", roomy, "leaves", "leave", "most headroom")
    as_much, as_roomy = (nearly_alike([getattr(point, axis) for point in choices]) for axis in "yx")
    if as_much and as_roomy:
        return f"{among or 'With every policy '}{gain} {back}, {room} of kernel headroom left"
    base, axes = most, [score, HEADROOM]
    if as_much:
        base, axes, rivals = roomy, [HEADROOM], [point for point in choices if point.x < roomy.x]
        text = f"{gain} {back} with every policy, {leaves} ({room})"
    elif as_roomy:
        axes, rivals = [score], [point for point in choices if point.y < most.y]
        text = f"{leads} ({gain}), with every policy {room} of headroom are left"
    elif most is roomy:
        rivals = [point for point in choices if point is not most]
        text = f"{set_off(most.policy)} {one} most {back} and leaves most headroom"
    else:
        rivals = [roomy]
        text = f"{leads} ({gain}), {leaves} ({room})"
    against = [point.policy for point in rivals]
    sure = all(apart for axis in axes for apart in told_apart(scenario, axis, base.policy, against).values())
    return f"{among}{text}{caution(scenario, apart=sure)}"


def _those_with(choices: Sequence[Point], axis: str, end: Point, one: str, several: str, what: str) -> str:
    """Return who has as much along ``axis`` as the ``end`` of the front, all who do, and that it is the most."""
    who = [point.policy for point in choices if getattr(point, axis) >= getattr(end, axis)]
    return f"{names(who)} {one if len(who) == 1 else several} {what}"


def survival(scenario: Scenario) -> str:
    """Return with which policy most guests die, and by when."""
    if not scenario.has_guest:
        return NO_GUEST
    runs = {policy: len(scenario.of(policy)) for policy in scenario.present}
    dead = {policy: int((scenario.of(policy)["died"] > 0).sum()) for policy in scenario.present}
    dying = [policy for policy in scenario.present if dead[policy]]
    if not dying:
        many = f" in {counted(scenario.replications, 'replication')}" if scenario.replications > 1 else ""
        return f"Every guest lives to the end{many}"
    living = [policy for policy in scenario.present if not dead[policy]]
    rest = f"; with {names(living, 'other policies')} every guest lives" if living else ""
    worst = max(dying, key=lambda policy: dead[policy] / runs[policy])
    if dead[worst] < runs[worst]:
        last = moment(float(lasting(scenario.of(worst)).died[-1]))
        return f"With {set_off(worst)} {dead[worst]} of {runs[worst]} guests are dead after {last}{rest}"
    all_dead = [policy for policy in dying if dead[policy] == runs[policy]]
    last = moment(max(float(lasting(scenario.of(policy)).died[-1]) for policy in all_dead))
    return f"With {names(all_dead)} no guest outlives {last}{rest}"


def differences(scenario: Scenario, score: str = RETURNED) -> str:
    """Return which policies are told apart from the baseline by ``score``, by how much: the ends of the interval."""
    base, title = scenario.against, SCORES[score].title
    others = [policy for policy in scenario.present if policy != base]
    if not others:
        return f"Only {set_off(base)} has runs: there is nothing to compare"
    table = scenario.compared(score, base)
    known = [policy for policy in others if table["pairs"][policy]]
    if not known:
        return f"{title}: {SCORES[score].undefined}"
    if not table["apart"][known].any():
        return f"{title}: the same with every policy"
    apart = [policy for policy, yes in told_apart(scenario, score, base, known).items() if yes]
    if not apart:
        few = scenario.replications < FEWEST_FOR_INTERVAL
        seen = f" in {counted(scenario.replications, 'replication')}" if few else ""
        return f"{title}: no policy is told apart from {set_off(base)}{seen}"
    # Those that never fail first: how much comes back where guests die is no choice.
    apart.sort(key=lambda policy: (policy not in scenario.sound, -abs(table["difference"][policy])))
    rows = {str(row["policy"]): row for row in table.reset_index().to_dict("records")}
    told = [f"{_gap(score, rows[policy])} with {set_off(policy)}" for policy in apart[:2]]
    rest = len(apart) - len(told)
    more = f"; {rest} more {'differs' if rest == 1 else 'differ'}" if rest else ""
    return f"{title}: {', '.join(told)} than with {set_off(base)}{more}"


def _gap(score: str, row: Mapping[Hashable, Any]) -> str:
    """Return a difference that is told apart: "3 to 9 points more"."""
    exact = math.isnan(row["difference_low"])
    low, high = (row["difference"],) * 2 if exact else (row["difference_low"], row["difference_high"])
    more = "more" if row["difference"] > 0 else "less"
    text = amounts(score, *sorted((abs(low), abs(high))))
    return f"{text.replace('%', 'points')} {more}"


def distribution(scenario: Scenario, score: str = RETURNED) -> str:
    """Return how far the replications of a policy lie apart, of those that never fail: of the widest and narrowest."""
    known = SCORES[score]
    policies = scenario.sound or scenario.present
    ends = {}
    for policy in policies:
        values = scenario.of(policy)[score].dropna()
        if len(values) and all(map(math.isfinite, values)):
            ends[policy] = (float(values.min()), float(values.max()))
    if not ends:
        return f"{known.title}: {known.undefined}"
    if scenario.replications == 1:
        return scores(scenario, score)
    narrow, wide = _ends({policy: high - low for policy, (low, high) in ends.items()})
    spans = {policy: amounts(score, *ends[policy]) for policy in (narrow, wide)}
    if ends[wide][0] == ends[wide][1]:
        return f"{known.title}: the same in every replication"
    if spans[narrow] == spans[wide]:
        return f"{known.title}: {spans[wide]} with {set_off(wide) if len(ends) == 1 else 'every policy'}"
    return f"{known.title}: {spans[wide]} with {set_off(wide)}, {spans[narrow]} with {set_off(narrow)}"


def extremes(scenario: Scenario) -> str:
    """Return who dies, who gives nothing back, and who of those between gives most back: what zones are about."""
    back = means(scenario, RETURNED, scenario.sound)
    if less_arrived(_rows(scenario, ARRIVED), list(back)):
        return scores(scenario)
    failing = who_fails(scenario)
    parts = list(failing)
    least, most = _ends(back) if back else ("", "")
    differ = len(back) > 1 and back[most] - back[least] > NEARLY * back[most]
    if differ and told_apart(scenario, RETURNED, most, [least])[least]:
        share = "nothing" if back[least] == 0 else amount(RETURNED, back[least])
        parts.append(f"{set_off(least)} gives {'only ' if 0 < back[least] < NOTHING_BACK else ''}{share} back")
    if not parts or not back:
        return scores(scenario)
    parts.append(f"{set_off(most)} {'lives and ' if failing else ''}gives {amount(RETURNED, back[most])} back")
    return ", ".join(parts)


def heat(grid: Grid) -> str:
    """Return which combinations fail, and from which value on where there is one."""
    fails, known = grid.failed > 0, grid.runs > 0
    title, across, up = SCORES[grid.score].title, grid.across, grid.up
    if not fails.any():
        values = grid.mean[~np.isnan(grid.mean)]
        if not len(values):
            return f"{title}: {SCORES[grid.score].undefined}"
        return f"No combination fails; {titled(grid.score)} {amounts(grid.score, values.min(), values.max())}"
    if fails[known].all():
        return "Every combination fails"
    starts = thresholds(grid)
    if starts is None:
        return f"{int(fails.sum())} of {int(known.sum())} combinations of {across.title} and {up.title} fail"
    if len(set(starts)) == 1:
        return f"Runs fail from {across.title} {across.words[starts[0]]} up, whatever the {up.title}"
    parts = []
    for start in (min(starts), max(starts)):
        rows = rows_of(grid, starts, start)
        which = f"{up.title} {rows[0]}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
        where = f"from {across.title} {across.words[start]} up" if start < len(across.words) else "nowhere"
        parts.append(f"{where} ({which})")
    return f"Runs fail {parts[0]}, {parts[1]}"
