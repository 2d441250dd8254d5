"""How long it takes until memory that is asked back has been given: every shrink request, followed to its end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from sim.record.series import followed_devices
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.events import Events

    Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Returns:
    """What became of the requests that asked memory back.

    ``seconds`` from the request until its device had no more plugged than that, of each that was fulfilled, in the
    order of devices; ``unfulfilled`` counts those that were not before the host asked for more again or the run ended.
    """

    seconds: tuple[float, ...]
    unfulfilled: int


def returns(events: Events) -> Returns:
    """Follow every request for less than its device has plugged just before or after.

    Asking again for what is outstanding already is no further request; asking for less still is. All changes of one
    instant count as one, as in every series.
    """
    seconds: list[float] = []
    unfulfilled = 0
    for t_us, plugged, requested in followed_devices(events):
        turns = np.flatnonzero(np.diff(requested, prepend=-1) != 0).tolist()
        open_: list[tuple[int, int]] = []  # (time, size) of what is outstanding, sizes falling
        for start, stop in pairwise([*turns, len(t_us)]):
            size = int(requested[start])
            kept = [request for request in open_ if request[1] >= size]
            unfulfilled += len(open_) - len(kept)
            open_ = kept
            had = max(int(plugged[start]), int(plugged[start - 1]) if start else 0)
            if size < had and (not open_ or open_[-1][1] > size):
                open_.append((int(t_us[start]), size))
            stretch = plugged[start:stop]
            least = int(stretch.min())
            while open_ and open_[0][1] >= least:
                asked, wanted = open_.pop(0)
                seconds.append((int(t_us[start + int(np.argmax(stretch <= wanted))]) - asked) / MICROSECONDS)
        unfulfilled += len(open_)
    return Returns(tuple(seconds), unfulfilled)
