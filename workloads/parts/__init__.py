"""What workloads share: checks, random draws, plans, tables, shapes of traffic. No workload lives here.

``Together`` runs several workloads side by side; it is made by an experiment, never named by one.
"""
