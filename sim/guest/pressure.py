"""Pressure stall information of memory: who waits for memory in the guest, and how the kernel averages that.

Nobody is followed while nobody asks: what makes somebody wait is noted down, and worked out at the next look, with the
same result whoever looks when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.guest.report import Pressure

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.guest.loads import Load
    from sim.guest.parameters import GuestParameters

PERIOD_US: Final = 2_004_000
"""How often averages are brought up to date: 2 * HZ + 1 ticks (kernel/sched/psi.c, PSI_FREQ), at HZ = 250."""
EXPONENTS: Final = (1677, 1981, 2034)
"""What remains of an average after a period, in 2,048ths: 10, 60 and 300 seconds (EXP_10s, EXP_60s, EXP_300s)."""
_SHIFT: Final = 11
_ONE: Final = 1 << _SHIFT
_MILLION: Final = 1_000_000
_GRAIN: Final = 250
"""Shares of time are in so many millionths, which makes whole microseconds of a period."""
_MOST_NOTES: Final = 1 << 15
"""Notes that wait for a look; more are worked out at once."""


_NOTHING: Final = (0, 0, 0)


class Averages:
    """The three running averages of a share of time, in 2,048ths of a percent (``calc_avgs``).

    Periods in which nothing waits stop the kernel's clock: they are caught up on in one go (``calc_load_n``).
    """

    __slots__ = ("_idle", "_loads")

    def __init__(self) -> None:
        self._loads: tuple[int, ...] = _NOTHING
        self._idle = 0

    def idle(self, periods: int) -> None:
        """Note periods in which nobody waited."""
        self._idle += periods

    def add(self, stalled_us: int) -> bool:
        """Note a period in which somebody waited for ``stalled_us``; return whether an average shows more."""
        if not stalled_us:
            self._idle += 1
            return False
        active = stalled_us * 100 // PERIOD_US * _ONE  # whole percents, as the kernel has them
        before = self._decayed()
        after = tuple(_load(load, exponent, active) for load, exponent in zip(before, EXPONENTS, strict=True))
        self._loads, self._idle = after, 0
        return any(new * 100 >> _SHIFT > old * 100 >> _SHIFT for new, old in zip(after, before, strict=True))

    def settled(self, stalled_us: int) -> bool:
        """Whether another such period would change nothing."""
        active = stalled_us * 100 // PERIOD_US * _ONE
        return not self._idle and all(
            _load(load, exponent, active) == load for load, exponent in zip(self._loads, EXPONENTS, strict=True)
        )

    def shown(self) -> tuple[float, ...]:
        """Return them in percent, with the two decimals that ``/proc/pressure/memory`` shows."""
        if self._loads == _NOTHING:
            return _NOTHING
        return tuple(round((load >> _SHIFT) + ((load & _ONE - 1) * 100 >> _SHIFT) / 100, 2) for load in self._decayed())

    def _decayed(self) -> tuple[int, ...]:
        if not self._idle or not any(self._loads):
            return self._loads
        return tuple(
            _load(load, _power(exponent, self._idle), 0) for load, exponent in zip(self._loads, EXPONENTS, strict=True)
        )


def _load(load: int, exponent: int, active: int) -> int:
    """Return the next average (``calc_load`` of include/linux/sched/loadavg.h)."""
    new = load * exponent + active * (_ONE - exponent)
    return (new + _ONE - 1 if active >= load else new) >> _SHIFT


def _power(exponent: int, periods: int) -> int:
    """Return an exponent to the power of ``periods`` (``fixed_power_int`` of kernel/sched/loadavg.c)."""
    result, half = _ONE, 1 << _SHIFT - 1
    while periods:
        if periods & 1:
            result = result * exponent + half >> _SHIFT
        periods >>= 1
        exponent = exponent * exponent + half >> _SHIFT
    return result


class _Waiting:
    """For how long somebody has waited, ``waited`` millionths of a microsecond until ``at``.

    Somebody waits until ``busy_until``, and from then on for a share ``ppm`` of the time, in millionths.
    """

    __slots__ = ("at", "busy_until", "ppm", "waited")

    def __init__(self) -> None:
        self.at = self.busy_until = self.ppm = self.waited = 0

    def until(self, to: int) -> int:
        """Return what will have been waited at ``to``."""
        at = self.at
        if self.busy_until <= at:
            return self.waited + (to - at) * self.ppm
        busy = min(self.busy_until, to) - at
        return self.waited + busy * _MILLION + (to - at - busy) * self.ppm

    def go(self, to: int) -> None:
        """Let time pass."""
        self.waited = self.until(to)
        self.at = to

    def more(self, caused_us: int, ppm: int) -> None:
        """Have more to wait for from now on."""
        self.busy_until = max(self.busy_until, self.at) + caused_us
        self.ppm = ppm


class Stalls:
    """What makes somebody in the guest wait for memory. ``clock`` tells the microsecond.

    * Memory that is taken back by whoever asks for more (direct reclaim); most is by kswapd, for which nobody waits.
    * The last attempts before the out-of-memory killer comes, and the tick after it.
    * Pages of files that programs go on reading and that were dropped: they come from disk, and where there is no room
      for them again and again (:mod:`sim.guest.read_back`). This one lasts.

    Somebody waits for one thing after the other. For a part of that time nobody else has anything to do either.
    """

    def __init__(self, parameters: GuestParameters) -> None:
        self.clock: Callable[[], int] = lambda: 0
        self._direct = parameters.direct_user_share, parameters.direct_kernel_share
        self._page_us = parameters.direct_page_us
        self._kill_us = parameters.kill_stall_us
        self._active = parameters.cache_active_share
        # What a page that is missing makes somebody wait, in millionths of the time.
        self._each_ppm = parameters.refault_us / parameters.cache_reuse_seconds
        self._full_ppm = round(parameters.full_stall_share * _MILLION)
        self.lost = 0
        """Pages missing of those that programs go on reading."""
        self.dropped: Callable[[], None] = lambda: None
        """Called when page cache was given up and some is missing."""
        self._sooner = 0.0
        """How many more pages would have to be missing for as many to be read in a period as are now."""
        self._owed = 0.0
        self._rises = 0
        self._notes: list[tuple[int, int, int]] = []
        """Since the last look: when how many more microseconds were to be waited for, and what share from then on."""
        self._noted = _Waiting()
        """With all notes: the time since boot is always known."""
        self._seen = _Waiting()
        """Without them: up to when averages are worked out."""
        self._closed_us = self._closed_full_us = 0
        """Since boot, at the end of the last period."""
        self._some, self._full = Averages(), Averages()

    # What happens ----------------------------------------------------------------------------------------------------

    def reclaimed(self, pages: int, *, kernel: bool) -> None:
        """Note pages that were taken back for a request of the kernel's, or for user pages."""
        self._owed += pages * self._direct[kernel] * self._page_us
        whole = int(self._owed)
        if whole:
            self._owed -= whole
            self._note(whole)

    def killed(self) -> None:
        """Note that a request has found nothing, and somebody was killed for it."""
        self._note(self._kill_us)

    def cache_changed(self, load: Load) -> None:
        """Note that a load has other pages in the page cache now, or wants others."""
        self._lose(load, max(0, int(self._active * load.units) - load.user_pages()))

    def cache_gone(self, load: Load) -> None:
        """Note that nobody reads a load any more."""
        self._lose(load, 0)

    def read_next(self, sooner: float) -> bool:
        """Have missing pages be read now as often as if there were so many more; return whether that is a change."""
        if sooner == self._sooner:
            return False
        self._sooner = sooner
        self._note(0)
        return True

    def _lose(self, load: Load, pages: int) -> None:
        if pages != load.lost:
            self.lost += pages - load.lost
            load.lost = pages
            self._note(0)

    def _note(self, caused_us: int) -> None:
        notes, now = self._notes, self.clock()
        read = self.lost + self._sooner if self.lost else 0
        ppm = min(_MILLION, int(read * self._each_ppm) // _GRAIN * _GRAIN)
        self._noted.go(now)
        self._noted.more(caused_us, ppm)
        if notes and notes[-1][0] == now:
            caused_us += notes.pop()[1]
        notes.append((now, caused_us, ppm))
        if len(notes) >= _MOST_NOTES:
            self._work_out(now)

    # What is seen ----------------------------------------------------------------------------------------------------

    def rises(self) -> int:
        """Return how often averages have risen since boot."""
        if not self._quiet():
            self._work_out(self.clock())
        return self._rises

    def rises_at(self) -> int | None:
        """Return the microsecond at which averages may rise next with nothing new to wait for; None if they cannot."""
        if self._quiet():
            return None
        self._work_out(self.clock())
        seen = self._seen
        if not self._waits() and (not seen.ppm or self._settled()):
            return None
        return seen.at - seen.at % PERIOD_US + PERIOD_US

    def _quiet(self) -> bool:
        """Whether nobody waits, nor has since the last look: averages can only fall until something is noted."""
        return not (self._notes or self._seen.ppm or self._waits())

    def _waits(self) -> bool:
        """Whether somebody waits for a time that is known, or has in the period that is not over."""
        seen = self._seen
        return seen.busy_until > seen.at or seen.waited // _MILLION != self._closed_us

    def total_us(self, now_us: int) -> int:
        """Return for how long somebody has waited from boot until ``now_us``. Cheap: each sample has it."""
        noted = self._noted
        if noted.busy_until <= noted.at:  # as ``until``, without a call
            return (noted.waited + (now_us - noted.at) * noted.ppm) // _MILLION
        return noted.until(now_us) // _MILLION

    def totals_us(self, times: range) -> list[int]:
        """Return :meth:`total_us` of each of these microseconds, which are not before the last note."""
        noted = self._noted
        if not noted.ppm and noted.busy_until <= times[0]:  # nobody waits any more
            return [self.total_us(times[0])] * len(times)
        return [self.total_us(time) for time in times]

    def pressure(self) -> Pressure:
        """Return what ``/proc/pressure/memory`` shows now."""
        self._work_out(self.clock())
        total = self._seen.waited // _MILLION
        full = self._closed_full_us + self._full_of(total - self._closed_us)
        some10, some60, some300 = self._some.shown()
        full10, full60, full300 = self._full.shown()
        return Pressure(some10, some60, some300, total, full10, full60, full300, full)

    def _full_of(self, some_us: int) -> int:
        return some_us * self._full_ppm // _MILLION

    def _work_out(self, now_us: int) -> None:
        for at, caused_us, ppm in self._notes:
            self._pass(at)
            self._seen.more(caused_us, ppm)
        self._notes.clear()
        self._pass(now_us)

    def _pass(self, to: int) -> None:
        """Let time pass until ``to``, period by period."""
        seen = self._seen
        while seen.at < to:
            over = seen.at % PERIOD_US
            end = seen.at - over + PERIOD_US
            if not over and to >= end and self._skip(to):
                continue
            seen.go(min(end, to))
            if seen.at == end:
                self._close()

    def _skip(self, to: int) -> bool:
        """Pass over whole periods in which averages stay as they are, or nobody waits; False if there are none."""
        seen = self._seen
        if seen.busy_until > seen.at:
            return False
        periods = (to - seen.at) // PERIOD_US
        stalled = PERIOD_US * seen.ppm // _MILLION
        if not stalled:
            self._some.idle(periods)
            self._full.idle(periods)
        elif not self._settled():
            return False
        seen.go(seen.at + periods * PERIOD_US)
        self._closed_us += periods * stalled
        self._closed_full_us += periods * self._full_of(stalled)
        return True

    def _settled(self) -> bool:
        """Whether another period like those that last would leave the averages as they are."""
        stalled = PERIOD_US * self._seen.ppm // _MILLION
        return self._some.settled(stalled) and self._full.settled(self._full_of(stalled))

    def _close(self) -> None:
        stalled = self._seen.waited // _MILLION - self._closed_us
        full = self._full_of(stalled)
        rose = self._some.add(stalled)
        self._rises += self._full.add(full) or rose
        self._closed_us += stalled
        self._closed_full_us += full
