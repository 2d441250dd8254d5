"""An experiment to start from: of a machine, a demand, or like a shipped one, each line of its file explained.

It must not know how an experiment is run, or commands.
"""
