"""The pages of the documentation that say what scores and result files mean, written from the code that defines both.

``python -m sim.results.docs_pages docs`` writes ``scores.md`` and ``results.md`` into the folder ``docs``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.guest.contract import OomKind
from sim.record.recorder import EventKind
from sim.results.earlier import EARLIER
from sim.results.exported import EXPORTED, GONE, KINDS
from sim.results.frames import RUN_DETAILS
from sim.results.layout import EXPERIMENT_NAME, LAYOUT, MANIFEST_NAME, MOST_PACKS, UNPACKED
from sim.results.locks import IN_USE
from sim.results.manifest import TIMING_FIELD
from sim.results.packs import CELLS_KEY
from sim.results.schema import DETAILS, EVENTS, GUEST, RUNS, SERIES, TIMINGS
from sim.scores.registry import SCORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sim.results.schema import TableLayout
    from sim.scores.registry import Score

SQL_EXAMPLE: Final = (
    "SELECT workload, policy, avg(movable_share_mean) AS movable_percent, avg(kernel_mean) / 1024**3 AS kernel_gib "
    "FROM read_parquet('results/quickstart/runs/*.parquet') "
    "WHERE status = 'completed' GROUP BY workload, policy ORDER BY workload, policy"
)
"""One line for DuckDB; the tests run it."""

_NOTE: Final = "<!-- Written by `python -m sim.results.docs_pages docs`. Change the code, not this file. -->\n"

_KINDS: Final[Mapping[EventKind, str]] = {kind: meaning for kind, (_, meaning) in KINDS.items()} | {
    EventKind.DEVICE: "a device was attached (count 1) or is gone (count 0)",
    EventKind.DEATH: "the guest died: the row before says of which out of memory",
}

_REASONS: Final[Mapping[OomKind, str]] = {
    OomKind.KERNEL: "a kernel request found no page in any kernel zone, however much is free in ZONE_MOVABLE",
    OomKind.GUEST_FULL: "a user page found no place in any zone",
    OomKind.MIGRATION: "user pages of memory that was asked back found no place elsewhere",
}


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _better(score: Score) -> str:
    return {"higher": "higher is better", "lower": "lower is better", "neither": "neither direction is better"}[
        score.better
    ]


def scores_page() -> str:
    """Return the Markdown page about the scores."""
    parts = [
        f"""{_NOTE}
# Scores

Every run is scored by what its events add up to. A mean is the exact integral over simulated time, divided by time;
all events of one instant count as one step, so what lasts for no time is not seen. KERNEL is the memory present in
the kernel zones (DMA, DMA32, Normal), MOVABLE that in ZONE_MOVABLE, both over all nodes. A score that a run does not
define is empty in the files and NaN in Python; it is never set to 0.

"""
    ]
    parts += [
        _table(
            ("score", "unit", "shown in", "better"),
            (
                (f"[`{score.name}`](#{score.name})", score.unit.symbol, score.unit.shown_symbol or "-", score.better)
                for score in SCORES.values()
            ),
        )
    ]
    for score in SCORES.values():
        parts.append(
            f"""
({score.name})=
## {score.title}

`{score.name}`, in {score.unit.symbol}; {_better(score)}.

{score.formula[0].upper()}{score.formula[1:]}.

Undefined: {score.undefined}. After: {score.source}.
"""
        )
    return "".join(parts)


def _columns(layout: TableLayout) -> str:
    rows = ((f"`{c.name}`", c.type, c.unit, c.meaning) for c in layout.columns)
    return _table(("column", "type", "unit", "meaning"), rows)


def results_page() -> str:
    """Return the Markdown page about the result files."""
    kinds = _table(("kind", "name", "meaning"), ((str(int(k)), k.name, meaning) for k, meaning in _KINDS.items()))
    reasons = _table(("kind", "name", "meaning"), ((str(int(k)), k.name, meaning) for k, meaning in _REASONS.items()))
    details = _table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in RUN_DETAILS.items()))
    tables = "".join(
        f"""
## {layout.name}

One row is {layout.row}.

{_columns(layout)}"""
        for layout in (RUNS, SERIES, GUEST, EVENTS, DETAILS, TIMINGS)
    )
    words = _table(("`event`", "meaning"), ((f"`{word}`", meaning) for word, meaning in (*KINDS.values(), GONE)))
    exported = "".join(
        f"""
`--{layout.name}`: one row is {layout.row}.

{_columns(layout)}"""
        for layout in EXPORTED.values()
    )
    return f"""{_NOTE}
# Result files

`memhp-sim run` writes a folder `results/<experiment>/`:

- `{MANIFEST_NAME}`: versions of the program, Python and the libraries, the commit, the seeds, the effective
  configuration and its hash, the machine. Only its part `{TIMING_FIELD}` differs between two runs of one experiment.
- `{EXPERIMENT_NAME}`: the experiment with every default filled in.
- Tables as Parquet files, `<table>/<table>-<number>-of-<packs>.parquet`: `runs` and `timings` with a row per cell,
  `events`, `series` and, where a guest is modelled, `guest` with the rows of all cells, `details` with what else there
  is to know of each. Every file holds many cells, in order of labels and replication, and there are at most
  {MOST_PACKS} of a table, however many cells there are.
