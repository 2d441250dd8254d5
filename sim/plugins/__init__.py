"""Plug-ins: finding policies and workloads by name, their parameters, and making them from plain values.

It must not know what any of them does.
"""
