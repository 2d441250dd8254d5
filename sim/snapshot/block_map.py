"""The memory blocks of a machine, put together from every file that lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.memory.blocks import block_range, named_blocks
from sim.memory.zones import ZONE_BY_LABEL
from sim.record.run_result import SEVERAL_ZONES
from sim.snapshot.zone_totals import OFFLINE, SEVERAL
from sim.units import GIB, MIB, counted, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.readers.facts import BlockView
    from sim.snapshot.evidence import Evidence, Said

_ZONES: Final = {label.lower(): int(zone) for label, zone in ZONE_BY_LABEL.items()} | {SEVERAL.lower(): SEVERAL_ZONES}
_EXAMPLES: Final = 3
_SMALLEST: Final = 2 * MIB
_LARGEST: Final = 2 * GIB


class Block(NamedTuple):
    """A block: whether it is ``online``, in which ``zone`` (SEVERAL_ZONES, None: not known), on which ``node``."""

    online: bool
    zone: int | None = None
    node: int | None = None


@dataclass(frozen=True, slots=True)
class BlockMap:
    """The blocks by id, ascending; ``block_size`` in bytes."""

    block_size: int
    blocks: dict[int, Block]


def block_map(evidence: Evidence) -> BlockMap | None:
    """Return the blocks that the files list, None where none does. Adds what contradicts to the evidence's faults."""
    sources = list(evidence.all("blocks"))
    size = evidence.one("block_size", "memory block size", format_size)
    if not sources or evidence.faults:
        return None
    first, *others = sources
    if size is None:
        evidence.faults.add(f"{first.source}: lists blocks and not their size; lsmem prints it in its last lines")
        return None
    if size.value.bit_count() != 1 or not _SMALLEST <= size.value <= _LARGEST:
        evidence.faults.add(
            f"{size.source}: memory blocks of {format_size(size.value)}; what is modelled are powers of two from"
            f" {format_size(_SMALLEST)} to {format_size(_LARGEST)}"
        )
        return None
    views = {view.block: view for view in sorted(first.value, key=lambda view: view.block)}
    for other in others:
        _join(views, other, first, evidence)
    blocks = {block: _block(view) for block, view in views.items()}
    offline = sum(not block.online for block in blocks.values())
    what = f"{counted(len(blocks), 'block')} of {format_size(size.value)}, {offline or 'none'} of them offline"
    evidence.take(what, first)
    for other in others:
        evidence.take("the same blocks", other)
    _tell_odd(views.values(), first, evidence)
    return BlockMap(size.value, blocks)


def _join(views: dict[int, BlockView], other: Said, first: Said, evidence: Evidence) -> None:
    """Fill in what ``other`` knows of the blocks; that it says something else of them is a fault."""
    differ: list[str] = []
    there, here = views.keys(), {view.block for view in other.value}
    for said, only in ((first, there - here), (other, here - there)):
        if only:
            differ.append(f"{shown_blocks(sorted(only))} only in {said.facts.file}")
    for view in other.value:
        known = views.get(view.block)
        if known is None:
            continue
        for name in ("state", "zones", "node"):
            old, new = getattr(known, name), getattr(view, name)
            if old is None or new is None:
                known = known._replace(**{name: new if old is None else old})
            elif _comparable(old) != _comparable(new):
                differ.append(f"block {view.block} is {old} in {first.facts.file} and {new} in {other.facts.file}")
        views[view.block] = known
    if differ:
        more = f" and {len(differ) - _EXAMPLES} more" if len(differ) > _EXAMPLES else ""
        evidence.faults.add(
            f"{'; '.join(differ[:_EXAMPLES])}{more}. Files of one machine at one time agree: leave out one of the two"
        )


def _comparable(value: object) -> object:
    """Return what two spellings of the same have in common; of several zones, the one that the block is in."""
    return value.lower().replace("/", " ").split()[:1] if isinstance(value, str) else value


def _block(view: BlockView) -> Block:
    # Kernels before 4.14 name every zone that an online block could be in, the one that it is in first.
    words = (view.zones or "").lower().replace("/", " ").split()
    zone = _ZONES.get(words[0]) if words else None
    return Block(view.state != OFFLINE, zone, view.node)


def _tell_odd(views: Iterable[BlockView], said: Said, evidence: Evidence) -> None:
    """Say what the simulation cannot hold of the blocks as they are."""
    going = [view.block for view in views if view.state not in ("online", OFFLINE)]
    if going:
        evidence.account.unknown.append(
            f"whether {shown_blocks(going)} will go offline, which is under way: taken as online"
        )
    stuck = [view.block for view in views if view.removable is False and view.state == "online"]
    if stuck:
        evidence.account.unknown.append(
            f"what lies in a block, so that others may refuse in the simulation than the {len(stuck)} which"
            f" {said.facts.file} calls not removable: {shown_blocks(stuck)}"
        )


def shown_blocks(blocks: Iterable[int]) -> str:
    """Return ascending blocks as text such as ``blocks 3-8, 12``, cut where there are many ranges."""
    ranges: list[tuple[int, int]] = []
    for block in blocks:
        if ranges and sum(ranges[-1]) == block:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
        else:
            ranges.append((block, 1))
    if not ranges:
        return "no whole block"
    if len(ranges) == 1:
        return named_blocks(*ranges[0])
    texts = [block_range(*each) for each in ranges]
    return f"blocks {', '.join(texts if len(texts) <= 2 * _EXAMPLES else [*texts[: 2 * _EXAMPLES], '...'])}"
