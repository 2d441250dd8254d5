"""Discrete-event simulation of Linux memory hotplug: the model, the engine, the scores and the command."""

__version__ = "0.1.0"
