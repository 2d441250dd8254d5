"""Demand traces: files that say how much memory machines used over time, read in bounded memory, series by series.

It must not know workloads, or anything of the simulation.
"""
