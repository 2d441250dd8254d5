"""What ``memhp-sim plan`` prints: one table with a row for each policy, and below it what happens under each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.text import Text

from sim.cli.layout import Column, Row, table_lines
from sim.cli.outputs import showable
from sim.cli.wrapping import folded
from sim.memory.blocks import named_blocks
from sim.units import format_size, rounded_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console

    from sim.what_if.answer import Answer, Failure, Figures, Outcome, Piece, Return, Stay, Step

_OWN: Final = " *"
_MOST_PIECES: Final = 4
"""Adjacent pieces that are told one by one; more of them are told as one."""
_UNKNOWN: Final = "-"


def print_answer(console: Console, answer: Answer) -> None:
    """Print ``answer`` on ``console``, to its width."""
    for line in (*_heading(answer), *_summary(answer, console.width), *_remarks(answer), *_details(answer)):
        text = line if isinstance(line, Text) else Text(line)
        plain = showable(text.plain)
        if plain == text.plain and text.cell_len <= console.width:
            console.print(text, soft_wrap=True)
            continue
        for part in folded(plain, console.width, cut=True).split("\n"):
            console.print(Text(part, style=text.style), soft_wrap=True)


def part(amount: int, whole: int) -> str:
    """Return ``amount`` bytes rounded, with as many figures as it takes to tell them from ``whole``."""
    digits = 3
    while amount != whole and rounded_size(amount, digits) == rounded_size(whole):
        digits += 1
    return rounded_size(amount, digits)


# The heading and the table ---------------------------------------------------------------------------------------


def _heading(answer: Answer) -> Iterator[Text | str]:
    blocks = format_size(answer.block_size)
    yield Text(f"{answer.source}: {answer.machine}, Linux {answer.kernel}, memory blocks of {blocks}", style="bold")
    for number, step in enumerate(answer.steps, 1):
        yield f"  {number}. {step}"
    if answer.back:
        yield f"  {'then ' if answer.steps else ''}asked back: {', '.join(answer.back)}"
    if answer.guest == "none":
        yield "No guest is modelled, so that nothing runs short and everything can be taken back: add --guest."
    else:
        yield "Beside this the guest is idle."
    befores = {_moment(each.before) for each in answer.outcomes if each.before is not None}
    if len(befores) == 1:
        yield f"Before: {befores.pop()}"
    yield ""


def _moment(figures: Figures) -> str:
    movable = f"Movable {_percent(figures)} of the kernel zones"
    if figures.mem_total is None:
        return movable
    return f"MemTotal {_total(figures)}; {movable}; room for the kernel {_room(figures)}"


def _summary(answer: Answer, width: int) -> Iterator[Text]:
    rows = [Row(each.policy, Text(each.policy + _OWN * each.own)) for each in answer.outcomes]
    columns: list[Column] = []

    def column(group: str, heading: str, cells: Iterable[str]) -> None:
        keys = [outcome.policy for outcome in answer.outcomes]
        columns.append(Column(group, heading, {key: (Text(cell),) for key, cell in zip(keys, cells, strict=True)}))

    outcomes = answer.outcomes
    if answer.steps:
        column("goes to", "Movable", [_change(each, "movable") for each in outcomes])
        column("goes to", "kernel", [_change(each, "kernel") for each in outcomes])
        if any(_change(each, "offline") not in ("0", _UNKNOWN) for each in outcomes):
            column("goes to", "offline", [_change(each, "offline") for each in outcomes])
        column(
            "kernel memory",
            "memmap",
            [_unless_error(each, sum(step.memmap for step in each.steps)) for each in outcomes],
        )
        if answer.guest != "none":
            column("kernel memory", "left", [_room(each.after) for each in outcomes])
        column("", "fails", [_failed(each) for each in outcomes])
    if answer.back:
        column(
            "asked back", "returns", [_UNKNOWN if each.error else part(each.returned, each.wanted) for each in outcomes]
        )
        column("asked back", "safe", [_unless_error(each, each.safe) for each in outcomes])
        column("asked back", "stays", [_unless_error(each, each.wanted - each.returned) for each in outcomes])
    yield from table_lines(columns, rows, width)
    if any(outcome.own for outcome in outcomes):
        yield Text("* this machine's own policy", style="dim")
    if answer.back:
        yield Text(
            "safe: what no use by the kernel can keep; the rest comes back only where the kernel has stayed out",
            style="dim",
        )
    if answer.steps:
        yield Text("figures in reasons below are pages", style="dim")


def _change(outcome: Outcome, name: str) -> str:
    before, after = outcome.before, outcome.after
    return _UNKNOWN if before is None or after is None else rounded_size(getattr(after, name) - getattr(before, name))


def _unless_error(outcome: Outcome, amount: int) -> str:
    return _UNKNOWN if outcome.error else rounded_size(amount)


def _total(figures: Figures) -> str:
    return _UNKNOWN if figures.mem_total is None else rounded_size(figures.mem_total)


def _room(figures: Figures | None) -> str:
    return _UNKNOWN if figures is None or figures.kernel_headroom is None else rounded_size(figures.kernel_headroom)


def _failed(outcome: Outcome) -> str:
    if outcome.error:
        return "policy"
    failures = dict.fromkeys(failure.errno for step in outcome.steps for failure in step.failures)
    killed = ["OOM"] if any(step.kills for step in outcome.steps) else []
    return " ".join([*failures, *killed, *(["dies"] if outcome.died else [])]) or "no"


def _remarks(answer: Answer) -> Iterator[str]:
    if answer.remarks:
        yield ""
        yield from answer.remarks


# What happens under each policy ----------------------------------------------------------------------------------


def _details(answer: Answer) -> Iterator[Text | str]:
    shown: dict[str, Outcome] = {}
    for outcome in answer.outcomes:
        yield ""
        yield Text(outcome.policy + _OWN * outcome.own, style="bold")
        alone = replace(outcome, policy="", own=False)
        same = next((policy for policy, other in shown.items() if other == alone), None)
        shown[outcome.policy] = alone
        if same is not None:
            yield f"  the same as under {same!r}"
            continue
        if outcome.error:
            yield f"  {outcome.error}"
            continue
        before = outcome.before
        for step in outcome.steps:
            yield from _step(step, before, answer.block_size)
            before = step.after
        for back in outcome.back:
            yield from _back(back)


def _step(step: Step, before: Figures | None, block_size: int) -> Iterator[str]:
    yield f"  {step.asked}" + (f" ({step.seconds:.3g} s)" if step.seconds else "")
    for stretch in _stretches(step.pieces):
        if len(stretch) > _MOST_PIECES:
            yield from _in_turns(stretch, block_size)
        else:
            for piece in stretch:
                yield from _piece(piece, block_size)
    if step.short:
        # virtio-mem drivers keep at most 1 GiB that nobody puts online (VIRTIO_MEM_DEFAULT_OFFLINE_THRESHOLD).
        waits = step.short > 0 and step.after.offline and not step.failures
        why = ": the driver adds no more while so much of it is offline" if waits else ""
        words = "are missing of" if step.short > 0 else "more than"
        yield f"    {rounded_size(abs(step.short))} {words} what was asked for{why}"
    yield from _failures(step.failures)
    yield from (f"    {kill}" for kill in step.kills)
    if step.memmap:
        verb = "takes" if step.memmap > 0 else "gives back"
        zones = " and ".join(f"{rounded_size(abs(amount))} of {zone}" for zone, amount in step.memmap_zones.items())
        yield f"    memmap {verb} {zones or f'{rounded_size(abs(step.memmap))} of kernel zones'}"
    if step.hosted:
        yield f"    memmap of {rounded_size(step.hosted)} lies in the memory itself"
    figures = "" if before is None else _figures(before, step.after)
    if figures:
        yield f"    {figures}"


def _figures(before: Figures, after: Figures) -> str:
    changes = [
        ("MemTotal {}", _total(before), _total(after)),
        ("Movable {} of the kernel zones", _percent(before), _percent(after)),
        ("room for the kernel {}", _room(before), _room(after)),
    ]
    return "; ".join(words.format(f"{was} -> {becomes}") for words, was, becomes in changes if was != becomes)


def _percent(figures: Figures) -> str:
    return _UNKNOWN if figures.ratio is None else f"{figures.ratio:.0f}%"


def _stretches(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Yield the pieces that lie next to each other and were the same before."""
    stretch: list[Piece] = []
    for piece in pieces:
        last = stretch[-1] if stretch else None
        if last and (last.first + last.blocks, last.node, last.before) != (piece.first, piece.node, piece.before):
            yield stretch
            stretch = []
        stretch.append(piece)
    if stretch:
        yield stretch


