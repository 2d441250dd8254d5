"""How a plug-in describes one of its parameters, for listings and for messages.

A leaf: imports nothing of the simulator.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a policy, workload or device.

    ``name`` is the key in an experiment file, ``type`` what is written there (``"int"``, ``"size"``, ``"seconds"``,
    ``"bool"``, ``"str"``, ...), ``default`` the value as one would write it, ``unit`` its unit or ``"-"``,
    ``meaning`` one line.
    """

    name: str
    type: str
    default: object
    unit: str
    meaning: str
