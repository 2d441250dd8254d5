"""Figures of stored results: each function returns one, which is shown or saved.

It must not know how cells are run; what a figure says beside what it shows is worked out in ``sim/analysis``.
"""
