"""Where code looks that no seed rules: clocks, and random numbers that are not those of its streams.

A policy or workload that does so gives other results each time it is run, and no seed brings them back.
"""

from __future__ import annotations

import gc
import logging
import random
import sys
from datetime import date
from pathlib import Path
from types import BuiltinMethodType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_CLOCKS: Final = {
    f"{name}{unit}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
    for unit in ("", "_ns")
} | {"localtime", "gmtime", "ctime", "times"}
_NOW: Final = {"now", "utcnow", "today"}
_CHANCE: Final = {"urandom", "getrandom"}
_OPERATING_SYSTEM: Final = {"posix", "nt"}
_SHARED: Final = random.random.__self__  # type: ignore[attr-defined]  # what the functions of the module draw from
_ROOT: Final = Path(__file__).resolve().parents[2]
_SIMULATOR: Final = str(_ROOT / "sim")
_LIBRARIES: Final = (str(Path(random.__file__).parent), str(Path(np.__file__).parent.parent), "<frozen")

_HARMLESS: Final = ("<frozen importlib", str(Path(logging.__file__).parent))
"""Who looks at clocks without anything hanging on them: imports, and lines of a log."""


class Stray:
    """Finds such looks in the body of a ``with``, which may be entered many times. ``found`` has them, each once.

    Calls are seen whichever way the function was imported. A module that looks when it is imported is not told: that
    happens once, and in the same way for all who use it.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._before: Any = None
        self._collects = False
        self._numpy = _numpy_state()

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        # A collection calls whoever wants to know of it, in the middle of anything: Hypothesis, which looks at a clock.
        self._collects = gc.isenabled()
        gc.disable()
        sys.setprofile(self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.setprofile(self._before)
        if self._collects:
            gc.enable()

    def numpy_drawn(self) -> None:
        """Look whether NumPy's shared generator has moved, which is told by no call. To be called at the end."""
        state = _numpy_state()
        if state != self._numpy:
            self._numpy = state
            self._note("numpy.random's shared generator, by np.random.random() or one like it", None)

    def _look(self, frame: FrameType, event: str, called: object) -> None:
        if event == "c_call" and isinstance(called, BuiltinMethodType) and (what := _stray(called)):
            self._note(what, frame)

    def _note(self, what: str, frame: FrameType | None) -> None:
        where = ""
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(_HARMLESS):
                return
            if not where and not name.startswith(_LIBRARIES):
                if name.startswith(_SIMULATOR):
                    return  # the simulator's own business, which decides nothing
                where = f" in {Path(name).name}, line {frame.f_lineno}"
            frame = frame.f_back
        if (text := f"{what}{where}") not in self.found:
            self.found.append(text)


def _stray(called: BuiltinMethodType) -> str:
    """Return what a function looks at, empty where that is nothing of the kind."""
    name, owner = called.__name__, called.__self__
    module = getattr(called, "__module__", None)
    if module == "time" and name in _CLOCKS:
        return f"the clock, time.{name}()"
    if module in _OPERATING_SYSTEM and name in _CHANCE:
        return f"random numbers of the operating system, os.{name}()"
    if name in _NOW and isinstance(owner, type) and issubclass(owner, date):
        return f"the clock, {owner.__name__}.{name}()"
    return "the shared generator of Python's module random" if owner is _SHARED else ""


def _numpy_state() -> tuple[bytes, int, int]:
    _, keys, place, has_gauss, _ = np.random.get_state()  # noqa: NPY002  it is what is watched
    return np.asarray(keys).tobytes(), int(place), int(has_gauss)
