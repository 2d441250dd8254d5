"""What stored results say: comparison, intervals, ranking, regret, verdict.

It must not know how cells are run, and cannot change a result.
"""
