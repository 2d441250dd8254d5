"""A picture's blocks counted by node and zone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sim.readers.facts import ZoneView
    from sim.snapshot.picture import Picture

SEVERAL: Final = "None"
"""What the kernel says in ``valid_zones`` of an online block that lies in several zones."""

OFFLINE: Final = "offline"
"""Instead of a zone: blocks that are not online."""

_ORDER: Final = ("dma", "dma32", "normal", "highmem", "movable", "device", "none", OFFLINE)


class ZoneTotal(NamedTuple):
    """Blocks of a node in a zone: or in several (``zone`` is SEVERAL), in one unknown (""), or OFFLINE.

    ``view`` is what else is known of the zone.
    """

    node: int | None
    zone: str
    blocks: int
    view: ZoneView | None = None


def block_totals(picture: Picture) -> list[ZoneTotal]:
    """Return how many blocks are where, by node and in the kernel's order of zones; zones without whole blocks too."""
    counted: Counter[tuple[int | None, str]] = Counter()
    for view in picture.blocks:
        # Before 4.13 an online block told where else it might go after where it is.
        zone = (view.zones or "").partition("/")[0] if view.state == "online" else OFFLINE
        counted[view.node, SEVERAL if zone.lower() == "none" else zone] += 1
    views: dict[tuple[int | None, str], ZoneView] = {
        (zone.node, zone.zone): zone for zone in picture.zones if zone.present
    }
    keys = sorted({*counted, *views}, key=lambda key: (-1 if key[0] is None else key[0], _place(key[1]), key[1]))
    return [ZoneTotal(*key, counted[key], views.get(key)) for key in keys]


def _place(zone: str) -> int:
    return _ORDER.index(zone.lower()) if zone.lower() in _ORDER else len(_ORDER) - 2
