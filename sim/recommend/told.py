"""What is told of a recommendation, in sentences: the answer, how certain it is, what it gives up, wall and costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.analysis.compare import number, percent, shown_unit
from sim.analysis.wording import amount, some_of
from sim.recommend.contract import less_sure
from sim.recommend.evidence import SURE
from sim.recommend.limits import shown_bound
from sim.recommend.terms import WALL, needed_for
from sim.scores.registry import SCORES
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.recommend.contract import Candidate, Judged, Limit, Selection
    from sim.recommend.seen import Seen

_HARDLY: Final = 0.5
"""A confidence below which its number says nothing: it is a lower bound, and a loose one where little is shown."""


def undefined(seen: Seen) -> list[str]:
    """Return which limits are about scores that are undefined in every run, and so are kept whatever happens."""
    return [
        f"{limit.text}: {SCORES[limit.scores[0]].title} is undefined here ({SCORES[limit.scores[0]].undefined}), which"
        " counts as kept"
        for limit in seen.limits
        if seen.ran
        and all(math.isnan(seen.mean(each, name)) for each in range(len(seen.rows)) for name in limit.scores)
    ]


def not_run(seen: Seen) -> list[str]:
    """Return how many replications came to no end, as their code failed, and so break every limit."""
    lost = sum(map(seen.lost, range(len(seen.rows))))
    if not lost:
        return []
    return [f"{counted(lost, 'run')} of {sum(map(len, seen.rows))} failed and left nothing, which breaks every limit"]


def answer(seen: Seen, confidence: float) -> str:
    """Return the answer in a sentence or two."""
    found, score = seen.selection, SCORES[seen.objective.score]
    if found.pick is None:
        return _no_answer(seen)
    judged = found.judged[found.pick]
    text = f"Take {seen.label(found.pick)}: {score.title} {amount(score.name, judged.mean)}"
    if (ends := _ends(score.name, judged)) is not None:
        text += f" ({ends})"
    return f"{text}. {_claimed(seen, found.pick, confidence)}{_no_better(seen)}".rstrip()


def _claimed(seen: Seen, pick: int, confidence: float) -> str:
    """Return what is claimed of the pick, as a sentence; nothing where nothing has to be."""
    found = seen.selection
    if seen.population == 1:
        return "Nothing is random here, so one run of each candidate is all there is."
    if seen.fixed and not found.exhausted:
        return f"All {seen.population} recordings were played, so this is no estimate."
    limits = "it keeps the limits" if seen.limits else ""
    if any(limit.share == 1 for limit in seen.limits):
        # No number of runs shows that something always holds.
        limits += f", what must always hold in {percent(SURE)} % of replications at least,"
    others = "no other choice that does is better"
    if found.lacks:
        others += f" by more than {_gap(seen, found.lacks)}"
    if found.open:
        which = f"one of {len(found.open)}" if len(found.open) > 1 else "the one that is"
        others += f", unless it is {which} too near to a limit to tell"
    others = others if seen.limits else others.replace(" that does", "")
    played = ""
    if seen.complete(pick):
        kept = ", so it is no estimate that it keeps the limits" if seen.limits else ""
        played, limits = f"All {seen.population} recordings were played with it{kept}. ", ""
    claims = " and ".join(filter(None, (limits, others if len(seen.candidates) > 1 else "")))
    if not claims:
        return played
    if less_sure(found.confidence, confidence):
        return f"{played}Not certain yet ({_sure(found, confidence)}): {claims}."
    return f"{played}With {percent(confidence)} % confidence {claims}."


def _no_better(seen: Seen) -> str:
    """Return how many choices count as no better only because what ranks them is undefined, as a sentence."""
    nothing = [each for each in _unranked(seen) if each != seen.selection.pick]
    if not nothing:
        return ""
    score = SCORES[seen.objective.score]
    count, verb = counted(len(nothing), "choice"), "count" if len(nothing) > 1 else "counts"
    return f" {count}, with which '{score.title}' is undefined ({score.undefined}), {verb} as no better."


def _unranked(seen: Seen) -> list[int]:
    """Return the choices that were tried and of which what ranks is undefined in every replication."""
    enough = 1 if seen.population == 1 else 2  # the next may have a value
    return [
        each.candidate
        for each in seen.selection.judged
        if seen.choices[each.candidate]
        and each.replications >= enough
        and math.isnan(seen.mean(each.candidate, seen.objective.score))
    ]


def _sure(found: Selection, confidence: float) -> str:
    if found.confidence < _HARDLY:
        return f"far from {percent(confidence)} % confidence"
    return f"{percent(found.confidence)} % confidence, not {percent(confidence)} %"


def _no_answer(seen: Seen) -> str:
    found = seen.selection
    if not seen.ran:
        return "Nothing can be said: no run came to its end."
    if not any(seen.choices):
        return "There is no choice: no candidate is a setting that a kernel has."
    if seen.fixed:
        return "Nothing satisfies the limits: of every candidate one is broken."
    if found.exhausted:
        return "Nothing is known to satisfy the limits: no candidate keeps them in the replications that were run."
    return f"Nothing satisfies the limits: every candidate breaks one (confidence {percent(found.confidence)} %)."


def _ends(score: str, judged: Judged) -> str | None:
    """Return the interval of the mean, None where there is none or its ends look the same."""
    per, _ = shown_unit(SCORES[score], [judged.mean])
    low, high = number(judged.low / per), number(judged.high / per)
    return f"95 %: {low} to {high}" if judged.low < judged.high and low != high else None


def _gap(seen: Seen, value: float) -> str:
    unit = SCORES[seen.objective.score].unit
    if unit.symbol == "%":
        return f"{number(value)} percentage point{'' if value == 1 else 's'}"
    return amount(seen.objective.score, value)


def certainty(seen: Seen, confidence: float) -> list[str]:
    """Return how the pick keeps each limit, and what is still open."""
    found = seen.selection
    if found.pick is None or seen.population == 1:
        return []
    told = []
    for limit, kept in zip(seen.limits, found.judged[found.pick].limits, strict=True):
        text = f"{limit.text}: held in {kept.held} of {kept.replications} replications"
        if not seen.complete(found.pick):
            text += f" (95 %: {percent(kept.low)} to {percent(kept.high)} %)"
            if limit.share == 1:
                text += f"; it may be broken in up to {percent(1 - kept.low)} % all the same"
        if not seen.complete(found.pick) and found.confidence < confidence:
            more = needed_for(kept.replications - kept.held, kept.replications, limit.share, confidence)
            if more:
                text += f"; {_more(more)} to be {percent(confidence)} % sure of it"
        told.append(f"{text}.")
    if found.open:
        told.append(f"So near to a limit that replications did not tell if it is kept: {_listed(seen, found.open)}.")
    if found.exhausted and not found.open:
        told.append("Replications ran out before the best was told from the others; --replications allows more.")
    told += _set_aside(seen)
    return told


def _set_aside(seen: Seen) -> list[str]:
    """Return which candidates were not tried further, as they did the same as the pick or bring less."""
    found, told = seen.selection, []
    if same := [each for each, first in found.twins.items() if first == found.pick]:
        count = min(found.judged[each].replications for each in same)
        told.append(f"The same in each of {count} replications, and so not tried further: {_names(seen, same)}.")
    score = SCORES[seen.objective.score]
    if nothing := _unranked(seen):
        told.append(f"Not ranked, as '{score.title}' is undefined ({score.undefined}): {_names(seen, nothing)}.")
    if found.left_out:
        told.append(f"No choice, as less arrives of what is asked for: {_names(seen, found.left_out)}.")
    return told


def _more(more: float) -> str:
    return "no number of replications would do at this rate" if math.isinf(more) else f"about {more:.0f} more would do"


def _listed(seen: Seen, numbers: Sequence[int]) -> str:
    pick = seen.selection.pick
    parts = []
    for each in numbers:
        worst = min(seen.selection.judged[each].limits, key=lambda kept: kept.often)
        text = f"{seen.label(each)} (held in {worst.held} of {worst.replications}"
        gain = math.nan if pick is None else seen.gain(each, pick)
        if not math.isnan(gain):
            text += f", {_gap(seen, abs(gain))} {'better' if gain > 0 else 'worse'}" if gain else ", as good"
        parts.append(f"{text})")
    return some_of(parts)


def _names(seen: Seen, numbers: Sequence[int]) -> str:
    return some_of([seen.label(each) for each in numbers])


def gives_up(seen: Seen) -> list[str]:
    """Return what others have more of: of the objective, breaking a limit or being no choice, or of headroom."""
    pick = seen.selection.pick
    if pick is None:
        return []
    told = []
    title = SCORES[seen.objective.score].title
    others = [each for each in range(len(seen.candidates)) if each != pick and len(seen.rows[each])]
    gains = {each: gain for each in others if (gain := seen.gain(each, pick)) > seen.objective.indifference}
    for choice, words in ((True, ""), (False, ", which no kernel can be told")):
        better = [each for each in gains if seen.choices[each] is choice]
        if better:
            best = max(better, key=lambda each: gains[each])
            gained = f"{_gap(seen, gains[best])} {seen.more(gains[best])} of '{title}'"
            told.append(f"{seen.label(best)}{words}: {gained}{_breaking(seen, best)}.")
    headroom = {each: gap for each in others if seen.choices[each] and (gap := seen.gap(each, pick, WALL)) > 0}
    if headroom:
        most = max(headroom, key=lambda each: headroom[each])
        count, gain = seen.shared(most, pick), seen.gain(most, pick)
        there, here = (amount(WALL, seen.mean(each, WALL, count)) for each in (most, pick))
        text = f"{seen.label(most)}: most headroom, {there} at its least instead of {here} (means of "
        text += f"{counted(count, 'replication')})"
        if gain and not math.isnan(gain):  # which is not known where nothing was asked back
            text += f", {'for' if gain < 0 else 'and'} {_gap(seen, abs(gain))} {seen.more(gain)} of '{title}'"
        told.append(f"{text}{_breaking(seen, most)}.")
    return told or [f"Nothing: no other candidate has {seen.more(1)} of '{title}' or more headroom."]


def _breaking(seen: Seen, candidate: int) -> str:
    """Return how often a candidate fails, or else breaks a limit, as the end of a sentence; nothing if never."""
    failed, runs = seen.failed(candidate), len(seen.rows[candidate])
    if failed:
        return f", and fails in {failed} of {runs} replications"
    out = max((each.replications - each.held for each in seen.selection.judged[candidate].limits), default=0)
    return f", and breaks a limit in {out} of {runs} replications" if out else ""


def wall(seen: Seen) -> list[str]:
    """Return how near the pick comes to the wall, and which value of each searched parameter breaks a limit first."""
    pick = seen.selection.pick
    if pick is None:
        return []
    told = []
    if not math.isnan(least := seen.least(pick, WALL)):
        mean = seen.mean(pick, WALL)
        spread = "" if mean == least else f", {amount(WALL, mean)} on average"
        told.append(f"{SCORES[WALL].title}: {amount(WALL, least)} in the worst replication{spread}.")
    chosen = seen.candidates[pick]
    for name, value in chosen.varied.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        line = sorted(
            (float(each.varied[name]), place)
            for place, each in enumerate(seen.candidates)
            if name in each.varied and _beside(each, chosen, name) and len(seen.rows[place])
        )
        for side in (1, -1):
            beyond = ((at, place) for at, place in sorted(line, reverse=side < 0) if side * (at - value) > 0)
            nearest = next(((at, place) for at, place in beyond if _breaks(seen, place)), None)
            if nearest is not None:
                told.append(f"{name} {value:g} holds, {_how_broken(seen, *nearest, name)}.")
    return told


def _how_broken(seen: Seen, value: float, place: int, name: str) -> str:
    worst = min(seen.selection.judged[place].limits, key=lambda kept: kept.often)
    out = worst.replications - worst.held
    return f"{name} {value:g} breaks a limit in {out} of {worst.replications} replications"


def _beside(one: Candidate, other: Candidate, name: str) -> bool:
    """Whether two candidates differ in the parameter ``name`` at most."""
    return (
        one.policy.plugin == other.policy.plugin
        and dict(one.machine) == dict(other.machine)
        and {key: value for key, value in one.policy.parameters.items() if key != name}
        == {key: value for key, value in other.policy.parameters.items() if key != name}
    )


def _breaks(seen: Seen, place: int) -> bool:
    """Whether a candidate breaks a limit, shown or as far as it was seen."""
    found = zip(seen.selection.judged[place].limits, seen.limits, strict=True)
    return any(kept.verdict == "broken" or kept.held < limit.share * kept.replications - 1e-9 for kept, limit in found)


def costs(seen: Seen) -> list[str]:
    """Return what each limit costs where none keeps all: who would do without it, and with which share of it."""
    if seen.selection.pick is not None or not any(seen.choices) or not seen.ran:
        return []
    sign = 1 if seen.objective.better == "higher" else -1
    told = []
    for place, limit in enumerate(seen.limits):
        judged = [each for each in seen.selection.judged if seen.choices[each.candidate] and each.replications]
        breaking = [each for each in judged if each.limits[place].held < limit.share * each.limits[place].replications]
        told.append(f"{limit.text} ({shown_bound(limit)}): broken by {len(breaking)} of {len(judged)} choices.")
        without = [each for each in judged if _keeps_others(each, seen.limits, place)]
        if not without:
            continue
        often = max(each.limits[place].often for each in without)
        nearest = [each for each in without if each.limits[place].often == often]
        best = max(nearest, key=lambda each: sign * each.mean if not math.isnan(each.mean) else -math.inf)
        kept = best.limits[place]
        told.append(
            f"Nearest to it comes {seen.label(best.candidate)}: held in {kept.held} of {kept.replications} replications"
            f" ({percent(kept.often)} %), {SCORES[seen.objective.score].title}"
            f" {amount(seen.objective.score, best.mean)}."
        )
    return told


def _keeps_others(judged: Judged, limits: Sequence[Limit], without: int) -> bool:
    return all(
        kept.held >= limit.share * kept.replications - 1e-9
        for place, (kept, limit) in enumerate(zip(judged.limits, limits, strict=True))
        if place != without
    )
