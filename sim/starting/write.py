"""An experiment to start from, put together: machine, demand, who answers it, and what to choose from."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.load import load
from sim.experiment.reading import frozen
from sim.experiment.recommend_table import DEFAULT_LIMIT
from sim.faults import Fault, InputError
from sim.starting.machine import AS_IT_IS
from sim.starting.text import (
    STEP_OF_CONTROLLER,
    STEP_OF_LOAD,
    comment,
    commented,
    entries,
    heading,
    table_text,
    typed,
)
from sim.units import GIB, MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sim.starting.demand import Demand
    from sim.starting.machine import Start
    from sim.starting.text import Entry

SAMPLES: Final = 2000
"""About how many samples of its memory a run keeps."""

DRAWN: Final = 20
"""Replications where each draws at random."""

MOST_SERIES: Final = 40
"""Series of a trace that are played at first; a run of each is a replication."""

_OTHERS: Final[Sequence[tuple[Mapping[str, Any], str]]] = (
    ({"name": "contig-zones"}, "the kernel's default: all of it kernel memory"),
    ({"name": "online-movable"}, "all of it MOVABLE"),
    (
        {"name": "auto-movable", "label": "auto-movable 301", "ratio": 301},
        "as much MOVABLE as the ratio to kernel memory allows, in percent",
    ),
    ({"name": "auto-movable", "label": "auto-movable 150", "ratio": 150}, "the same, with more kernel memory"),
    ({"name": "headroom"}, "in no kernel: as much as the kernel seems to need; what could be gained"),
)
"""Policies worth comparing with, each with what it does."""

_LONG_S: Final = 3600.0
_DAY_S: Final = 86_400.0
_OF_MOST: Final = 0.6
"""Part of the most that a machine can have which made-up programs use at a rush."""


def experiment_text(
    start: Start, demand: Demand | None, file: Path, command: str, account: Sequence[tuple[str, Sequence[str]]]
) -> str:
    """Return the text of the experiment that goes into ``file``.

    ``command`` is what was typed, ``account`` how it came about, in lines by heading. Raises InputError where the
    experiment would not load.
    """
    parts = [
        _head(file, command, account),
        table_text("", _top(demand)),
        heading("Who uses the memory"),
        table_text("[guest]", _guest(start, demand)),
        heading("The machine"),
        table_text("[[machines]]", entries(start.machine)),
        heading("What is compared: who decides whether plugged memory becomes kernel memory or MOVABLE"),
        *_policies(start),
        heading("What happens: the demand, and who plugs and unplugs for it"),
        *_workload(start, demand, file.parent),
        heading("What memhp-sim recommend keeps to"),
        _recommend(),
    ]
    text = "\n".join(parts)
    check(text, file)
    return text


def check(text: str, file: Path) -> None:
    """Raise InputError with all faults of an experiment that goes into ``file``."""
    try:
        load(frozen(tomllib.loads(text), str(file)), folder=file.parent)
    except tomllib.TOMLDecodeError as error:
        what = f"what was asked for cannot be put into its text ({error}); write each value on one line there"
        raise InputError(str(file), [Fault("", what)]) from error
    except InputError as error:
        raise InputError(str(file), error.faults) from error


def _head(file: Path, command: str, account: Sequence[tuple[str, Sequence[str]]]) -> str:
    name = typed(file)
    said = (
        "Which setting of memory hotplug suits this guest?",
        "",
        f"    memhp-sim validate {name}: what it would run, and how long that takes",
        f"    memhp-sim run {name}: every policy below, compared",
        f"    memhp-sim recommend {name}: which setting to take, how sure that is, and how to set it",
        "",
        f"Written by {command}",
        "Every line may be changed. Sizes are strings with KiB, MiB, GiB (1024 of the smaller one), times are seconds.",
    )
    lines = [line for text in said for line in comment(text)]
    for title, entries_of in account:
        lines += ["#", f"# {title}:", commented(entries_of).rstrip("\n")]
    return "\n".join(lines) + "\n"


def _top(demand: Demand | None) -> list[Entry]:
    return [
        ("description", "A guest whose memory grows and shrinks by need, under several settings of memory hotplug", ""),
        *entries({"seed": 1}),
        ("replications", replications(demand), _replications_mean(demand)),
        *entries({"baseline": AS_IT_IS}),
    ]


def replications(demand: Demand | None) -> int | str:
    """Return the replications of an experiment on a ``demand``, as its file has them."""
    if demand is None or not demand.tells_series:
        return DRAWN
    return "all" if demand.series <= MOST_SERIES else MOST_SERIES


def _replications_mean(demand: Demand | None) -> str:
    if demand is None or not demand.tells_series:
        return "runs of each policy; every one draws at random what guests differ in"
    of = "each plays a series of the trace"
    return of if demand.series <= MOST_SERIES else f'{of}, {demand.series} in all ("all" plays every one)'


def _guest(start: Start, demand: Demand | None) -> list[Entry]:
    every = max(5, round((7200 if demand is None else demand.played_s) / SAMPLES))
    return entries({**start.guest, "draw": True, "sample_every": every})


def _policies(start: Start) -> list[str]:
    others = _OTHERS[1:] if _is_contig(start.today) else _OTHERS
    return [table_text("[[policies]]", entries(table, name=why)) for table, why in ((start.today, start.why), *others)]


def _is_contig(today: Mapping[str, Any]) -> bool:
    """Whether a policy is the kernel's default by another name."""
    if today["name"] == "kernel":
        return today.get("default_state") == "online" and today.get("online_policy", "contig-zones") == "contig-zones"
    return bool(today["name"] == "contig-zones")


