"""How long something takes that has not always happened when one stops to look: the product-limit estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.record.arrays import group_starts, order_by

if TYPE_CHECKING:
    from sim.record.shrink_requests import Waits


def restricted_mean(waits: Waits, horizon_us: int) -> float:
    """Return the mean time, in microseconds, up to ``horizon_us``: the area under the Kaplan-Meier curve until then.

    Each wait counts as many times as it has pages. What is given up is known to have lasted until then and no more
    (right-censored; at the same time as something that happens, after it); what never happens lasts beyond the horizon.
    The curve holds beyond the last wait. Kaplan and Meier (1958), J. Am. Stat. Assoc. 53, 457-481; Royston and Parmar
    (2013), BMC Med. Res. Methodol. 13, 152, on the restricted mean.
    """
    after_us = np.minimum(waits.after_us, horizon_us)
    order = order_by(after_us)
    after_us = after_us[order]
    starts = np.flatnonzero(group_starts(after_us))
    ended = np.add.reduceat(waits.pages[order], starts) if len(starts) else starts
    happened = np.add.reduceat((waits.pages * waits.fulfilled)[order], starts) if len(starts) else starts
    waiting = int(ended.sum())
    still, area, before_us = 1.0, 0.0, 0
    for at_us, out, back in zip(after_us[starts].tolist(), ended.tolist(), happened.tolist(), strict=True):
        area += still * (at_us - before_us)
        before_us = at_us
        still *= (waiting - back) / waiting
        waiting -= out
    return area + still * (horizon_us - before_us)
