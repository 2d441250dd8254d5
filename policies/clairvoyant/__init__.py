"""The bound: a policy that knows what is to come, and plans the zones for it."""

from __future__ import annotations

from policies.clairvoyant.policy import Clairvoyant

__all__ = ["Clairvoyant"]
