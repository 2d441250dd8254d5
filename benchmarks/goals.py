"""What the benchmarks hold the program to: the rows of the table of ``docs/performance.md``, each with its limit.

A row is measured by the benchmark of its name: ``pytest benchmarks -k dimm_unplugged`` measures those that begin so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BARE_EVENT_US: Final = 0.67
"""What a bare SimPy timeout took where goals were stated in seconds, in microseconds of CPU time."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure called ``what`` that is to be at most ``most``; all are ratios within one process or one run."""

    what: str
    most: float


def bare_events(seconds: float) -> float:
    """Return a goal that was stated in ``seconds`` of CPU time as a number of bare events."""
    return seconds * 1e6 / BARE_EVENT_US


GOALS: Final = {
    # A whole command.
    "quickstart_run": Goal("`run quickstart`, nothing computed yet, CPU against its simulations'", 1.3),
    "quickstart_again": Goal("`run quickstart` again, nothing to do, in million bare events", bare_events(1.5) / 1e6),
    # The guest.
    "guest_on_a_triangle": Goal("guest on against off: virtio-mem up and down by 1 GiB", 1.3),
    "guest_on_the_mix": Goal("guest on against off: a mix of devices and programs", 2),
    "guest_on_the_logs": Goal("guest on against off: recorded logs of requests", 1.3),
    # A request, a block.
    "one_block_request_without_guest": Goal("a request of one block by `run_cell`, no guest, in bare events", 8),
    "one_block_request_with_guest": Goal("a request of one block by `run_cell`, guest on, in bare events", 12),
    "one_block_of_many_without_guest": Goal("a block of a large request, settings to files, no guest, bare events", 2),
    "one_block_of_many_with_guest": Goal("a block of a large request, settings to files, guest on, bare events", 3),
    # What must not grow.
    "many_blocks_without_guest": Goal("a request of one block at 131,072 blocks against 128, no guest", 1.2),
    "many_blocks_with_guest": Goal("a request of one block at 131,072 blocks against 128, guest on", 1.2),
    "dimm_unplugged_without_guest": Goal("a free DIMM of 8,192 blocks unplugged against one of one block, no guest", 3),
    "dimm_unplugged_with_guest": Goal("a free DIMM of 8,192 blocks unplugged against one of one block, guest on", 3),
    "many_devices": Goal("the 5,000th device attached against the 100th", 1.2),
    "many_nodes": Goal("64 nodes against one, guest on", 1.5),
    "bytes_a_block_without_guest": Goal("bytes a block, its record included, no guest", 32),
    "bytes_a_block_with_guest": Goal("bytes a block, its record included, guest on", 64),
    # Many cells.
    "two_workers": Goal("real time of two workers against one, cores being free", 1 / 1.95),
    "outside_simulations": Goal("percent of CPU time outside of simulations, two workers", 5),
    "files": Goal("files of the results, for 20,000 cells", 1_000),
    "events_in_parts": Goal("memory to go through all events in parts, against half of them", 1.2),
    "events_of_some": Goal("CPU time to read the events of a twentieth of the cells, against all", 0.2),
    "fleet": Goal("a cell of 30 days of 5-minute demand, guest on, in thousand bare events", bare_events(0.3) / 1e3),
    # Against programs that do nothing else.
    "against_plain_python": Goal("against a plain Python script for the same events", 3),
    "against_c": Goal("against a loop in C for the same events", 80),
}
"""By the name of the benchmark, less its ``test_``.

Seconds were stated for two: 1.5 of them for a run with nothing to do, and 10 minutes on two cores
for 4,000 cells, 0.3 a cell.
"""
