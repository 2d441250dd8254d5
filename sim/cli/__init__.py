"""The command ``memhp-sim``: one module for each sub-command, and what they print with.

It must not know how anything is computed: it asks the rooms below, and nothing imports it.
"""
