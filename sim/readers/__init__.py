"""Files that people have of a machine: opened within bounds, recognised by what is in them, and what each says.

The package must not know what files say together, or anything of the simulation.
"""
