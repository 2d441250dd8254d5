"""Look-alikes: small generated data sets, fitted to published figures of real ones that cannot be shipped.

It must not know how traces are read, or anything of the simulation.
"""
