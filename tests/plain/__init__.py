"""A slow, plain second implementation of Linux's memory hotplug rules, for the tests only.

It shares no line with the simulator. Nothing is kept that can be added up: every statistic is summed
afresh over all blocks and groups whenever a decision needs it. Clarity is the only aim; speed is none.

Its rules are those of the Linux files ``mm/memory_hotplug.c``, ``drivers/base/memory.c`` and
``drivers/acpi/acpi_memhotplug.c``, and of the patch series "mm/memory_hotplug: auto-movable online policy
and memory groups" (v3, 2021-08-06).
"""

from __future__ import annotations