def _in_turns(pieces: Sequence[Piece], block_size: int) -> Iterator[str]:
    """Yield what zones that take turns get in all, with the first reason for each."""
    counts: Counter[str] = Counter()
    for piece in pieces:
        counts[piece.after] += piece.blocks
    shares = ", ".join(f"{zone} {count} blocks" for zone, count in counts.items())
    blocks = sum(counts.values())
    where = f"{rounded_size(blocks * block_size)}, node {pieces[0].node}"
    yield f"    {named_blocks(pieces[0].first, blocks)} ({where}) -> in turns: {shares}"
    for zone in counts:
        reason = next((each for piece in pieces if piece.after == zone for each in piece.reasons), None)
        if reason is not None:
            yield f"      block {reason.block} -> {zone}: {reason.text}"


def _piece(piece: Piece, block_size: int) -> Iterator[str]:
    becomes = {"absent": "removed"}.get(piece.after, piece.after)
    was = "" if piece.before == "absent" else f" ({piece.before} before)"
    where = f"{rounded_size(piece.blocks * block_size)}, node {piece.node}"
    yield f"    {named_blocks(piece.first, piece.blocks)} ({where}) -> {becomes}{was}"
    for reason in piece.reasons:
        place = "" if len(piece.reasons) == 1 else f"from block {reason.block} on: "
        yield f"      {place}{reason.text}"


