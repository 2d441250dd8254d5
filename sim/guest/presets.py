"""Guests by name, and guests from what ``free`` prints in one: whose kernel, how much it reserves, how much it uses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.faults import Fault, InputError
from sim.guest.boot import idle_pcp_pages
from sim.guest.parameters import parameters_for, parameters_for_kernel
from sim.guest.reserve import reserved_pages, tables_in_use
from sim.pages import PAGES_4K
from sim.units import KIB, MIB, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.guest.boot import PresentZone
    from sim.guest.parameters import GuestParameters
    from sim.guest.reserve import BootOptions
    from sim.pages import PageGeometry


FROM_FREE: Final = ("boot_reserved_bytes", "idle_use_bytes", "idle_use_nodes_bytes", "idle_pcp_bytes")
"""Parameters that follow from what ``free`` prints."""


class Free(NamedTuple):
    """What ``free`` prints in an idle guest: total memory and what is used without cache, bytes.

    ``boot_memory`` is what that guest was given, None for as much as the machine at hand.
    """

    mem_total: int
    used: int
    boot_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A guest by name: its recorded kernel ``series``, or what is known of it from ``free``; and where from."""

    summary: str
    source: str
    series: str | None = None
    free: Free | None = None


PRESETS: Final = {
    "debian-6.1": Preset(
        "Debian's kernel 6.1, nothing but an init running",
        "boot snapshots of recorded kernels, 512 MiB to 66 GiB",
        series="6.1",
    ),
    "debian-6.12": Preset(
        "Debian's kernel 6.12, nothing but an init running",
        "boot snapshots of recorded kernels, 512 MiB to 70 GiB",
        series="6.12",
    ),
    "debian-7.3": Preset(
        "Debian's kernel 7.3, nothing but an init running",
        "boot snapshots of recorded kernels, 256 MiB to 65 GiB",
        series="7.3",
    ),
    "kata": Preset(
        "Kata Containers: a small kernel without SWIOTLB, and the agent",
        "kata-containers/agent issue 363: free in a guest of 128 MiB shows 108 MiB, 22 of them used",
        free=Free(108 * MIB, 22 * MIB, 128 * MIB),
    ),
    "cloud-hypervisor": Preset(
        "Cloud Hypervisor's guest kernel and a small system",
        "cloud-hypervisor issue 1593: a guest of 128 MiB has a MemTotal of 98,740 kB, 21,900 of them used",
        free=Free(98_740 * KIB, 21_900 * KIB, 128 * MIB),
    ),
    "firecracker": Preset(
        "Firecracker's guest kernel; no figure is published, Kata's are taken",
        "none; a kernel built for the same purpose (kata) stands for it",
        free=Free(108 * MIB, 22 * MIB, 128 * MIB),
    ),
}
"""Presets of ``[guest]`` by name. ``docs/guest-model.md`` has them with the figures that are known otherwise."""


SYSTEM_CACHE: Final = 8 * MIB
"""Page cache of a small system's own programs. More than a pageblock, which is all that matters of it."""


def parameters_of(
    preset: str | None,
    free: Free | None,
    present: Sequence[PresentZone],
    options: BootOptions,
    geometry: PageGeometry = PAGES_4K,
) -> GuestParameters:
    """Return the parameters of a guest on a machine: of its kernel's series, or of the named ``preset``.

    ``present`` are the zones at boot, ``options`` what it is booted with, ``geometry`` that of the machine's pages.

    Reserve and idle use follow from ``free`` where it is given, else from what the preset has of that kind. Raises
    KeyError for an unknown preset and InputError where ``free`` does not fit the memory that it is of.
    """
    named = None if preset is None else PRESETS[preset]
    series = None if named is None else named.series
    parameters = parameters_for_kernel(options.series) if series is None else parameters_for(series)
    if geometry != parameters.geometry:
        parameters = replace(parameters, geometry=geometry)
    if free is None and named is not None:
        free = named.free
    return parameters if free is None else as_free_says(parameters, free, present, options)


def as_free_says(
    parameters: GuestParameters, free: Free, present: Sequence[PresentZone], options: BootOptions
) -> GuestParameters:
    """Return ``parameters`` with the reserve and the idle use with which a guest's ``free`` prints ``free``.

    Its programs come from a file system, as those of all guests of which such a thing is published. Raises InputError
    where more is said to be managed than memmap and hash tables leave.
    """
    page_size = parameters.geometry.size
    there = sum(zone.pages for zone in present)
    nodes = [sum(zone.pages for zone in present if zone.node == node) for node in {zone.node for zone in present}]
    own = options.boot_memory - options.unused or there * page_size
    boot_memory = free.boot_memory or own
    if boot_memory != own:
        # What firmware keeps does not depend on the size. How such a guest's nodes are is not known.
        there += (boot_memory - own) // page_size
        nodes = [there]
    managed = free.mem_total // page_size
    reserved = reserved_pages(nodes, managed, parameters, options)
    if reserved <= 0 or managed <= 0:
        most = max(0, managed + reserved - 1) * page_size // KIB
        what = (
            f"{format_size(free.mem_total)} are not what a guest with {format_size(boot_memory)} can have: of that"
            f" memmap and hash tables leave at most {most}KiB; if it had more, say so in boot_memory"
        )
        raise InputError("guest", [Fault("as.mem_total", what)])
    # What free calls used includes what lies on CPU lists.
    used = free.used // page_size
    lists = idle_pcp_pages(managed, parameters)
    if lists > used // 2:
        lists = used // 2
        parameters = replace(parameters, idle_pcp_bytes=lists * page_size)
    tables = tables_in_use(nodes, managed, parameters, options)
    idle = max(0, used - lists - tables - int(parameters.idle_use_share * managed))
    return replace(
        parameters,
        boot_reserved_bytes=reserved * page_size,
        idle_use_bytes=idle * page_size,
        idle_use_nodes_bytes=0,
        system_cache_bytes=SYSTEM_CACHE,
    )
