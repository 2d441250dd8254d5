"""Experiments that tests run: small, and complete down to every key that a test changes."""

from __future__ import annotations

from typing import Any


def small(**changed: Any) -> dict[str, Any]:  # noqa: ANN401  whatever TOML can hold
    """Return a valid experiment of two policies on two workloads that runs in well under a second."""
    return {
        "seed": 7,
        "replications": 2,
        "machines": [{"label": "vm", "boot_memory": "1GiB"}],
        "policies": [{"name": "contig-zones"}, {"name": "auto-movable", "ratio": 301}],
        "workloads": [
            {"name": "request-replay", "label": "sail", "log": "sail-2026"},
            {
                "name": "dimm-slots",
                "label": "dimms",
                "slots": 4,
                "sizes": ["512MiB", "1GiB"],
                "interval": 30,
                "duration": 600,
            },
        ],
        **changed,
    }


BAD_POLICIES = """
import time

from policies.contract import Explanation, Policy
from sim.memory.zones import ZoneType


class Fine(Policy):
    name = "fine"
    summary = "decides"

    def zone_for(self, request, memory):
        return ZoneType.MOVABLE

    def explain(self, request, memory):
        return Explanation(ZoneType.MOVABLE, "always", {})


class Raising(Fine):
    def zone_for(self, request, memory):
        raise KeyError("what is this")


class Nonsense(Fine):
    def zone_for(self, request, memory):
        return "ZONE_MOVABLE"


class Hanging(Fine):
    def zone_for(self, request, memory):
        while True:
            time.sleep(0.01)


class Stubborn(Fine):
    def zone_for(self, request, memory):
        while True:
            try:
                time.sleep(0.01)
            except BaseException:
                pass


class Dying(Fine):
    def zone_for(self, request, memory):
        import os

        os._exit(3)
"""
"""Policies that fail in the ways there are, and one that does not."""