def _workload(start: Start, demand: Demand | None, folder: Path) -> list[str]:
    label = table_text("[[workloads]]", [("label", "demand", "")])
    header = "[[workloads.together]]"
    parts = [_played(demand, folder, start) if demand else _programs(start)]
    controllers = [
        table_text(header, entries(table, step=STEP_OF_CONTROLLER, name=_answers(table["name"])))
        for table in start.growth.controllers
    ]
    return [label, *(table_text(header, lines) for lines in parts), *controllers]


def _answers(name: str) -> str:
    return {
        "watermark": "who answers: a controller that grows and shrinks a virtio-mem device",
        "dimm-controller": "who answers: a controller that fills and empties DIMM slots",
        "cxl-cards": "who answers: a controller that plugs CXL cards and asks for them back",
    }[name]


def trace_table(demand: Demand, folder: Path) -> dict[str, Any]:
    """Return the keys of a workload in ``folder`` that say which trace it plays."""
    table: dict[str, Any] = {"path": demand.path_from(folder), "columns": dict(demand.columns)}
    if demand.whole_machine:
        table["includes_system"] = True
    if demand.end_s:
        table |= {"start": int(demand.start_s), "end": int(demand.end_s)}
    return table


def _played(demand: Demand, folder: Path, start: Start) -> list[Entry]:
    table = {
        "name": "guest-trace",
        "label": "recorded",
        **trace_table(demand, folder),
        "rate": format_size(demand.rate),
        "tick": 1 if demand.played_s <= _LONG_S else 5,
    }
    if demand.played_s > _DAY_S:
        table |= {"restart": 600, "restart_most": 3600}
    if start.nodes > 1:
        table |= {"programs": start.nodes, "nodes": list(range(start.nodes))}
    return entries(
        table,
        name="the demand: what the recorded machine's programs used",
        programs="a program on each NUMA node",
        nodes="where they run, in turn",
    )


def _programs(start: Start) -> list[Entry]:
    step = 64 * MIB if start.growth.most < 2 * GIB else 256 * MIB
    size = max(step, int(_OF_MOST * start.growth.most) // step * step)
    table = {
        "name": "guest-load",
        "label": "programs",
        "shape": "bursts",
        "size": format_size(size),
        "step": format_size(step),
        "rate": "47MiB",
        "kernel_share": 0.05,
        "cache_share": 0.1,
        "burst_gap": 900,
        "burst_length": 600,
        "tick": 1,
        "duration": 7200,
    }
    return entries(
        table,
        name="the demand: made up, as none was given (--demand FILE plays a recorded one)",
        step=STEP_OF_LOAD,
        rate="bytes per second at which they take it; the fastest leak that was measured",
    )


def _recommend() -> str:
    table = {"limits": [DEFAULT_LIMIT], "confidence": 0.95}
    return table_text(
        "[recommend]",
        entries(
            table,
            limits='what it must keep; others: "no death in 99 % of replications", "headroom never under 128 MiB"',
            confidence="how sure it has to be",
        ),
    )
