"""A process that checks one policy for :func:`policies.testkit.verdicts.policy_verdicts`."""

from __future__ import annotations

from policies.testkit.verdicts import handle
from sim.plugins.apart import answer_in_process

if __name__ == "__main__":
    answer_in_process(handle)
