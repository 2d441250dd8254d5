"""Experiments: the file that describes one, the cells it stands for, and how they are run."""
