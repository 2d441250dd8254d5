"""Tables and figures from stored results: comparison, regret, trade-off, plots.

It must not know how cells are run, and cannot change a result.
"""
