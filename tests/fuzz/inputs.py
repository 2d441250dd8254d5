"""Command lines that take files, and the files: good ones, damaged by chance; each by its number, always the same."""

from __future__ import annotations

import copy
import datetime as dt
import json
import random
import shutil
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sim.toml_text import in_toml
from tests.support.hostile import TEXTS, hostile, mutated
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXPERIMENT: Final = """\
name = "e"
seed = 3
replications = 2
baseline = "contig-zones"
cell_timeout = 4

[guest]
model = "linux"

[[machines]]
label = "small"
boot_memory = "1GiB"

[[machines]]
label = "two"
nodes = [{ boot_memory = "1GiB" }, { boot_memory = "512MiB" }]
cmdline = "memory_hotplug.memmap_on_memory=1"

[[policies]]
name = "contig-zones"

[[policies]]
name = "auto-movable"
label = "r"
ratio = 301

[[workloads]]
name = "virtio-mem-resize"
label = "up"
shape = "triangle"
maximum = "1GiB"
step = "256MiB"
interval = 30
duration = 300

[[workloads]]
label = "both"
machines = ["small"]

[[workloads.together]]
name = "request-replay"
label = "log"
path = "log.csv"

[[workloads.together]]
name = "guest-trace"
label = "demand"
path = "demand.csv"
columns = { time = "t", series = "vm", user = { column = "use", unit = "1MiB" } }
series = "a"
"""
LOG: Final = """\
t_s,op,device,kind,size_bytes,max_bytes,block_bytes,node
0,plug,v,virtio-mem,0,4GiB,2MiB,0
1,resize,v,,1GiB,,,
5,demand,load,anonymous,200MiB,,,
9,plug,d,dimm,1GiB,,,0
20,demand,load,anonymous,0,,,
30,unplug,d,,,,,
31,resize,v,,0,,,
60,end,,,,,,
"""
DEMAND: Final = "vm,t,use\n" + "".join(f"{vm},{t},{100 + 7 * t % 300}\n" for vm in "ab" for t in range(0, 100, 10))

ODD_VALUES: Final[tuple[Any, ...]] = (
    0, 1, -1, 2**31, 2**63 - 1, 10**30, -(10**400), 0.5, -0.0, float("nan"), float("inf"), 1e308, True, False, "", " ",
    "x", "$x$", "a,b", "\N{CJK UNIFIED IDEOGRAPH-4E2D}", "\x1b[31m", "[red]",
    "../x", "/dev/zero", "/", "a" * 3000, "-1GiB", "1e400GiB", "0",
    "9" * 60, "9" * 60 + "GiB", "1.5GiB", "4KiB", "NaN", [], [[]], {}, {"a": 1}, ["contig-zones"], [0, 0], [1.5],
    dt.date(2026, 1, 1), "small", "up", "r", "guest-load", "as-shipped", "clairvoyant", "machines.small", "sweep",
)  # fmt: skip

Line = list[str]


@dataclass(slots=True)
class Fuzzed:
    """A command ``line`` and the ``files`` that lie where it is run; what it is told to write is in ``writes``."""

    line: Line
    files: dict[str, bytes] = field(default_factory=dict)
    store: Callable[[Path], None] | None = None
    """Damages a copy of results, in its folder."""


def toml(tables: dict[str, Any]) -> str:
    """Return an experiment as a TOML file."""
    return "".join(f"{in_toml(str(key))} = {_value(value)}\n" for key, value in tables.items())


def _value(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date) else _nested(value)


def _nested(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{in_toml(str(key))} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return in_toml(value)


def _places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401  whatever TOML holds
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*way, key), *_places(item, (*way, key)))]


