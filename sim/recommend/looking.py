"""A look at what a cell plugs and does, before anything is recommended: its run, of which nothing is kept but this."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.faults import InputError, let_pass, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.devices.specs import DeviceSpec
    from sim.experiment.plan import Cell
    from sim.record.run_result import RunResult

    Look = Callable[[Cell], "Looked"]
    """How a cell is looked at, in this process or in another."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of a run: ``did``, equal where two did the same, and the ``devices`` that it has, each once.

    ``error`` is why there was no run, nothing where there was one.
    """

    did: str = ""
    devices: tuple[DeviceSpec, ...] = ()
    error: str = ""


def look(cell: Cell, timeout: float | None = None) -> Looked:
    """Return what is seen of a cell's run, in ``timeout`` seconds at most. Nothing that it does wrong leaves this."""
    from sim.experiment.recording import record
    from sim.experiment.run_cell import CellTimeoutError, time_limit

    try:
        with time_limit(timeout):
            result, requests = record(cell)
    except CellTimeoutError:
        return Looked(error=f"it took longer than the cell_timeout of {timeout:g} s")
    except InputError as error:
        return Looked(error=str(error))
    except BaseException as error:  # noqa: BLE001  whatever a workload's code does: its runs will show it
        let_pass(error)
        return Looked(error=" ".join(f"{type(error).__name__}: {text_of(error)}".split()))
    devices = {request.spec.id: request.spec for request in requests if request.spec is not None}
    return Looked(_did(result), tuple(devices.values()))


def _did(result: RunResult) -> str:
    digest = hashlib.sha256(result.events.tobytes())
    for name, series in sorted(result.guest.items()):
        digest.update(f"{name}{series.dtype}{series.shape}".encode())
        digest.update(series.tobytes())
    return digest.hexdigest()
