"""A picture in words: what ``lsmem`` prints, and below it zones, ratio, MemTotal and devices; or all of it as JSON."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from sim.snapshot.lsmem_view import COLUMNS, USUAL, lsmem_json, lsmem_text, size_text
from sim.snapshot.zone_totals import SEVERAL, block_totals
from sim.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sim.readers.facts import ZoneView
    from sim.snapshot.picture import Picture, Ratio

_ZONE_WORDS: Final = {SEVERAL: "several", "": "unknown"}


def picture_text(picture: Picture, columns: Sequence[str] = COLUMNS, width: int = 80) -> str:
    """Return what ``lsmem`` prints for ``columns``, and below it what it does not; remarks are wrapped at ``width``."""
    parts = [lsmem_text(picture, columns), _zone_table(picture)]
    labels = "".join(f"{label:<{USUAL.label}} {value}\n" for label, value in _figures(picture))
    parts += [part for part in (labels, _device_table(picture)) if part]
    told = (
        textwrap.wrap(_printable(remark), max(width, 20), subsequent_indent="  ", break_on_hyphens=False)
        for remark in picture.remarks
    )
    if picture.remarks:
        parts.append("".join(f"{line}\n" for lines in told for line in lines))
    return "\n".join(parts)


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> str:
    """Return a table as ``lsmem`` sets one; the first ``left`` columns are flush left, empty columns left out."""
    kept = [number for number in range(len(heading)) if any(row[number] for row in rows)]
    lines = [[_printable(line[number]) for number in kept] for line in (heading, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        " ".join(
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def _printable(text: str) -> str:
    """Return ``text``, which may be a stranger's, without what a terminal takes for more than a character."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _zone_table(picture: Picture) -> str:
    rows = [
        (
            "" if total.node is None else str(total.node),
            _ZONE_WORDS.get(total.zone, total.zone),
            str(total.blocks),
            size_text(total.blocks * picture.block_size),
            _pages(picture, total.view, "present"),
            _pages(picture, total.view, "managed"),
        )
        for total in block_totals(picture)
    ]
    return _table(("NODE", "ZONE", "BLOCKS", "SIZE", "PRESENT", "MANAGED"), rows)


def _pages(picture: Picture, zone: ZoneView | None, name: str) -> str:
    pages = None if zone is None else getattr(zone, name)
    return "" if pages is None else size_text(pages * picture.page_size)


def _figures(picture: Picture) -> Iterator[tuple[str, str]]:
    if picture.ratio is not None:
        yield "MOVABLE : KERNEL:", _percent(picture.ratio)
    if picture.auto_movable is not None and picture.auto_movable.percent != getattr(picture.ratio, "percent", None):
        yield "As auto-movable counts:", _percent(picture.auto_movable)
    if picture.auto_movable_ratio is not None:
        yield "Configured ratio:", f"{picture.auto_movable_ratio:5} %"
    if picture.mem_total is not None:
        yield "MemTotal:", f"{picture.mem_total // KIB} kB"


def _percent(ratio: Ratio) -> str:
    return "no kernel memory" if ratio.percent is None else f"{ratio.percent:5.1f} %"


def _device_table(picture: Picture) -> str:
    """Return a line for each device; adjacent ones that are alike share one, with the sums of their sizes."""
    rows = []
    for (_, node, *sizes), alike in groupby(
        picture.devices, key=lambda each: (each.id.rstrip("0123456789"), *each[1:])
    ):
        ids = [device.id for device in alike]
        several = len(ids) > 1
        rows.append(
            (
                f"{ids[0]} to {ids[-1]}" if several else ids[0],
                str(len(ids)) if several else "",
                "" if node is None else str(node),
                *("" if size is None else size_text(size * len(ids)) for size in sizes),
            )
        )
    return _table(("DEVICE", "COUNT", "NODE", "REQUESTED", "PLUGGED", "ONLINE"), rows, left=1) if rows else ""


def picture_json(picture: Picture, columns: Sequence[str] = COLUMNS, beside: Mapping[str, object] | None = None) -> str:
    """Return what ``lsmem --json`` prints for ``columns``, with further keys after its own; sizes in them are bytes.

    ``beside`` are keys to come before those, such as which run it is.
    """
    return lsmem_json(picture, columns, {**(beside or {}), **_keys(picture)})


def _keys(picture: Picture) -> dict[str, Any]:
    return {
        "block_size": picture.block_size,
        "page_size": picture.page_size,
        "mem_total": picture.mem_total,
        "movable_to_kernel_percent": picture.ratio and picture.ratio.percent,
        "auto_movable_percent": picture.auto_movable and picture.auto_movable.percent,
        "configured_percent": picture.auto_movable_ratio,
        "zone_totals": [
            {
                "node": total.node,
                "zone": _ZONE_WORDS.get(total.zone, total.zone),
                "blocks": total.blocks,
                **{
                    name: None if pages is None else pages * picture.page_size
                    for name in ("present", "managed", "spanned", "start", "cma")
                    for pages in (getattr(total.view, name, None),)
                },
            }
            for total in block_totals(picture)
        ],
        "devices": [device._asdict() for device in picture.devices],
        "remarks": list(picture.remarks),
    }