def changed(draw: random.Random, tables: dict[str, Any]) -> dict[str, Any]:
    """Return a document of tables and lists with one to three of its values missing, doubled, moved or another."""
    tables = copy.deepcopy(tables)
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = _places(tables)
        if not places:
            break
        *way, key = draw.choice(places)
        inside: Any = tables
        for step in way:
            inside = inside[step]
        what = draw.randrange(8)
        if what == 0:
            del inside[key]
        elif what == 1 and isinstance(inside, list):
            inside.append(copy.deepcopy(inside[key]))
        elif what == 2 and isinstance(inside, dict):
            inside[draw.choice(("", "x", "name", "label", "path", "ratio", "nodes"))] = draw.choice(ODD_VALUES)
        elif what == 3 and isinstance(inside[key], int | float):
            inside[key] = type(inside[key])(inside[key] * draw.choice((-1, 0, 2, 10**6, 10**12)))
        else:
            inside[key] = copy.deepcopy(draw.choice(ODD_VALUES))
    return tables


def _experiment(draw: random.Random) -> dict[str, bytes]:
    """Return an experiment and what it names, something in it changed or damaged."""
    files = {"e.toml": EXPERIMENT.encode(), "log.csv": LOG.encode(), "demand.csv": DEMAND.encode()}
    way = draw.randrange(10)
    if way < 6:
        files["e.toml"] = toml(changed(draw, tomllib.loads(EXPERIMENT))).encode("utf-8", "replace")
    elif way == 6:
        files["e.toml"] = mutated(draw, files["e.toml"])
    elif way == 7:
        files["e.toml"] = hostile(draw.randrange(1 << 30))
    else:
        name = draw.choice(("log.csv", "demand.csv"))
        files[name] = mutated(draw, files[name]) if draw.random() < 0.8 else hostile(draw.randrange(1 << 30))
    return files


def _recording(draw: random.Random) -> bytes:
    """Return a recording of a kernel, something in it changed or damaged."""
    paths = [
        path for path in sorted((ROOT / "tests/data/kernel-traces").glob("*.json")) if path.stat().st_size < 40_000
    ]
    data = draw.choice(paths).read_bytes()
    if draw.random() < 0.3:
        return mutated(draw, data) if draw.random() < 0.7 else hostile(draw.randrange(1 << 30))
    document = changed(draw, json.loads(data))
    return json.dumps(document, default=str).encode("utf-8", "replace")


def _of_experiment(draw: random.Random) -> Fuzzed:
    lines: tuple[Line, ...] = (
        ["validate", "e.toml", "--no-probe"],
        ["validate", "e.toml", "--no-probe", "--json"],
        ["validate", "e.toml", "--no-probe"],
        ["plan", "e.toml", "--plug", "dimm:1GiB"],
        ["show", "e.toml"],
        ["show", "e.toml", "--json"],
        ["explain", "e.toml", "--workload", "up"],
        ["export", "e.toml", "--requests", "-", "--policy", "r", "--workload", "both", "--machine", "small"],
        ["run", "e.toml", "--no-plots", "--workers", "1", "--set", "cell_timeout=2", "--replication", "0"],
        ["new", "new.toml", "--like", "e.toml"],
    )
    return Fuzzed([*draw.choice(lines)], _experiment(draw))


def _of_machine(draw: random.Random) -> Fuzzed:
    names = [f"m{number}" for number in range(draw.choice((1, 1, 2)))]
    files = {
        name: hostile(draw.randrange(1 << 30)) if draw.random() < 0.6 else mutated(draw, draw.choice(TEXTS))
        for name in names
    }
    lines: tuple[Line, ...] = (
        ["import", *names],
        ["import", *names, "--json"],
        ["import", *names, "--out", "machine.toml"],
        ["show", *names],
        ["plan", *names, "--plug", "dimm:1GiB"],
        ["new", "new.toml", *(part for name in names for part in ("--from-machine", name))],
    )
    return Fuzzed([*draw.choice(lines)], files)


def _of_demand(draw: random.Random) -> Fuzzed:
    data = mutated(draw, DEMAND.encode()) if draw.random() < 0.7 else hostile(draw.randrange(1 << 30))
    columns = ["--time", "t", "--series", "vm", "--user", "use:1MiB"] if draw.random() < 0.5 else []
    line = (
        ["workloads", "describe", "demand.csv"]
        if draw.random() < 0.6
        else ["new", "new.toml", "--demand", "demand.csv"]
    )
    return Fuzzed([*line, *columns], {"demand.csv": data})