def _back(back: Return) -> Iterator[str]:
    yield f"  asked back: {back.asked}"
    stays = back.wanted - back.returned
    if not back.wanted:
        # What it fails for was told with the step that should have brought something.
        yield "    has nothing to give back"
        return
    if not stays:
        yield f"    all {rounded_size(back.wanted)} come back"
    else:
        came = f"{part(back.returned, back.wanted)} of {rounded_size(back.wanted)}"
        yield f"    {came} come back, {rounded_size(stays)} stay"
    for (where, why), runs in _together(back.stays).items():
        first, end = runs[0].first, runs[-1].first + runs[-1].blocks
        count = sum(run.blocks for run in runs)
        blocks = named_blocks(first, count) if end - first == count else f"{count} blocks between {first} and {end - 1}"
        yield f"    {blocks} in {where}: {why}" if where != "offline" else f"    {blocks} offline: {why}"
    yield from _failures(back.failures)
    yield from (f"    {kill}" for kill in back.kills)


def _together(stays: Sequence[Stay]) -> dict[tuple[str, str], list[Stay]]:
    """Return what stays by where and why."""
    together: dict[tuple[str, str], list[Stay]] = {}
    for stay in stays:
        together.setdefault((stay.where, stay.why), []).append(stay)
    return together


def _failures(failures: Sequence[Failure]) -> Iterator[str]:
    for failure in failures:
        times = f" ({failure.times} times)" if failure.times > 1 else ""
        yield f"    {failure.device} fails: {failure.errno}: {failure.reason}{times}"
