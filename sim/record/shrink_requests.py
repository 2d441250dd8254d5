"""How long it takes until memory that is asked back has been given: every shrink request, followed to its end."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sim.record.series import device_histories
from sim.units import MICROSECONDS

if TYPE_CHECKING:
    import numpy.typing as npt

    from sim.record.events import Events

    Integers = npt.NDArray[np.int64]


class _Request(NamedTuple):
    """A request that is outstanding: when it was made, and pages that the device shall have at most."""

    t_us: int
    size: int


@dataclass(frozen=True, slots=True)
class ShrinkRequests:
    """What became of the requests that asked memory back.

    ``seconds`` from the request until its device had no more plugged than that, of each that was fulfilled, in the
    order of devices; ``unfulfilled`` counts those that were not before the host asked for more again or the run ended.
    """

    seconds: tuple[float, ...]
    unfulfilled: int


def follow_shrink_requests(events: Events) -> ShrinkRequests:
    """Follow every request for less than its device has plugged just before or after.

    Asking again for what is outstanding already is no further request; asking for less still is. All changes of one
    instant count as one, as in every series.
    """
    seconds: list[float] = []
    unfulfilled = 0
    for t_us, plugged, requested in device_histories(events):
        # Requested sizes are never negative, so that the first row always begins a request.
        starts = np.flatnonzero(np.diff(requested, prepend=-1) != 0).tolist()
        outstanding: list[_Request] = []  # each for less than the one before
        for start, stop in pairwise([*starts, len(t_us)]):
            size = int(requested[start])
            # Whoever asks for more than before does not want that much back any more.
            still = [request for request in outstanding if request.size >= size]
            unfulfilled += len(outstanding) - len(still)
            outstanding = still
            plugged_before = max(int(plugged[start]), int(plugged[start - 1]) if start else 0)
            if size < plugged_before and (not outstanding or outstanding[-1].size > size):
                outstanding.append(_Request(int(t_us[start]), size))
            plugged_until_next = plugged[start:stop]
            least = int(plugged_until_next.min())
            while outstanding and outstanding[0].size >= least:
                request = outstanding.pop(0)
                # argmax of flags is the first that holds; the minimum says that one does.
                fulfilled = start + int(np.argmax(plugged_until_next <= request.size))
                seconds.append((int(t_us[fulfilled]) - request.t_us) / MICROSECONDS)
        unfulfilled += len(outstanding)
    return ShrinkRequests(tuple(seconds), unfulfilled)
