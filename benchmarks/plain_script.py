"""The least that does what a run does: one virtio-mem device resized under auto-movable, as a plain Python script.

No events, no other devices, no guest, nobody else who may want the lock: two loops over blocks that keep each block's
zone, the pages of zones and of the device's group, ask the kernel's rule in its own integers
(``auto_movable_can_online_movable`` of ``mm/memory_hotplug.c``, v6.1, on one node), and note a row for each block that
comes or goes. ``loop.c`` is the same again. What both leave is compared with the program's record, number by number.
"""

from __future__ import annotations

NORMAL, MOVABLE = 2, 3
PLUG, UNPLUG = 1, 6
DEVICE = 0
BLOCK_PAGES = 32_768
PLUG_US, UNPLUG_US = 26_500, 18_000
RATIO = 301


def resized(turns: int, blocks: int, first: int, early: int, interval_us: int) -> list[tuple[int, ...]]:
    """Return rows (microsecond, kind, device, block, count, zone, pages) of a device that is filled and emptied.

    It is so ``turns`` times; ``first`` is its first block, ``early`` the kernel pages at boot, ``interval_us`` the time
    between requests.
    """
    rows: list[tuple[int, ...]] = []
    zone_of = [0] * blocks
    zone_pages = [0, 0, 0, 0]
    dynamic_movable = group_kernel = group_movable = 0
    for turn in range(turns):
        now = (2 * turn + 1) * interval_us
        for block in range(blocks):
            now += PLUG_US
            movable = zone_pages[MOVABLE] - dynamic_movable + group_movable
            if movable + BLOCK_PAGES <= RATIO * (early + group_kernel) // 100:
                zone = MOVABLE
                dynamic_movable += BLOCK_PAGES
                group_movable += BLOCK_PAGES
            else:
                zone = NORMAL
                group_kernel += BLOCK_PAGES
            zone_pages[zone] += BLOCK_PAGES
            zone_of[block] = zone
            rows.append((now, PLUG, DEVICE, first + block, 1, zone, BLOCK_PAGES))
        now = (2 * turn + 2) * interval_us
        for zone in (MOVABLE, NORMAL):
            for block in range(blocks - 1, -1, -1):
                if zone_of[block] != zone:
                    continue
                now += UNPLUG_US
                zone_of[block] = 0
                zone_pages[zone] -= BLOCK_PAGES
                if zone == MOVABLE:
                    dynamic_movable -= BLOCK_PAGES
                    group_movable -= BLOCK_PAGES
                else:
                    group_kernel -= BLOCK_PAGES
                rows.append((now, UNPLUG, DEVICE, first + block, 1, zone, BLOCK_PAGES))
    return rows
