"""A machine at one moment: put together from what files say, or pictured from files or a run, as ``lsmem`` shows it.

The package must not know how a file is read, how a run is made, commands, or results' plots.
"""
