"""What exists: nodes, zones, memory blocks and memory groups, with their counters kept up to date.

It must not know policies, devices, time or randomness: it imports nothing of the rest but units.
"""
