"""The shape of an experiment file, as models that check it and from which its JSON Schema follows.

Some keys are not fixed here, and are checked in the same go: what a policy or workload takes beside its name by
:mod:`sim.plugins.lookup`, ``[guest]`` by :mod:`sim.experiment.guest_settings`, ``[timing]`` by
:mod:`sim.experiment.resolve`, what is varied by :mod:`sim.experiment.sweep`. The JSON Schema is completed in
:mod:`sim.experiment.json_schema`. Sizes are bytes once they have passed through these models.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from sim.experiment.recommend_table import RecommendTable
from sim.experiment.state_tables import ColdDeviceTable, StateTable
from sim.experiment.table import Address, Flag, Integer, Size, Table, Text
from sim.faults import shown
from sim.machine import cmdline
from sim.plugins import parameter_types, values

MOST_REPLICATIONS: Final = 100_000
ALL: Final = "all"
"""In the place of a number of replications: as many as there are recordings to play."""

LABEL_LENGTH: Final = 100
LABEL_FORBIDS: Final = frozenset('/\\=:*?"<>|')  # labels stand in names of files, as those of plots


def usable_label(written: str) -> str:
    """Return ``written`` with a dash for each character that labels do not hold. It may still be too long."""
    return "".join("-" if each in LABEL_FORBIDS or not each.isprintable() else each for each in written)


def shortened_label(written: str) -> str:
    """Return :func:`usable_label`, cut off to the length of a label, with an end that tells it from others."""
    end = f"...{sha256(written.encode()).hexdigest()[:6]}"
    return usable_label(written)[: LABEL_LENGTH - len(end)] + end


def _name(text: object) -> str:
    label = values.string(text)
    if not 0 < len(label) <= LABEL_LENGTH or not label.isprintable() or label != label.strip():
        raise ValueError(f"{shown(label)} is not a label: 1 to {LABEL_LENGTH} characters, no blanks at either end")
    if bad := sorted(LABEL_FORBIDS & set(label)):
        raise ValueError(f"{shown(label)} is not a label: it must not hold {' '.join(bad)}")
    if not label.strip("."):
        raise ValueError(f"{shown(label)} is not a label: it consists of dots")
    return label


def _cmdline(text: object) -> str:
    line = values.string(text)
    if len(line) > cmdline.LONGEST:
        raise ValueError(f"has {len(line)} characters; no kernel takes more than {cmdline.LONGEST}")
    return line


def _memmap_on_memory(value: object) -> bool | str:
    if isinstance(value, bool) or value == "force":
        return value
    raise ValueError(f"{shown(value)} is none of true, false and 'force'")


def _replications(value: object) -> int | str:
    if value == ALL:
        return ALL
    number = values.integer(value)
    if not 1 <= number <= MOST_REPLICATIONS:
        raise ValueError(f"{number} is not between 1 and {MOST_REPLICATIONS}, nor {ALL!r}")
    return number


def _positive_seconds(value: object) -> float:
    parsed = values.seconds(value)
    if parsed == 0:
        raise ValueError("must be more than 0 seconds")
    return parsed


def _between(low: int, high: int) -> AfterValidator:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return value

    return AfterValidator(check)


Label = Annotated[
    str, BeforeValidator(_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LABEL_LENGTH})
]
Name = Annotated[
    str, BeforeValidator(_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LABEL_LENGTH})
]
Rounded = Annotated[
    int,
    BeforeValidator(lambda value: values.size(value, rounded=True)),
    WithJsonSchema(parameter_types.Size(zero=True).json_schema()),
]
CmdLine = Annotated[str, BeforeValidator(_cmdline), WithJsonSchema({"type": "string", "maxLength": cmdline.LONGEST})]
Seconds = Annotated[float, BeforeValidator(values.seconds), WithJsonSchema({"type": "number", "minimum": 0})]
PositiveSeconds = Annotated[
    float, BeforeValidator(_positive_seconds), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]


class NodeTable(Table):
    """A NUMA node of a machine."""

    boot_memory: Size = Field(description="Early memory of the node; 0 for one that gets memory only by hotplug.")
    cpus: Flag | None = Field(None, description="Whether the node has CPUs. Default: the first node has.")


class RangeTable(Table):
    """A range of addresses."""

    address: Address = Field(description="First byte.")
    size: Size = Field(description="Bytes.")


class ColdDimmsTable(Table):
    """DIMMs that are there when the kernel starts."""

    size: Size = Field(description="Bytes of each.")
    node: Integer = Field(0, description="NUMA node.")
    count: Integer = Field(1, description="How many.")


class MachineTable(Table):
    """A guest machine: its boot memory and the boot parameters that matter to memory hotplug."""

    label: Label | None = Field(None, description="Name in tables and plots; by default the boot memory.")
    boot_memory: Size | None = Field(None, description="Boot memory of a machine with one node.")
    nodes: tuple[NodeTable, ...] | None = Field(None, description="The nodes, where there are several.")
    block_size: Size | None = Field(
        None, description="Memory block, 128MiB to 2GiB. Default (0): 128MiB, and more from 64GiB of boot memory on."
    )
    section_size: Size | None = Field(
        None, description="Section of the memory map. Default (0): as the architecture has it."
    )
    architecture: Text | None = Field(
        None, description="x86-64 (the default), arm64 (the default with pages of 16KiB and 64KiB) or s390x."
    )
    page_size: Size | None = Field(None, description="Base page: 4KiB (the default); on arm64 16KiB or 64KiB too.")
    kernel: Text | None = Field(None, description='Kernel series, such as "6.1".')
    cmdline: CmdLine | None = Field(
        None, description="The kernel's command line: sets the keys below that it has words for, and the policy."
    )
    kernelcore: Size | None = Field(None, description="Boot parameter kernelcore=, in bytes.")
    kernelcore_percent: Integer | None = Field(None, description="Boot parameter kernelcore=50%, without the sign.")
    movablecore: Size | None = Field(None, description="Boot parameter movablecore=, in bytes.")
    movablecore_percent: Integer | None = Field(None, description="Boot parameter movablecore=50%, without the sign.")
    movable_node: Flag | None = Field(None, description="Boot parameter movable_node.")
    cma: Size | None = Field(None, description="Boot parameter cma=: the size.")
    cma_base: Address | None = Field(None, description="The address behind the @ of cma=.")
    cma_limit: Address | None = Field(None, description="The address that an area of cma= must end at or below.")
    swiotlb: Text | None = Field(
        None,
        description="Boot parameter swiotlb=: slots of 2KiB, areas, force; noforce spares 64MiB of bounce buffers.",
    )
    crashkernel: Size | None = Field(None, description="Boot parameter crashkernel=.")
    log_buf_len: Size | None = Field(None, description="Boot parameter log_buf_len=; 4MiB takes 18MiB in all.")
    cma_per_node: Flag | None = Field(None, description="Whether each node gets an area of the size of cma beside.")
    mem: Address | None = Field(None, description="Boot parameter mem=: memory from this address on is not used.")
    soft_reserved: tuple[RangeTable, ...] | None = Field(
        None, description="Boot memory that is kept for dax devices, as memmap=size%address-1+0xefffffff does."
    )
    reserved: tuple[RangeTable, ...] | None = Field(
        None, description="Boot memory that is kept from everybody, as memmap=size$address does."
    )
    zone_dma: Flag | None = Field(None, description="Whether the kernel was built with ZONE_DMA. Default true.")
    slots: Integer | None = Field(None, description="DIMM slots, at most 4096; QEMU has 256, the default.")
    cold_dimms: tuple[ColdDimmsTable, ...] | None = Field(
        None, description="DIMMs that are there when the kernel starts, in this order."
    )
    cold_devices: tuple[ColdDeviceTable, ...] | None = Field(
        None, description="Further devices that are there then; a virtio-mem device gets what it asks for."
    )
    max_memory: Size | None = Field(None, description="Most that boot memory and devices may add up to.")
    max_ram_below_4g: Size | None = Field(None, description="QEMU's max-ram-below-4g. Default (0): 3.5GiB.")
    firmware_pages: Integer | None = Field(
        None, description="Pages that firmware keeps below 4GiB. Default (0): 32 or 33."
    )
    memmap_on_memory: Annotated[
        bool | Literal["force"] | None,
        PlainValidator(_memmap_on_memory),
        WithJsonSchema({"enum": [True, False, "force"]}),
    ] = Field(None, description="Module parameter memory_hotplug.memmap_on_memory.")
    virtio_mem_driver: Flag | None = Field(
        None, description="Whether the guest has a driver for virtio-mem devices. Default true."
    )
    virtio_mem_unplug_online: Flag | None = Field(None, description="Module parameter virtio_mem.unplug_online.")
    virtio_mem_force_bbm: Flag | None = Field(None, description="Module parameter virtio_mem.force_bbm.")
    virtio_mem_bbm_block_size: Size | None = Field(None, description="Module parameter virtio_mem.bbm_block_size.")
    bare_metal: Flag | None = Field(
        None, description="Whether it is no virtual machine, for rules of user space that ask. Default false."
    )
    state: StateTable | None = Field(None, description="What the machine starts from, instead of from boot.")


class PolicyTable(Table):
    """A policy: which plug-in, and its parameters beside."""

    model_config = ConfigDict(extra="allow")

    name: Text = Field(description="Name of a policy (memhp-sim policies lists them), or path/to/file.py:Class.")
    label: Label | None = Field(None, description="Name in tables and plots; by default the policy's.")


class PartTable(Table):
    """One workload of several that act on the same guest."""

    model_config = ConfigDict(extra="allow")

    name: Text = Field(description="Name of a workload (memhp-sim workloads lists them), or path/to/file.py:Class.")
    label: Label | None = Field(None, description="Name before its devices' names; by default the workload's.")


class WorkloadTable(Table):
    """A workload: which plug-in, and its parameters beside; or several together on one guest."""

    model_config = ConfigDict(extra="allow")

    name: Text | None = Field(
        None, description="Name of a workload (memhp-sim workloads lists them), or path/to/file.py:Class."
    )
    label: Label | None = Field(None, description="Name in tables and plots; by default the workload's.")
    machines: tuple[Label, ...] | None = Field(
        None, min_length=1, description="Labels of the machines it runs on. Default: all."
    )
    together: tuple[PartTable, ...] | None = Field(
        None, min_length=1, description="Workloads that act on the same guest at the same time."
    )


class FreeTable(Table):
    """What ``free`` prints in a guest in which nothing runs yet."""

    mem_total: Rounded = Field(description="Total memory.")
    used: Rounded = Field(description="Memory in use, without cache.")
    boot_memory: Size | None = Field(
        None, description="Boot memory of the guest that it was printed in. Default: as much as the machine has."
    )


class GuestTable(Table):
    """Who uses the memory: which model of a guest, and its parameters beside."""

    model_config = ConfigDict(extra="allow")

    model: Literal["none", "linux"] = Field(
        "none",
        description="none: all memory can always be taken back; linux: a kernel and its load use it.",
    )
    sample_every: Seconds = Field(0.0, description="Seconds between samples; 0: about 5000 samples a run.")
    draw: Flag = Field(
        default=False,
        description="Whether each replication draws what recordings of guests scatter in; same for all policies.",
    )
    preset: Text | None = Field(
        None, description="A guest by name (memhp-sim presets lists them). Default: Debian's, by the machine's kernel."
    )
    as_: FreeTable | None = Field(
        None, alias="as", description="What free prints in the guest: its reserve and its own use follow from that."
    )


class SweepTable(Table):
    """Values to try: exactly one of the three. Keys are paths such as policies.<label>.<key>."""

    product: dict[str, Any] | None = Field(None, description="Every combination of the listed values.")
    zip: dict[str, Any] | None = Field(None, description="The lists side by side: first values, second values, ...")
    points: tuple[dict[str, Any], ...] | None = Field(None, description="Explicit points, each a set of single values.")


class PublishedTable(Table):
    """What is known of how it really went. No run depends on it; ``memhp-sim incidents`` compares runs with it."""

    source: Text = Field(description="Where it is published.")
    outcome: Text = Field(description="What happened.")
    cause: Text = Field("", description="Why, as the source or its reader has it.")
    figures: dict[str, float] = Field(default_factory=dict, description="The outcome's figures by name, units in them.")
    fitted: tuple[Text, ...] = Field(
        (), description="Settings whose values were read off the outcome, so that agreement shows less."
    )


class ExperimentTable(Table):
    """An experiment: every policy on every workload on every machine, as often as replications say."""

    name: Name | None = Field(None, description="Folder under results/; by default the file's name.")
    description: Text = Field("", description="What the experiment is for.")
    seed: Annotated[Integer, _between(0, values.INTEGER_LIMIT), WithJsonSchema({"type": "integer", "minimum": 0})] = (
        Field(1, description="Master seed: all random streams derive from it.")
    )
    replications: Annotated[
        int | str,
        PlainValidator(_replications),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_REPLICATIONS}, {"const": ALL}]}),
    ] = Field(
        1,
        description='Runs of every combination, each with its own random streams; "all": as many as the workloads have'
        " recordings to play.",
    )
    baseline: Label | None = Field(
        None, description="Label of the policy that the others are compared with. Default: the first."
    )
    cell_timeout: PositiveSeconds | None = Field(
        None, description="Seconds of real time after which a single run is cut off."
    )
    machines: Annotated[tuple[MachineTable, ...], Field(min_length=1, description="The guest machines.")]
    policies: Annotated[
        tuple[PolicyTable, ...],
        Field(min_length=1, description="The policies to compare. Default: what each machine's cmdline says."),
    ] = ()
    workloads: Annotated[
        tuple[WorkloadTable, ...],
        Field(
            min_length=1,
            description='What is asked of the guests, such as name = "steps", steps = ["plug dimm:16GiB"];'
            " memhp-sim plan needs none.",
        ),
    ]
    guest: GuestTable = Field(GuestTable(), description="Who uses the memory.")
    timing: dict[str, Any] = Field(
        default_factory=dict, description="Times of the guest's work that differ from the defaults."
    )
    sweep: tuple[SweepTable, ...] = Field((), description="Values to try; several tables multiply.")
    published: PublishedTable | None = Field(None, description="How it really went; no run depends on it.")
    recommend: RecommendTable | None = Field(
        None, description="What a recommendation may choose from, and what it has to keep; no run depends on it."
    )
