"""What the page about devices says in figures is what the code does."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from sim.kernel.timing import Timing
from sim.units import MICROSECONDS
from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "devices.md").read_text("utf-8")
DOCUMENTED = {key: float(value) for key, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)}


def test_every_duration_is_listed() -> None:
    assert list(DOCUMENTED) == [entry.name for entry in fields(Timing)]


@pytest.mark.parametrize("key", [entry.name for entry in fields(Timing)])
def test_defaults_are_the_codes(key: str) -> None:
    assert round(DOCUMENTED[key] * MICROSECONDS) == getattr(Timing(), key)


@pytest.mark.parametrize("name", ["EEXIST", "EINVAL", "ENOSPC", "EBUSY", "ENODEV"])
def test_the_hosts_errors_are_listed(name: str) -> None:
    assert f"| {name} | " in PAGE
