"""NeonVM's autoscaler: agent, goals and the monitor in the guest."""

from __future__ import annotations

from workloads.neonvm.workload import NeonVM

__all__ = ["NeonVM"]
