"""For authors of workloads: :func:`check_workload` holds a workload to the contract, in processes of its own."""

from __future__ import annotations

from workloads.testkit.check import WorkloadCheckError, check_workload

__all__ = ["WorkloadCheckError", "check_workload"]
