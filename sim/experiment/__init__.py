"""From an experiment file to its cells and their runs: schema, faults, plan, executors.

It must not know plots or commands.
"""
