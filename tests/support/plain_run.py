"""Runs for the plain recomputation of scores that have never been in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.record.device_group import GroupKind
from tests.plain.run_files import PlainRun

if TYPE_CHECKING:
    from sim.record.run_result import RunResult

CODES = {GroupKind.STATIC: 0, GroupKind.NONE: -1}
"""Of groups that have no unit, as in the files."""


def plain_run(run: RunResult) -> PlainRun:
    """Return ``run`` as it would come back from its files."""
    return PlainRun(
        events=run.events.tolist(),
        guest={name: values.tolist() for name, values in run.guest.items()},
        devices=len(run.device_names),
        units=[CODES.get(group.kind, group.unit_pages) for group in run.device_groups],
        block_pages=run.block_pages,
        duration_us=run.duration_us,
        boot_runs=run.boot.runs,
        kernel_pages=run.boot.kernel_pages,
        movable_pages=run.boot.movable_pages,
        cma_pages=run.boot.cma_pages,
        configured_ratio=run.configured_ratio,
        counters=run.counters,
    )
