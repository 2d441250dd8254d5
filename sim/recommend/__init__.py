"""Which setting to take: candidates, limits, ranking and selection, how sure that is, and how to set it.

It must not know policies or scores by name, but for how a kernel is told.
"""
