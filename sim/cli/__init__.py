"""The command ``memhp-sim``: modules of one to three sub-commands each, and what they print with.

It must not know how anything is computed: it asks the rooms below, and nothing imports it.
"""
