"""What a machine has when it has booted: address map, zones, CMA, blocks, and where its devices go.

Kernel memory that ``kernelcore=`` and ``movablecore=`` spread over several nodes is left out: one node only.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.plain.machine import DMA, DMA32, MOVABLE, NORMAL, Block, BootZone, Knobs, Machine, Part

KIB, MIB, GIB = 2**10, 2**20, 2**30
FOUR_GIB = 4 * GIB

#: By architecture, where its low zones end.
LOW_ZONES = {"x86-64": ((DMA, 16 * MIB), (DMA32, FOUR_GIB)), "arm64": ((DMA, FOUR_GIB),), "s390x": ((DMA, 2 * GIB),)}

Range = tuple[int, int]
"""Pages first up to (not including) the second."""


@dataclass(frozen=True)
class Booted:
    """A machine as somebody wants it: ``nodes`` and all sizes in bytes, 0 for what is not given."""

    nodes: tuple[int, ...]
    architecture: str = "x86-64"
    page: int = 4 * KIB
    kernel: tuple[int, int] = (6, 1)
    kernelcore: int = 0
    movablecore: int = 0
    movable_node: bool = False
    cma: int = 0

    # Sizes

    @property
    def pageblock(self) -> int:
        """A page of page tables has 8 bytes for each page it maps; s390x maps a mebibyte."""
        return MIB if self.architecture == "s390x" else self.page // 8 * self.page

    @property
    def largest_chunk(self) -> int:
        return max(1024 * self.page, self.pageblock)

    @property
    def section(self) -> int:
        if self.architecture == "s390x":
            return 256 * MIB if self.kernel < (6, 13) else 128 * MIB
        return 512 * MIB if self.page == 64 * KIB else 128 * MIB

    @property
    def block(self) -> int:
        """On x86-64, from 64 GiB on, the largest of 2 GiB to a section that the end is a multiple of."""
        end = self.end
        size = 2 * GIB
        if self.architecture != "x86-64" or end < 64 * GIB:
            return self.section
        while size > self.section and end % size:
            size //= 2
        return size

    # Addresses

    def memory(self) -> list[tuple[int, int, int]]:
        """(node, first byte, end) of what QEMU gives, ascending."""
        total = sum(self.nodes)
        begin = GIB if self.architecture == "arm64" else 0
        hole = (0, 0)
        if self.architecture == "x86-64":
            hole = (3 * GIB if total >= 7 * GIB // 2 else total, FOUR_GIB)
        found = []
        at = begin
        for node, size in enumerate(self.nodes):
            left = size
            while left:
                if hole[0] <= at < hole[1]:
                    at = hole[1]
                part = min(left, hole[0] - at) if at < hole[0] else left
                found.append((self.number(node), at, at + part))
                at += part
                left -= part
        return found

    def number(self, node: int) -> int:
        """What Linux calls a node: those with CPUs (the first), those with memory, the last, in order of appearance."""
        last = len(self.nodes) - 1
        order = [0, *(n for n, size in enumerate(self.nodes) if size), last]
        return list(dict.fromkeys(order)).index(node)

    @property
    def linux_nodes(self) -> int:
        last = len(self.nodes) - 1
        return len({0, last, *(n for n, size in enumerate(self.nodes) if size)})

    @property
    def end(self) -> int:
        return max(end for _, _, end in self.memory())

    @property
    def device_base(self) -> int:
        base = -(-self.end // GIB) * GIB
        return max(FOUR_GIB, base) if self.architecture == "x86-64" else base

    def missing(self) -> list[Range]:
        """Pages that firmware keeps: page 0, video and BIOS, and its tables at the top of low memory."""
        if self.architecture != "x86-64":
            return []
        low = max(end for _, _, end in self.memory() if end <= FOUR_GIB) // self.page
        tables = 33 if sum(self.nodes) > 64 * GIB else 32
        holes = [(0, 1), (0x9F, 0x100)]
        return [*holes, (low - tables, low)] if low > 4096 + tables else holes

    def present(self) -> list[tuple[int, int, int]]:
        """(node, first page, end) of what the kernel finds."""
        found = [(node, first // self.page, end // self.page) for node, first, end in self.memory()]
        for low, high in self.missing():
            found = [
                piece
                for node, first, end in found
                for piece in ((node, first, min(end, low)), (node, max(first, high), end))
                if piece[1] < piece[2]
            ]
        return found

    # Zones

    def spans(self) -> list[tuple[int, str, int, int]]:
        """(node, zone, first page, end) of each zone that has memory."""
        found = []
        for node in sorted({node for node, _, _ in self.present()}):
            mine = [(first, end) for owner, first, end in self.present() if owner == node]
            begin, end = mine[0][0], mine[-1][1]
            movable = self.movable_from()
            at = begin
            for zone, limit in (*LOW_ZONES[self.architecture], (NORMAL, 2**62)):
                stop = min(limit // self.page, end, movable)
                if at < stop and any(overlap(entry, (at, stop)) for entry in mine):
                    found.append((node, zone, at, stop))
                at = max(at, min(limit // self.page, end))
            if movable < end:
                found.append((node, MOVABLE, movable, end))
        return found

    def movable_from(self) -> int:
        """The page where ZONE_MOVABLE begins. With ``movable_node`` the kernel ignores what is asked of it here."""
        nowhere = 2**62
        chunk = self.largest_chunk // self.page
        pieces = [(first, end) for _, first, end in self.present()]
        total = sum(end - first for first, end in pieces)
        wanted = -(-self.kernelcore // self.page)
        if self.movablecore:
            movable = -(-self.movablecore // self.page)
            wanted = max(wanted, total - min(total, -(-movable // chunk) * chunk))
        if self.movable_node or not wanted or wanted >= total:
            return nowhere
        assert len({node for node, _, _ in self.present()}) == 1
        # Memory in the zones below the highest one is kernel memory in any case, and counts.
        limits = [limit // self.page for _, limit in LOW_ZONES[self.architecture] if limit // self.page < pieces[-1][1]]
        usable = max(limits, default=0)
        left = wanted
        at = 0
        for first, end in pieces:
            low = max(0, min(end, usable) - first)
            left -= low
            at = max(at, min(end, usable))
            part = min(max(0, left), end - max(first, usable)) if end > usable else 0
            if part:
                at = max(first, usable) + part
                left -= part
        at = -(-at // chunk) * chunk
        return at if at < pieces[-1][1] else nowhere

    # CMA

    def cma_zones(self) -> list[tuple[int, str]]:
        """The zone of each area, one after the other: one for all, and from 7.0 on one for each of several nodes."""
        if not self.cma:
            return []
        nodes = sorted({node for node, _, _ in self.present()})
        rounds: list[list[int]] = [nodes]
        if self.kernel >= (7, 0) and len(nodes) > 1:
            rounds += [[node] for node in nodes]
        taken: list[tuple[int, int]] = []
        found = []
        for wanted in rounds:
            place = self._cma_place(wanted, taken)
            if place is not None:
                node, at = place
                taken.append((at, at + self.cma // self.page))
                found.append((node, next(z for n, z, low, high in self.spans() if n == node and low <= at < high)))
        return found

    def _cma_place(self, nodes: list[int], taken: list[Range]) -> tuple[int, int] | None:
        """Bottom-up from 4 GiB first, else from the top. What is not larger than the area is never free as a whole."""
        size, four = self.cma // self.page, FOUR_GIB // self.page
        pieces = [(node, first, end) for node, first, end in self.present() if node in nodes]
        for low, high in taken:
            pieces = [
                piece
                for node, first, end in pieces
                for piece in ((node, first, min(end, low)), (node, max(first, high), end))
                if piece[1] < piece[2]
            ]
        if self.architecture != "arm64":
            for node, first, end in pieces:
                if end > four and end - max(first, four) > size:
                    return node, max(first, four)
        for node, first, end in reversed(pieces):
            top = min(end, four) if self.architecture == "arm64" else end
            # Where memory goes on above 4 GiB, what the kernel has taken at its top does not lie below.
            if top - first > size or (top - first == size and top < end):
                return node, top - size
        return None

    # Put together

    def zones(self) -> list[BootZone]:
        found = []
        for node, zone, first, end in self.spans():
            present = sum(overlap((low, high), (first, end)) for owner, low, high in self.present() if owner == node)
            cma = self.cma_zones().count((node, zone)) * self.cma // self.page
            found.append(BootZone(node, zone, first, end - first, present, cma))
        return found

    def blocks(self) -> list[Block]:
        pages, section = self.block // self.page, self.section // self.page
        present = self.present()
        numbers = {n: node for node, low, high in reversed(present) for n in range(low // pages, -(-high // pages))}
        found = []
        for number, node in sorted(numbers.items()):
            first, end = number * pages, (number + 1) * pages
            parts = [
                Part(max(first, low), min(end, high), owner, zone)
                for owner, zone, low, high in self.spans()
                if low < end and first < high
                if any(overlap((a, b), (max(first, low), min(end, high))) for n, a, b in present if n == owner)
            ]
            holes = sum(overlap((low, high), (first, end)) for _, low, high in present) < pages
            if len(parts) == 1:
                home = parts[0]
                parts = [
                    Part(at, at + section, home.node, home.zone)
                    for at in range(first, end, section)
                    if any(overlap((low, high), (at, at + section)) for _, low, high in present)
                ]
            home_node = parts[0].node if len({(part.node, part.zone) for part in parts}) == 1 else node
            found.append(Block(number, home_node, early=True, parts=tuple(parts), has_holes=holes and len(parts) > 0))
        return found

    def machine(self) -> Machine:
        return Machine(
            self.block // self.page,
            self.section // self.page,
            frozenset(range(self.linux_nodes)),
            tuple(self.zones()),
            tuple(self.blocks()),
            Knobs(movable_node=self.movable_node),
            2**46 // self.page,
            2 * MIB // self.page,
        )


def overlap(one: Range, other: Range) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))


def place(base: int, taken: list[tuple[int, int]], size: int, align: int) -> int:
    """The lowest free address of ``size`` bytes that is a multiple of ``align``; ``taken`` are (address, bytes)."""
    candidates = [base, *(address + length for address, length in taken)]
    for candidate in sorted(-(-address // align) * align for address in candidates):
        if all(candidate + size <= address or address + length <= candidate for address, length in taken):
            return candidate
    raise AssertionError("there is always room above all others")
