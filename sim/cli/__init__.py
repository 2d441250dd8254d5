"""The command ``memhp-sim``: one module for each sub-command, and what they print with.

It knows everything below, and nothing imports it.
"""
