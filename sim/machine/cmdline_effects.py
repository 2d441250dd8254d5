"""Words of a kernel's command line that have to do with memory and that no part of this program models.

A word that is not here, and that :mod:`sim.machine.cmdline` does not read, is taken not to matter to memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a word does in Linux, and for which values it does so (None: for all)."""

    what: str
    when: Callable[[str], bool] | None = None


def _enabled(value: str) -> bool:
    return value[:1].lower() in {"y", "1", "t", "e"} or value[:2].lower() == "on"


def _soft_iommu(value: str) -> bool:
    return "soft" in value.split(",")


_PAGE_EXT: Final = "takes kernel memory for every page"

_EFFECTS: Final = {
    "acpi": _Effect("without ACPI the kernel finds no DIMM that is plugged", lambda value: value == "off"),
    "acpi_no_memhotplug": _Effect("the kernel takes no DIMM that is plugged by ACPI"),
    "cma_pernuma": _Effect("sets a CMA area aside on every node, for devices (cma_per_node is another kernel's way)"),
    "debug_pagealloc": _Effect(_PAGE_EXT, _enabled),
    "default_hugepagesz": _Effect("sets the size of the huge pages that hugepages= sets aside at boot"),
    "efi": _Effect("soft-reserved memory becomes ordinary memory", lambda value: "nosoftreserve" in value.split(",")),
    "hugepages": _Effect("sets huge pages aside at boot, which nothing but their users gets: that much less memory"),
    "hugepagesz": _Effect("sets the size of the huge pages that hugepages= sets aside at boot"),
    "hugetlb_cma": _Effect("sets CMA areas aside for gigantic pages"),
    "hugetlb_free_vmemmap": _Effect("gives back most of the memmap of huge pages", _enabled),
    "iommu": _Effect("sets bounce buffers up in any case: swiotlb=force would say so here", _soft_iommu),
    "kmemleak": _Effect("takes kernel memory for every object", _enabled),
    "mem_encrypt": _Effect("encrypted memory has larger bounce buffers, 6 % of memory", _enabled),
    "numa": _Effect("with it all memory is on node 0 (off), or on nodes that do not exist (fake)"),
    "numa_balancing": _Effect("moves pages between nodes in the background", _enabled),
    "numa_cma": _Effect("sets CMA areas aside on the nodes that it names, for devices"),
    "page_owner": _Effect(_PAGE_EXT, _enabled),
    "page_table_check": _Effect(_PAGE_EXT, _enabled),
    "reserve_mem": _Effect("keeps memory from the kernel, at a place that it chooses"),
    "slab_debug": _Effect("makes kernel objects larger"),
    "slub_debug": _Effect("makes kernel objects larger"),
    "transparent_hugepage": _Effect(
        "without huge pages the kernel sets lower watermarks than here", lambda value: value == "never"
    ),
    "zswap.enabled": _Effect("keeps compressed swap in kernel memory", _enabled),
}

_PREFIXES: Final = {
    "dax_hmem.": "decides which soft-reserved memory becomes a dax device",
    "hv_balloon.": "there is no Hyper-V balloon here",
    "memory_hotplug.": "is no parameter that is known here",
    "sysctl.vm.": "sets a value of /proc/sys/vm, which has its default here",
    "virtio_mem.": "is no parameter of the driver that is modelled",
}


def not_modelled(name: str, value: str | None) -> str | None:
    """Return what the word ``name`` (its dashes as underscores) does; None where it does not matter to memory."""
    effect = _EFFECTS.get(name)
    if effect is not None:
        matters = effect.when is None or effect.when("on" if value is None else value)
        return f"not modelled: {effect.what}" if matters else None
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
    return None if prefix is None else f"not modelled: {_PREFIXES[prefix]}"
