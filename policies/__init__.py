"""Onlining policies, a file or package each: which zone does a memory block go to when it is put online?

``contract`` is what a policy is. They must not know each other, time, devices or workloads.
"""
