"""How far a cell came, and how it failed where it did not complete."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Whether a cell's results are there, as the column ``status`` of the table ``runs`` says it."""

    COMPLETED = "completed"
    FAILED = "failed"


class Stage(StrEnum):
    """What a cell was doing when it failed, as the column ``stage`` of the table ``runs`` says it, or COMPLETED."""

    COMPLETED = "completed"
    """The cell did not fail; files have nothing in its place."""
    BUILD = "build"
    """Machine, policy, workload and guest were being made."""
    SIMULATE = "simulate"
    """The run was under way."""
    POLICY = "policy"
    """The policy raised or answered what is no answer."""
    WORKLOAD = "workload"
    """The workload raised or asked for what is no request."""
    SCORE = "score"
    """The run was over and being summed up."""
    STORE = "store"
    """The results were being written."""
    WORKER = "worker"
    """The process that ran the cell died."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a cell failed: in which ``stage``, the ``error`` in one line, the ``traceback`` (empty if there is none)."""

    stage: Stage
    error: str
    traceback: str = ""
