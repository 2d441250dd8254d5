"""How long something takes that has not always happened when one stops to look: the product-limit estimate."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.record.shrink_requests import Wait


def restricted_mean(waits: Iterable[Wait], horizon_us: int) -> float:
    """Return the mean time, in microseconds, up to ``horizon_us``: the area under the Kaplan-Meier curve until then.

    Each wait counts as many times as it has pages. What is given up is known to have lasted until then and no more
    (right-censored; at the same time as something that happens, after it); what never happens lasts beyond the horizon.
    The curve holds beyond the last wait. Kaplan and Meier (1958), J. Am. Stat. Assoc. 53, 457-481; Royston and Parmar
    (2013), BMC Med. Res. Methodol. 13, 152, on the restricted mean.
    """
    rows = sorted(
        (
            horizon_us if wait.after_us is None else min(wait.after_us, horizon_us),
            wait.pages,
            wait.pages * wait.fulfilled,
        )
        for wait in waits
    )
    waiting = sum(pages for _, pages, _ in rows)
    still, area, before_us = 1.0, 0.0, 0
    for after_us, together in groupby(rows, key=lambda row: row[0]):
        area += still * (after_us - before_us)
        before_us = after_us
        ended = happened = 0
        for _, pages, done in together:
            ended += pages
            happened += done
        still *= (waiting - happened) / waiting
        waiting -= ended
    return area + still * (horizon_us - before_us)
