"""Which policies fail, by what becomes of the guest, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.analysis.wording import MOST_NAMES, names, some_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sim.analysis.scenario import Scenario


def who_fails(scenario: Scenario) -> list[str]:
    """Return who kills the guest and who fails otherwise, the worst first, each with how often; nothing where nobody.

    Such as "a and b kill the guest in 3 to 40 of 40 runs".
    """
    killed: dict[str, int] = {}
    failed: dict[str, int] = {}
    for policy in reversed(scenario.ranked):
        if died := int((scenario.of(policy)["died"] > 0).sum()):
            killed[policy] = died
        elif times := scenario.failures[policy].failed:
            failed[policy] = times
    kinds = ((killed, "kills the guest", "kill the guest"), (failed, "fails", "fail"))
    runs = max((scenario.failures[policy].runs for policy in (*killed, *failed)), default=0)
    return [
        f"{_who(list(times))} {one if len(times) == 1 else several}{_often(times.values(), runs)}"
        for times, one, several in kinds
        if times
    ]


def _who(policies: list[str]) -> str:
    return names(policies) if len(policies) <= MOST_NAMES else some_of(policies, 1)


def _often(times: Collection[int], runs: int) -> str:
    least, most = min(times), max(times)
    return "" if runs == 1 else f" in {most if least == most else f'{least} to {most}'} of {runs} runs"
