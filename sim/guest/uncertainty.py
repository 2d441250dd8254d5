"""What is not known of guests: parameters drawn at random where recordings scatter, from streams of their own."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from sim.guest.parameters import SCATTER, GuestParameters

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import numpy as np


def draw_factors(streams: Callable[[str], np.random.Generator], fixed: Collection[str] = ()) -> dict[str, float]:
    """Return a factor for every parameter that scatters, but for those ``fixed``: most likely 1, always in its range.

    Each comes from the stream ``guest <parameter>``, so that a range more or less changes no other factor.
    """
    return {
        name: float(streams(f"guest {name}").triangular(scatter.low, 1.0, scatter.high))
        for name, scatter in sorted(SCATTER.items())
        if name not in fixed
    }


def highest_factors(fixed: Collection[str] = ()) -> dict[str, float]:
    """Return the highest factors that may be drawn."""
    return {name: scatter.high for name, scatter in SCATTER.items() if name not in fixed}


def scaled(parameters: GuestParameters, factors: Mapping[str, float]) -> GuestParameters:
    """Return ``parameters`` with those that ``factors`` name, and that scatter on this kernel, multiplied by them."""
    whole = {field.name for field in fields(GuestParameters) if field.type == "int"}
    changed: dict[str, float] = {}
    for name, factor in factors.items():
        if parameters.series not in SCATTER[name].series:
            continue
        value = getattr(parameters, name) * factor
        changed[name] = round(value) if name in whole else min(value, 1.0) if "_share" in name else value
    return replace(parameters, **changed)  # type: ignore[arg-type]
