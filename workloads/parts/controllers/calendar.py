"""Times of the week, and when they come on a real calendar in a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.faults import shown
from sim.plugins.parameter_types import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM: Final = "such as 06:30, Mon 06:30, Mon-Fri 06:30 or Sat,Sun 06:30:15"
_WEEK: Final = 7


class TimeOfWeek(NamedTuple):
    """A time of day on some ``days``, 0 for Monday to 6, in whole ``seconds`` since midnight by the clock."""

    days: frozenset[int]
    seconds: int


def read_time(text: str) -> TimeOfWeek:
    """Read a time of the week, without days one of each. Raises ValueError where it is none."""
    words = text.split()
    if len(words) not in (1, 2):
        raise ValueError(f"must be a time {_FORM}, but is {shown(text)}")
    days = _read_days(words[0], text) if len(words) == 2 else frozenset(range(_WEEK))  # noqa: PLR2004  days and time
    parts = words[-1].split(":")
    if len(parts) not in (2, 3) or not all(len(part) == 2 and part.isascii() and part.isdigit() for part in parts):  # noqa: PLR2004
        raise ValueError(f"must be a time {_FORM}, but is {shown(text)}")
    hours, minutes, seconds = (*map(int, parts), 0)[:3]
    if hours > 23 or minutes > 59 or seconds > 59:  # noqa: PLR2004  of a day
        raise ValueError(f"must be a time from 00:00 to 23:59:59, but is {shown(text)}")
    return TimeOfWeek(days, 3600 * hours + 60 * minutes + seconds)


def _read_days(word: str, text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in word.split(","):
        ends = [end.capitalize() for end in part.split("-")]
        if len(ends) > 2 or any(end not in _DAYS for end in ends):  # noqa: PLR2004  from and to
            raise ValueError(f"must begin with days from {', '.join(_DAYS)}, {_FORM}, but is {shown(text)}")
        first, last = _DAYS.index(ends[0]), _DAYS.index(ends[-1])
        days.update(day % _WEEK for day in range(first, last + 1 + (_WEEK if last < first else 0)))
    return frozenset(days)


@dataclass(frozen=True)
class Clock(Text):
    """A time of the week, as :func:`read_time` takes it."""

    word = "time"

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return f"a time {_FORM}"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no time."""
        if not isinstance(value, str):
            yield f"must be a time {_FORM}, but is {shown(value)}"
            return
        try:
            read_time(value)
        except ValueError as fault:
            yield str(fault)


@dataclass(frozen=True)
class LocalTime(Text):
    """A date and a time of day by the clock, without a time zone."""

    word = "date and time"

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return "a date and time by the clock, such as 2026-11-23T00:00"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no date and time, or has a time zone."""
        try:
            good = isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None
        except ValueError:
            good = False
        if not good:
            yield f"must be {self.in_words}, but is {shown(value)}"
        elif isinstance(value, str) and not 1900 <= datetime.fromisoformat(value).year <= 9000:  # noqa: PLR2004
            yield f"must be from 1900 to 9000, but is {shown(value)}"


@dataclass(frozen=True)
class Zone(Text):
    """A time zone by its name in the tz database, or UTC."""

    word = "time zone"

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return "a time zone of the tz database, such as Europe/Berlin, or UTC"

    def complaints(self, value: object) -> Iterator[str]:
        """Find fault with what is no time zone here."""
        if not isinstance(value, str) or zone_of(value) is None:
            yield f"must be {self.in_words}, but is {shown(value)}"


def zone_of(name: str) -> tzinfo | None:
    """Return the time zone of this name; None where the tz database of this machine has none."""
    if name == "UTC":  # which needs no tz database
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not there; a folder; no name
        return None


def occurrences(
    entries: Sequence[tuple[TimeOfWeek, Any]], begins: datetime, zone: tzinfo, seconds: float
) -> list[tuple[int, Any]]:
    """Return when the ``entries`` come from ``begins`` on, a local time, for so many ``seconds``.

    Each is (seconds since the beginning, what belongs to the entry), in order; the first has time 0, with what came
    last until then. Of entries at one moment the one that stands last counts. A time that the clocks leave out comes as
    much later as they are put forward; of one that comes twice the first counts.
    """
    origin = round(begins.replace(tzinfo=zone).timestamp())
    midnight = datetime(begins.year, begins.month, begins.day)  # noqa: DTZ001  by the clock
    found: dict[int, Any] = {}
    # A day more on either side: an hour may be put forward or back.
    for day in range(-_WEEK - 1, int(seconds // 86400) + 3):
        date = midnight + timedelta(days=day)
        for time, what in entries:
            if date.weekday() in time.days:
                local = date + timedelta(seconds=time.seconds)
                at = round(local.replace(tzinfo=zone).timestamp()) - origin
                found.pop(at, None)
                found[at] = what
    before = [at for at in found if at <= 0]
    later = sorted(at for at in found if 0 < at <= seconds)
    return [(0, found[max(before)]), *((at, found[at]) for at in later)]
