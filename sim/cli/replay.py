"""``memhp-sim replay`` and ``memhp-sim explain``: recorded kernels against the model, decisions with reasons."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sim.cli.console import print_json
from sim.cli.outputs import ended_where_nobody_reads
from sim.cli.settings import set_option
from sim.memory.blocks import named_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.experiment.plan import Cell
    from sim.kernel.diary import Decided, Note, Refused
    from sim.replay.load_comparison import TraceComparison
    from sim.replay.report import ReplayReport


@click.command()
@click.argument("traces", nargs=-1, required=True, metavar="TRACE...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a trace, one a line.")
@click.option(
    "--free",
    is_flag=True,
    help="Lay out boot memory, place devices and decide refusals without looking at the recording.",
)
@click.option("--brief", is_flag=True, help="Show only recordings that differ, and the sum.")
def replay(traces: tuple[Path, ...], *, as_json: bool, free: bool, brief: bool) -> None:
    """Replay recorded kernels (TRACE files) through the model and compare every block and zone after every step.

    Of recordings under load the zones of all blocks are compared, and a guest model meets the recorded demand: how its
    memory differs is reported as figures, not as mismatches.

    With --free the recording gives the machine's description and the requests, and nothing else. Where idle kernels
    have their few pages is chance: steps that differ for nothing else are named, and go on as recorded. Recordings
    under load are left out.

    Exit code 0 where all is identical, 1 where anything differs, 2 for a file that cannot be read or with nothing to
    compare.
    """
    from sim.cli.main import BAD_INPUT, FAILED
    from sim.cli.replay_tables import print_calibration, print_replays
    from sim.replay.free_run import free_run
    from sim.replay.load_replay import replay_with_load
    from sim.replay.trace_format import TraceError

    reports: list[ReplayReport] = []
    loads: list[TraceComparison] = []
    unreadable = 0
    for path in traces:
        try:
            report, load = (free_run(path), None) if free else replay_with_load(path)
        except TraceError as error:
            unreadable += 1
            click.echo(f"Error: {error}", err=True)
            continue
        if report is None:
            click.echo(f"{path}: left out, for it was recorded under load", err=True)
            continue
        reports.append(report)
        if load is not None:
            loads.append(load)
        if as_json:
            figures = {} if load is None else {"load": [step.to_json() for step in load.steps]}
            print_json(report.to_json() | figures, indent=None)
    if reports and not as_json:
        print_replays(reports, free=free, brief=brief)
    if loads and not (as_json or brief):
        print_calibration(loads)
    if free and not (reports or unreadable):
        click.echo("Error: nothing to run freely: all were recorded under load (memhp-sim calibration)", err=True)
    if unreadable or not reports:
        sys.exit(BAD_INPUT)
    sys.exit(0 if all(report.identical for report in reports) else FAILED)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FOLDER_or_TRACE...", type=click.Path(path_type=Path))
@click.option("--steps", is_flag=True, help="Print every compared figure, not only the worst of each recording.")
@click.option("--check", is_flag=True, help="Exit with 1 where more steps are off than is accepted.")
def calibration(paths: tuple[Path, ...], *, steps: bool, check: bool) -> None:
    """Compare the guest model with recordings of guests under load, worst recording first.

    FOLDERs are searched for recordings (*.json); those without load are left out. All steps are compared but those
    after a tie among equal processes, of which chance kills one. A step is off where any figure of it is not within its
    tolerance: free memory of a zone, what is plugged, or whether memory ran out.
    """
    from sim.cli.main import FAILED, BadInput
    from sim.cli.replay_tables import print_calibration
    from sim.replay.load_replay import LoadReplay
    from sim.replay.load_summary import total, worst_first
    from sim.replay.trace_format import TraceError, read_trace

    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    try:
        traces = [trace for trace in map(read_trace, files) if trace.has_load]
        loads = [LoadReplay(trace).compare() for trace in traces]
    except TraceError as error:
        raise BadInput(str(error)) from error
    if not loads:
        raise BadInput("there is no recording under load among the files given")
    print_calibration(loads, steps=steps)
    sys.exit(FAILED if check and not total(worst_first(loads)).accepted else 0)


@click.command()
@click.argument("file", metavar="TRACE_or_EXPERIMENT", type=click.Path(path_type=Path))
@click.option(
    "--policy", "policies", multiple=True, metavar="LABEL", help="Only this policy of an experiment. Repeatable."
)
@click.option("--workload", "workloads", multiple=True, metavar="LABEL", help="Only this workload. Repeatable.")
@click.option(
    "--replication", type=click.IntRange(min=0), default=0, show_default=True, help="Which replication to run."
)
@set_option
def explain(
    file: Path, *, policies: tuple[str, ...], workloads: tuple[str, ...], replication: int, settings: dict[str, Any]
) -> None:
    """Show the zone decisions of a recorded kernel's replay (.json) or an experiment (.toml), in order, with reasons.

    A line gives the step or the second, the block or blocks, the word that it was put online with, the zone and why.
    Adjacent blocks that were decided alike for the same reason share a line. Told as well: blocks that refuse to go
    offline, apart from those that went and are put back, what a driver failed at, with what was missing, what the host
    refuses by itself, and whom the out-of-memory killer took: what follows a choice among equals might as well have
    gone otherwise.
    """
    from sim.cli.main import BadInput
    from sim.experiment.shipped import find, refuse_slip
    from sim.replay.trace_format import TraceError

    file = find(file)
    if file.suffix == ".toml":
        with ended_where_nobody_reads():
            _explain_experiment(file, policies, workloads, replication, settings)
        return
    if settings:
        raise click.UsageError(f"--set is for experiments: {file} is a recording")
    refuse_slip(file)
    try:
        with ended_where_nobody_reads():
            _explain_trace(file)
    except TraceError as error:
        raise BadInput(str(error)) from error


def _explain_trace(path: Path) -> None:
    from sim.replay.kernel_replay import Replay
    from sim.replay.trace_format import read_trace

    trace = read_trace(path)
    run = Replay(trace, explain=True)
    click.echo(f"{trace.name}: {trace.about} (Linux {trace.kernel.split()[0]})")
    lines = _Lines()
    for number in run.steps():
        step = trace.steps[number]
        asked = " ".join(f"{key}={value}" for key, value in _request_of(step.model_dump(exclude_none=True)).items())
        click.echo(f"step {number}: {step.op} {asked}")
        for note in run.notes:
            lines.add("", note)
        lines.flush()
        run.notes.clear()
        if number in run.report.refused:
            click.echo(f"  {run.report.refused[number]} blocks refused to go offline (taken from the recording)")


def _request_of(step: dict[str, object]) -> dict[str, object]:
    """Return what a step asked for, without its outcome."""
    outcome = {
        "op",
        "after",
        "devices",
        "result",
        "detail",
        "seconds",
        "oom",
        "oom_count",
        "timeline",
        "columns",
        "program",
    }
    if "requested_size" in step:
        outcome.add("size")  # what a virtio-mem device had plugged in the end
    return {key: value for key, value in step.items() if key not in outcome and not isinstance(value, (dict, list))}


def _explain_experiment(
    path: Path, policies: tuple[str, ...], workloads: tuple[str, ...], replication: int, settings: dict[str, Any]
) -> None:
    from sim.cli.main import FAILED, BadInput
    from sim.experiment.load import load
    from sim.faults import unknown_name

    experiment = load(str(path), settings=settings).only((replication,))
    for what, asked, known in (
        ("policy", policies, experiment.policies),
        ("workload", workloads, experiment.workloads),
    ):
        for label in asked:
            if label not in known:
                raise BadInput(unknown_name(what, label, known))
    failed = False
    for cell in experiment.cells():
        parts = cell.combination
        if (not policies or parts.policy.label in policies) and (not workloads or parts.workload.label in workloads):
            click.echo(str(cell))
            failed |= not _explain_cell(cell, experiment.cell_timeout)
    if failed:
        sys.exit(FAILED)


def _explain_cell(cell: Cell, timeout: float | None) -> bool:
    """Run a cell and print its decisions as they are taken. Returns whether it ran to its end, in ``timeout`` s."""
    from sim.experiment import build
    from sim.experiment.run_cell import CellTimeoutError, in_one_line, time_limit
    from sim.faults import let_pass
    from sim.units import us_to_seconds

    lines = _Lines()

    def log(time: int, note: Note) -> None:
        lines.add(f"{us_to_seconds(time):14.6f} s  ", note)

    try:
        with time_limit(timeout), _ended_after(timeout, str(cell)):
            build.simulation(cell, log)()
    except CellTimeoutError:
        lines.flush()
        click.echo(f"Error: took longer than its cell_timeout of {timeout:g} s", err=True)
        return False
    except BaseException as error:  # noqa: BLE001  whatever a policy or workload does
        let_pass(error)
        cause: BaseException | None = error
        while cause is not None:  # SimPy raises a copy of what was raised
            if isinstance(cause, BrokenPipeError):  # nobody reads on, which is no fault of whoever was running
                raise cause from None
            cause = cause.__cause__
        lines.flush()
        click.echo(f"Error: {in_one_line(error)}", err=True)
        return False
    lines.flush()
    if lines.is_empty:
        click.echo("  nothing was decided: no block was put online or refused to go offline")
    return True


@contextlib.contextmanager
def _ended_after(timeout: float | None, cell: str) -> Iterator[None]:
    """End the program where the body goes on long after its time: it has caught what should have ended it."""
    if timeout is None:
        yield
        return
    from sim.cli.main import FAILED
    from sim.experiment.run_cell import GRACE

    def end() -> None:
        what = f"Error: {cell} took longer than its cell_timeout of {timeout:g} s, and would not be interrupted\n"
        sys.stdout.flush()
        os.write(2, what.encode("utf-8", "backslashreplace"))
        os._exit(FAILED)

    timer = threading.Timer(2 * timeout + GRACE, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Lines:
    """Prints notes, those of adjacent blocks that say the same on one line."""

    def __init__(self) -> None:
        self._pending: tuple[str, int, int, str] | None = None
        """When, the first block, how many, and what of them."""
        self.is_empty = True

    def add(self, when: str, note: Note) -> None:
        """Print a note, or hold it back while the next blocks fare alike."""
        from sim.kernel.diary import MISSED, Failed, Missed, OutOfMemory, Refused

        self.is_empty = False
        if isinstance(note, Missed):
            self.flush()
            click.echo(f"  {when}{named_blocks(note.first, note.count)}: {MISSED}")
            return
        if isinstance(note, Failed):
            self.flush()
            click.echo(f"  {when}{note.device}: failed: {note.error}")
            return
        if isinstance(note, OutOfMemory):
            self.flush()
            click.echo(f"  {when}{note.kill.told}")
            return
        what = _what(note)
        if self._pending is not None:
            then, first, count, before = self._pending
            # One after the other refuses a little later: that is told of all at once.
            together = then == when or isinstance(note, Refused)
            if together and (before, first + count) == (what, note.block):
                self._pending = (then, first, count + 1, what)
                return
        self.flush()
        self._pending = (when, note.block, 1, what)

    def flush(self) -> None:
        """Print what was held back."""
        if self._pending is not None:
            when, first, count, what = self._pending
            click.echo(f"  {when}{named_blocks(first, count)}: {what}")
            self._pending = None


def _what(note: Decided | Refused) -> str:
    """Return what becomes of a block."""
    from sim.kernel.diary import Refused
    from sim.memory.zones import OnlineType, ZoneType

    if isinstance(note, Refused):
        return f"offline -> refused, stays in {ZoneType(note.zone).label}: it holds pages that cannot move"
    word = OnlineType(note.word).word
    return f"{'put back, ' * note.put_back}{word} -> {note.why.zone.label}: {note.why.reason}"
