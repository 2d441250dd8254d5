"""Workloads: what the host asks of its guest's memory, and when."""
