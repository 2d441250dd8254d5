"""A process that runs one workload for :func:`workloads.testkit.verdicts.workload_verdicts`."""

from __future__ import annotations

from sim.plugins.apart import answer_in_process
from workloads.testkit.verdicts import handle

if __name__ == "__main__":
    answer_in_process(handle)
