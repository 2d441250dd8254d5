"""Clocks and dice are seen whichever way they were imported, with the line; streams of one's own are none."""

from __future__ import annotations

import datetime as dt
import gc
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


def test_who_is_told_of_collections_may_look_at_a_clock() -> None:
    def told(_phase: str, _info: dict[str, int]) -> None:
        time.perf_counter()

    gc.callbacks.append(told)
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        with Stray() as stray:
            kept = [[number] for number in range(100)]
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(told)

    assert len(kept) == 100
    assert stray.found == []
    assert gc.isenabled()


def test_it_leaves_a_collector_off_that_was_off() -> None:
    gc.disable()
    try:
        with Stray():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
