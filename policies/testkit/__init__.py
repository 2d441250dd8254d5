"""For authors of policies: :func:`check_policy` holds a policy to the contract on random machines."""

from __future__ import annotations

from policies.testkit.check import PolicyCheckError, check_policy

__all__ = ["PolicyCheckError", "check_policy"]
