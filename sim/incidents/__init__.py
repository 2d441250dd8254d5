"""Published incidents as experiments, and what their runs must show.

It stands on experiments; only the command and the tests know it.
"""