- `{UNPACKED}/`, while a run is under way and where it was killed: the cells that are finished and in no table yet.
- `{EARLIER}/<number>/`, where the experiment changed: folders of results with the earlier cells that are no part of it
  any more, until all new ones are there, or for good with `--keep`. See [Going on](experiments-at-scale.md#going-on).
- `{IN_USE}`, while a command is at work in the folder: which process on which host, since when. One that was killed
  leaves it, which keeps nobody out.

A cell is one policy on one workload on one machine in one replication. Its key is a hash of everything that its
results depend on: its complete configuration and the program's code. A second run computes the cells whose keys are not
there. Apart from `timings`, files hold nothing that depends on when, where or by how many processes they were computed.

Every process appends the cells that it finishes to a file of its own in `{UNPACKED}/`, each in one piece, so that a
cell is either complete or not there, whenever a run was killed. At its end the run brings them into the tables: files
are written beside their place and renamed into it, and only then the unpacked cells go. Where that was interrupted, the
next run goes on with it. `open_results` and all commands read both; other programs see what is in the tables. Nothing
waits for the disk: what a power failure leaves half-written is found by its checksum, and computed again.

Results in an earlier layout (this is layout {LAYOUT}) are refused by whoever reads them, and replaced where the
experiment is run again; those of a later one are refused by both. The manifest names the layout.

## What is damaged

Every file has a checksum, which is looked at whenever the file is read. A file of a table has it between its data and
its footer, where Parquet's readers do not look; there also stands which table and which of the packs it is, so that
two files that have changed places are noticed. `{MANIFEST_NAME}` has it among its `{TIMING_FIELD}`,
`{EXPERIMENT_NAME}` in its first line, a cell in `{UNPACKED}/` in its head.

What is cut off, changed in a single bit, empty, gone, a folder, a link to nowhere or something else altogether counts
as not there. It is named in a warning: which file, what is wrong with it, how many runs that costs. `memhp-sim run`
then computes these again; who only reads goes on with the rest, or ends with exit code 2 where nothing is left or the
run that was asked for is damaged. What stands in the way of a file and is none of this program's is set aside, beside
it under a name with `.aside-`. In Python, such warnings are of the class `memhp_sim.DamageWarning`.
`memhp-sim check RESULTS` looks at all files and says what to do. Of the figures in `plots/` the checksums stand in
`plots/drawn.json`; one that came to harm is drawn anew.

## Reading them

Any tool that reads Parquet reads the tables. With DuckDB, in one line:

```sql
{SQL_EXAMPLE}
```

With Python:

```python
from memhp_sim import open_results

results = open_results("results/quickstart")
runs = results.runs()  # a pandas DataFrame, one row per cell
refused = results.events(policy="auto-movable", kinds=[10], between=(0, 3600))
for part in results.parts("events", columns=["t_us", "kind", "pages"]):  # a DataFrame of many cells at a time
    print(part["pages"].sum())
```

`events`, `series` and `parts` take `cells` (keys), and by name `machine`, `workload`, `policy` (a label or several),
`replications` (numbers), `kinds` (of events) and `between` (first and last simulated second). Of the files that
hold such cells they take only the parts with such cells and times; `parts` holds no more than one of those in memory.
{tables}
The guest is sampled at every change of demand, where an add has taken its memmap, where memory that is asked back costs
a process its life, and now and then (`sample_every` of the guest). Of several samples in one instant the last holds.

The kinds of events:

{kinds}
Why the guest ran out of memory (the column `zone` of OOM and DEATH):

{reasons}
An OOM event is one run of the out-of-memory killer: it ends the biggest process. Of several equal ones, to within two
pages, chance chooses in a real guest; the simulated one ends the youngest, and `count` says among how many loads chance
would have chosen: where that is above 1, what follows might as well have gone otherwise. Where there is none to end,
the guest dies, and a DEATH event of the same kind follows at once. After it only the host acts: it asks
(REQUEST), attaches devices (DEVICE), or is refused by itself (FAILED).

## What stands in details

The column `details` is a JSON object:

{details}
With pyarrow:

```python
import json
import pyarrow.parquet as pq

rows = pq.read_table("results/quickstart/details").to_pylist()
rest = {{row["cell"]: json.loads(row["details"]) for row in rows}}
```

Which cells a file holds, in order, stands in its metadata under `{CELLS_KEY.decode()}`, as JSON: of each machine,
workload and policy these three and a list of its cells, each with replication, key and number of rows. In `runs` there
is instead of it null for a cell that failed, else a list of its rows in `guest`, `series` and `events`, which is empty
where those were not kept.

## Exported files

For other programs `memhp-sim export` writes tables of one run, in seconds and bytes and with words for numbers: of an
experiment, which is run for it, or of results (`results/quickstart --workload DIMMs --policy 'ratio 401'`).

```console
$ memhp-sim export experiments/incidents/sail-reactive.toml --events events.csv --series series.parquet
```

The form is what the file's name ends in: CSV, JSONL or Parquet; `-` is standard output, of which `--format` says
whether it is CSV or JSONL. What a row does not have is an empty field in CSV, and left out in JSONL. A file is whole or
not there. In Parquet files the fields' metadata hold unit and meaning. `--requests` writes what the host was asked, and
can be replayed: see "Logs of requests and loads". From Python, `Results.export`.
{exported}
The words for what happened:

{words}"""


PAGES: Final[Mapping[str, Callable[[], str]]] = {"scores.md": scores_page, "results.md": results_page}


def main(folder: str) -> None:
    """Write all pages into ``folder``."""
    for name, page in PAGES.items():
        (Path(folder) / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
