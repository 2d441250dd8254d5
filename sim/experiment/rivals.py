"""Which policies a policy competes with that wants to know: the others on the same machine, workload and guest."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from sim.plugins import lookup
from sim.results.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sim.experiment.plan import Combination
    from sim.experiment.settings import PluginSettings


def with_rivals(combinations: Sequence[Combination], folder: Path) -> list[Combination]:
    """Return the combinations, with rivals where the policy has ``wants_rivals``; paths are relative to ``folder``.

    Those that want rivals themselves are nobody's: each would have to know first what the other does.
    """
    plugins = {combination.policy.plugin for combination in combinations}
    wanting = {plugin for plugin in plugins if lookup.find(lookup.POLICY, plugin, folder).cls.wants_rivals}
    if not wanting:
        return list(combinations)
    rivals: defaultdict[str, dict[str, PluginSettings]] = defaultdict(dict)
    for combination in combinations:
        if combination.policy.plugin not in wanting:
            # Equal ones once, and in an order that is not the file's: neither changes what comes of it.
            rivals[_place(combination)][canonical_json(combination.policy.content())] = combination.policy
    return [
        replace(combination, rivals=tuple(rival for _, rival in sorted(rivals[_place(combination)].items())))
        if combination.policy.plugin in wanting
        else combination
        for combination in combinations
    ]


def _place(combination: Combination) -> str:
    """Return what is the same for policies that compete."""
    return canonical_json({name: part for name, part in combination.identity().items() if name != "policy"})
