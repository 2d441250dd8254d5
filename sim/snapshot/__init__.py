"""What people have of a machine: files that are recognised and read, what they say together, and ``lsmem``'s view.

The package must not know how a run is made, commands, or results' plots.
"""
