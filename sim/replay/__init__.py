"""Recordings of real kernels, replayed on the model: zones block for block, guests under load with tolerances.

It must not know experiments, results or plots.
"""
