"""Loads by name: programs whose kernel memory follows from their anonymous memory as it does on measured machines.

Each is fitted to a part of a measured series and shown on the rest (``tests/support/mix_fit.py``, which the page about
the guest model quotes). Sources, both MIT or facts only:

* *pcp*: /proc/meminfo of real machines, test material of Performance Co-Pilot (performancecopilot/pcp, 918d12b).
* *ldms*: /proc/meminfo of a workstation by the second (clayfiler/HPC_Anomaly_Data_Generation, 8244bd4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator


class Mix(NamedTuple):
    """What comes with each GiB of anonymous memory, beside the page tables that the guest gives any of it.

    ``processes`` that sleep (a kernel stack of 16 KiB each, and what belongs to it), ``tables`` and ``kernel`` bytes of
    page tables and of other kernel memory, ``files`` whose inodes are cached, ``cache`` bytes of page cache.
    """

    summary: str
    source: str
    processes: int = 0
    tables: int = 0
    kernel: int = 0
    files: int = 0
    cache: int = 0


MIXES: Final = {
    "database": Mix(
        "few processes with large buffers in pages of 4 KiB: nothing but their page tables, 2 MiB in the GiB",
        "ldms, runs with a leak that fills memory up to 55 GiB; stacks and slab stand still there",
    ),
    "build": Mix(
        "many programs that come and go and walk many files",
        "pcp laptop8-2018, a developer's machine from boot into work, first half: 17.4 MiB in the GiB, 138 more"
        " threads, 121 MiB of slab that can be given up, 1.3 GiB of page cache",
        processes=138,
        tables=int(5.9 * MIB),
        files=69_200,
        cache=1373 * MIB,
    ),
    "web-server": Mix(
        "many long-lived processes of a server, each with page tables of its own",
        "pcp el7-2g-2018, a server of 2 GiB while it starts, first half: 31.9 MiB in the GiB, 122 more threads, 59 MiB"
        " of slab that can be given up, 1.1 GiB of page cache",
        processes=122,
        tables=int(17.3 * MIB),
        kernel=int(4.2 * MIB),
        files=33_400,
        cache=1171 * MIB,
    ),
}
"""Loads by name. The amount of one is its anonymous memory, in bytes."""


def parts_of(load: str, kind: str, share: float = 1.0) -> Iterator[tuple[str, str, float]]:
    """Yield the loads that ``load`` of a ``kind`` or a mix is made of: name, kind, and what of its amount each uses."""
    mix = MIXES.get(kind)
    if mix is None:
        yield load, kind, share
        return
    yield load, "anonymous", share
    for suffix, of_part, amount in (
        ("processes", "processes", mix.processes),
        ("tables", "page-tables", mix.tables),
        ("slab", "kernel", mix.kernel),
        ("files", "disk-files", mix.files),
        ("files-cache", "page-cache", mix.cache),
    ):
        if amount:
            yield f"{load}-{suffix}", of_part, share * amount / GIB
