"""Workloads, a file each: what the host asks of its guest's memory, and when.

``contract`` is what a workload is. They must not know each other, policies or the guest's insides.
"""