def _of_recording(draw: random.Random) -> Fuzzed:
    line = draw.choice((["replay"], ["replay", "--free"], ["replay", "--json"], ["replay", "--brief"], ["explain"]))
    return Fuzzed([*line, "recording.json"], {"recording.json": _recording(draw)})


def _of_guest_load(draw: random.Random) -> Fuzzed:
    data = (ROOT / "tests/data/guest-load/short-vmem-movable.json").read_bytes()
    made = (
        mutated(draw, data)
        if draw.random() < 0.4
        else json.dumps(changed(draw, json.loads(data)), default=str).encode()
    )
    return Fuzzed([draw.choice(("calibration", "replay")), "load.json"], {"load.json": made})


def _of_results(draw: random.Random) -> Fuzzed:
    lines: tuple[Line, ...] = (
        ["compare", "results/e"],
        ["compare", "results/e", "--json"],
        ["report", "results/e", "--out", "r.html"],
        ["show", "results/e", "--workload", "up", "--policy", "r", "--machine", "small"],
        ["export", "results/e", "--events", "-", "--workload", "up", "--policy", "r", "--machine", "small"],
        ["rerun", "results/e", "--no-plots", "--workers", "1"],
        ["run", "e.toml", "--no-plots", "--workers", "1"],
    )
    number = draw.randrange(1 << 30)
    files = {"e.toml": STORED.encode(), "log.csv": LOG.encode(), "demand.csv": DEMAND.encode()}
    return Fuzzed([*draw.choice(lines)], files, lambda folder: damaged(folder, number))


STORED: Final = EXPERIMENT.replace("cell_timeout = 4\n", "").replace("replications = 2", "replications = 1")


def _bit(draw: random.Random, data: bytes) -> bytes:
    at = draw.randrange(max(1, len(data)))
    return data[:at] + bytes(byte ^ (1 << draw.randrange(8)) for byte in data[at : at + 1]) + data[at + 1 :]


def _other_json(draw: random.Random, data: bytes) -> bytes:
    """Return a document with another value in it, or what cannot be read as one damaged otherwise."""
    try:
        document = json.loads(data)
    except ValueError:
        return _bit(draw, data)
    return json.dumps(changed(draw, document) if isinstance(document, dict) else [], default=str).encode()


def _damaged(draw: random.Random, way: int, data: bytes, other: bytes) -> bytes:
    """Return a file's content cut, with a bit turned, another file's, with another value, or something else."""
    if way == 0:
        return data[: draw.randrange(len(data) + 1)]
    if way == 1:
        return _bit(draw, data)
    if way == 2:
        return other
    return _other_json(draw, data) if way == 3 else draw.randbytes(draw.randrange(99))


def damaged(folder: Path, number: int) -> None:
    """Damage one to three files in a copy of results."""
    draw = random.Random(number)  # noqa: S311 - not for secrets
    for _ in range(draw.choice((1, 1, 2, 3))):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if not files:
            return
        file, other = draw.choice(files), draw.choice(files)
        data = file.read_bytes()
        way = draw.randrange(8)
        if way < 5:
            file.write_bytes(_damaged(draw, way, data, other.read_bytes()))
        elif way == 5:
            name = draw.choice(("x.parquet", "notes.txt", "x.cells", ".DS_Store"))
            file.with_name(name).write_bytes(draw.randbytes(99))
        elif way == 6:
            shutil.rmtree(draw.choice(sorted({path.parent for path in files})))
        else:
            file.unlink()
            if draw.random() < 0.5:
                file.mkdir()


_KINDS: Final = (
    _of_experiment, _of_experiment, _of_experiment, _of_machine, _of_machine, _of_demand, _of_recording, _of_guest_load,
    _of_results,
)  # fmt: skip


def fuzzed(number: int) -> Fuzzed:
    """Return the input of this number."""
    draw = random.Random(number)  # noqa: S311 - not for secrets
    return _KINDS[number % len(_KINDS)](draw)
