"""The host's side: what a machine is made of, its memory map at boot, its slots, addresses and verbs.

It must not know policies by name, experiments, files.
"""
