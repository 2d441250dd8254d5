"""What workloads share: checks, random draws, plans, tables, shapes of traffic. No workload lives here.

``requests`` is about logs of requests, ``controllers`` about those who look at a guest and ask, ``traces`` about demand
that was recorded; they use what lies beside them. What makes up one workload alone is a package of that workload.
``Together`` runs several workloads side by side; it is made by an experiment, never named by one.
"""
