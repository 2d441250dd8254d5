"""What policies are held against: the best zones that can be found by rehearsing the run."""

from __future__ import annotations

from policies.clairvoyant.policy import Clairvoyant

__all__ = ["Clairvoyant"]
