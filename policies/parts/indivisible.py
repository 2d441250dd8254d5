"""Static devices and units are kept in one kind of zone: all MOVABLE, or all kernel.

For policies that decide for the first block of a device or unit and let the others follow: one kernel block in a DIMM
or in a big unit makes the rest of it unreturnable. The kernel's auto-movable has its own, wider rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from policies.contract import ZoneRequest
    from sim.memory.view import MemoryView


class Settled(NamedTuple):
    """Where the rest of a device or unit goes: ``movable`` or kernel, because of ``pages`` that it has there already.

    ``owner`` names the device or unit.
    """

    movable: bool
    pages: int
    owner: str

    @property
    def reason(self) -> str:
        """One line for a person."""
        where = "ZONE_MOVABLE" if self.movable else "a kernel zone"
        return f"{self.owner} already has {self.pages} pages in {where}: all of it goes there"


def settled_by(request: ZoneRequest, memory: MemoryView) -> Settled | None:
    """Return what settles the zone of a block whose static group or unit has memory online; None where nothing does."""
    group = request.group
    if group is None:
        return None
    kernel, movable, owner = group.kernel, group.movable, f"group {group.id} (static)"
    if group.is_dynamic:
        if group.unit_pages <= request.pages:
            return None
        kernel, movable = (
            sections * memory.section_pages for sections in memory.unit_sections(group.unit_pages, request.first_page)
        )
        owner = f"unit of group {group.id}"
    return Settled(kernel == 0, kernel or movable, owner) if kernel or movable else None


def one_kind(request: ZoneRequest, count: int, memory: MemoryView) -> bool:
    """Whether ``count`` blocks from the request's on follow the first: one static device or unit, above low zones."""
    group = request.group
    if group is None or request.first_page < memory.low_end(request.node):
        return False
    if not group.is_dynamic:
        return True
    last_page = request.first_page + count * request.pages - 1
    return group.unit_pages > request.pages and request.first_page // group.unit_pages == last_page // group.unit_pages
