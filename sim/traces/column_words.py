"""Words in the names of columns that monitoring systems and public traces have, and what each stands for."""

from __future__ import annotations

import re
from typing import Final

from sim.units import GIB, KIB, MIB, TIB

TIME_WORDS: Final = frozenset(
    {"t", "ts", "time", "timestamp", "date", "datetime", "epoch", "unix", "unixtime", "when", "clock", "elapsed",
     "hour", "hours", "day", "minute", "minutes", "second", "seconds", "sec"}
)  # fmt: skip

TIME_UNITS: Final = {
    "ms": (1e-3, "milliseconds"), "msec": (1e-3, "milliseconds"), "milliseconds": (1e-3, "milliseconds"),
    "us": (1e-6, "microseconds"), "usec": (1e-6, "microseconds"), "microseconds": (1e-6, "microseconds"),
    "ns": (1e-9, "nanoseconds"),
    "s": (1.0, "seconds"), "sec": (1.0, "seconds"), "secs": (1.0, "seconds"), "second": (1.0, "seconds"),
    "seconds": (1.0, "seconds"),
    "min": (60.0, "minutes"), "minute": (60.0, "minutes"), "minutes": (60.0, "minutes"),
    "h": (3600.0, "hours"), "hour": (3600.0, "hours"), "hours": (3600.0, "hours"),
    "day": (86400.0, "days"), "days": (86400.0, "days"),
}  # fmt: skip
"""What a 1 stands for in seconds, and its name, by the word in a column's name."""

EPOCHS: Final = {1.0: (1e8, 5e9), 1e-3: (1e11, 5e12), 1e-6: (1e14, 5e15), 1e-9: (1e17, 5e18)}
"""What a 1 stands for in seconds: from when to when such numbers are times since 1970, from 1973 to 2128."""

SERIES_WORDS: Final = frozenset(
    {"vm", "vmid", "id", "uuid", "host", "hostname", "instance", "node", "guest", "name", "domain", "machine",
     "pod", "container", "job", "server", "series", "run", "device", "dom"}
)  # fmt: skip

UNITS: Final = {
    "bytes": 1, "byte": 1, "b": 1,
    "kb": KIB, "kib": KIB, "k": KIB, "kbytes": KIB, "kilobytes": KIB,
    "mb": MIB, "mib": MIB, "mbytes": MIB, "megabytes": MIB, "m": MIB,
    "gb": GIB, "gib": GIB, "gbytes": GIB, "gigabytes": GIB, "g": GIB,
    "tb": TIB, "tib": TIB,
}  # fmt: skip
"""Bytes by the word in a column's name; as ``/proc``, ``free`` and hypervisors mean them, kB are KiB."""

OTHER: Final = frozenset(
    {"cpu", "cpus", "vcpu", "vcpus", "core", "cores", "disk", "net", "network", "rx", "tx", "read", "write", "reads",
     "writes", "iops", "swap", "swp", "load", "mhz", "fs", "io", "commit", "committed", "gpu", "ns", "itemid",
     "metricid", "interval"}
)  # fmt: skip
"""Words of columns that tell of something else than memory."""

_TOTALS: Final = frozenset(
    {"total", "memtotal", "capacity", "cap", "provisioned", "limit", "size", "request", "requested"}
)
_UNUSED: Final = frozenset({"free", "memfree", "available", "memavailable", "avail", "unused"})
AVAILABLE: Final = frozenset({"available", "memavailable", "avail"})
"""Of what is not in use, what counts page cache that could be had."""

_CACHE: Final = frozenset({"cache", "cached", "pagecache", "buffcache", "file"})
_RECLAIMABLE: Final = frozenset({"sreclaimable", "reclaimable"})
_UNRECLAIMABLE: Final = frozenset({"sunreclaim", "unreclaimable"})
_TABLES: Final = frozenset({"pagetables", "tables"})
_STACKS: Final = frozenset({"kernelstack", "stack", "stacks"})
_SLAB: Final = frozenset({"slab"}) | _RECLAIMABLE | _UNRECLAIMABLE
_KERNEL: Final = frozenset({"buffers"}) | _TABLES | _STACKS
_PARTS_OFOTHERS: Final = frozenset({"huge", "hugepages", "thp", "mapped", "locked"})
"""Words of figures that are a part of another one."""

USER_RANKS: Final = (
    frozenset({"anon", "anonymous", "anonpages", "rss", "anonpg"}),
    frozenset({"used", "use", "usage", "consumed", "memused", "utilised", "utilized", "demand", "wss", "workingset"}),
    frozenset({"active", "user", "mem", "memory", "ram"}),
)
"""What memory in use is called, the clearest words first."""

WHOLE_MACHINE: Final = USER_RANKS[1] | USER_RANKS[2]
"""Words of figures that have the system's own memory in them."""

QUANTITY_WORDS: Final = {
    "capacity": (_TOTALS, OTHER | _UNUSED),
    "free": (_UNUSED, OTHER),
    "slab_reclaimable": (_RECLAIMABLE, OTHER),
    "slab_unreclaimable": (_UNRECLAIMABLE, OTHER),
    "page_tables": (_TABLES, OTHER),
    "kernel_stacks": (_STACKS, OTHER),
    "page_cache": (_CACHE, OTHER | _SLAB),
    "user": (USER_RANKS[0] | WHOLE_MACHINE, OTHER | _SLAB | _KERNEL | _PARTS_OFOTHERS),
}
"""By quantity: words of which a column's name has one, and words of which it has none. The first that fits counts."""

_PARTS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|%")
_SAR: Final = re.compile(
    r"(kb|%)(mem|swp)?(free|used|avail|cached?|buffers|anonpg|commit|active|inact|slab|kstack|pgtbl)"
)
_DIFFERENCE: Final = re.compile(r".*(?:total|size)(_?[a-z]*)\W.*?-.*(?:avail|free)", re.IGNORECASE)
"""What is there less what is not in use, as an expression of a monitoring system; with the unit behind the first."""

_SAR_WORDS: Final = {"kstack": "kernelstack", "pgtbl": "pagetables"}


def words_of(name: str) -> dict[str, None]:
    """Return the words in a column's name, in lower case and in order; ``%`` and the like are ``percent``.

    Each run of letters is a word, each of several in mixed case, and all of those together; sar's ``kbmemused`` are
    ``kb``, ``mem``, ``used``.
    """
    words: list[str] = []
    if difference := _DIFFERENCE.match(name):
        return words_of(f"used {difference[1]}")
    if sar := _SAR.fullmatch(name):
        words = [_SAR_WORDS.get(part, part) for part in sar.groups() if part]
    else:
        for run in re.findall(r"[A-Za-z]+|%", name):
            known = run.lower() in UNITS or run.lower() in TIME_UNITS  # MiB is no Mi and B
            words += [run] if known else [run, *_PARTS.findall(run)]
    return dict.fromkeys(
        "percent" if word.lower() in ("%", "percent", "pct", "perc") else word.lower() for word in words
    )
