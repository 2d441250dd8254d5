"""Where policies were not asked for the same: what a host wants is the same for all, what it asks for need not be.

A guest that refuses keeps a slot or a device busy, one that dies answers no more, and a host that looks at the guest
asks for what it sees there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.analysis.compare import number, pairing
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    import pandas as pd

_SCORES: Final = ("asked_byte_seconds", "asked_back")
_DEVICES: Final = "devices"


def differences_in_requests(runs: pd.DataFrame) -> str:
    """Return a sentence about what was not asked of all policies alike in ``runs``; nothing where all was.

    ``runs`` are the completed ones of one machine and workload. Policies are held against each other within each
    replication (of one seed).
    """
    parts = []
    for name in (*_SCORES, _DEVICES):
        by_replication = runs.groupby(pairing(runs))[name] if name in runs else None
        if by_replication is None or not (by_replication.max() > by_replication.min()).any():
            continue
        means = dict(runs.groupby("policy")[name].mean())
        per, symbol, title = 1.0, "", "devices attached"
        if name in SCORES:
            unit, title = SCORES[name].unit, SCORES[name].title.lower()
            per, symbol = unit.shown_per, f" {unit.shown_symbol}"
        least, most = (of(means, key=lambda policy: means[policy]) for of in (min, max))
        low, high = number(means[least] / per), number(means[most] / per)
        # By how much they differ within a replication may not show in three digits of the means.
        ends = f"from {low} ({least}) to {high}{symbol} ({most})" if low != high else f"hardly, {low}{symbol}"
        parts.append(f"{title} {ends}")
    if not parts:
        return ""
    return f"The host wants the same of all, but what it comes to ask for differs: {'; '.join(parts)}."
