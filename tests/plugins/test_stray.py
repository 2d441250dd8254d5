"""Clocks and dice are seen whichever way they were imported, with the line; streams of one's own are none."""

from __future__ import annotations

import datetime as dt
import logging
import os
import random
import secrets
import time
import uuid
from random import choice
from time import perf_counter as count
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sim.plugins.stray import Stray
from sim.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS: dict[str, tuple[Callable[[], object], str]] = {
    "time": (time.time, "the clock, time.time()"),
    "imported by name": (count, "the clock, time.perf_counter()"),
    "monotonic": (time.monotonic_ns, "the clock, time.monotonic_ns()"),
    "now": (dt.datetime.now, "the clock, datetime.now()"),
    "today": (dt.date.today, "the clock, date.today()"),
    "random": (random.random, "the shared generator of Python's module random"),
    "choice": (lambda: choice([1, 2]), "the shared generator of Python's module random"),  # noqa: S311
    "urandom": (lambda: os.urandom(2), "random numbers of the operating system"),
    "secrets": (secrets.token_hex, "random numbers of the operating system"),
    "uuid4": (uuid.uuid4, "random numbers of the operating system"),
    "a generator without a seed": (np.random.default_rng, "random numbers of the operating system"),
    "numpy": (np.random.random, "numpy.random's shared generator"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_each_look_is_found(name: str) -> None:
    look, words = LOOKS[name]
    stray = Stray()
    with stray:
        look()
    stray.numpy_drawn()
    (found,) = stray.found
    assert words in found
    assert name == "numpy" or "in test_stray.py, line" in found


def test_what_a_seed_rules_is_none() -> None:
    stray, streams, own = Stray(), Streams(1, 0), random.Random(4)  # noqa: S311  not secret
    with stray:
        streams("a").integers(5)
        own.random()
        np.random.default_rng(5).random()
        dt.datetime.fromtimestamp(0, dt.UTC)
        time.sleep(0)
        logging.getLogger("mine").warning("a line of a log has its time")
    stray.numpy_drawn()
    assert stray.found == []
