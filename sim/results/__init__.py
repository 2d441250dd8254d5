"""The store: which file holds what, written whole or not at all; keys of cells; the manifest.

It must not know how cells are run.
"""
