"""A machine that is a host: virtual machines come and go, and each needs memory on a node, or on two."""

from __future__ import annotations

from workloads.host_packing.workload import HostPacking

__all__ = ["HostPacking"]
