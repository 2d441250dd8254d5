"""From what files say to a machine: one that starts from the state they show, or from boot where they show none.

The steps: what kernel it is (:mod:`sim.snapshot.kernel_facts`), which blocks there are
(:mod:`sim.snapshot.block_map`, or else :mod:`sim.snapshot.zones_blocks`), what the host has
(:mod:`sim.snapshot.host_side`), which blocks were there at boot (:mod:`sim.snapshot.boot_blocks`), in which zones they
are (:mod:`sim.snapshot.block_zones`), and what the guest uses (:mod:`sim.snapshot.guest_figures`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sim.machine.boot_layout import lay_out
from sim.machine.state_managed import beside_boot
from sim.memory.zones import ZONE_MOVABLE
from sim.snapshot.account import Assumed
from sim.snapshot.block_map import block_map
from sim.snapshot.draft import SOURCE, Draft
from sim.snapshot.evidence import Evidence
from sim.snapshot.facts_picture import picture_of_facts
from sim.snapshot.from_blocks import from_blocks
from sim.snapshot.guest_figures import figures, without_added
from sim.snapshot.host_side import host_side
from sim.snapshot.kernel_facts import kernel_facts, shipped_with
from sim.snapshot.seen import seen_of
from sim.snapshot.without_blocks import without_blocks
from sim.snapshot.zones_blocks import blocks_of_ranges, blocks_of_zones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.machine.spec import MachineSpec
    from sim.readers.facts import Facts
    from sim.snapshot.account import Account
    from sim.snapshot.wishes import Wishes


@dataclass(frozen=True, slots=True)
class Imported:
    """A machine made from files.

    ``machine`` is it, its state included; ``line`` the kernel's command line; ``fields`` those of the machine that
    differ from the defaults, beside nodes and state, and that the command line does not say. ``policy`` holds
    parameters of the policy ``kernel``, empty where the command line says all of it; ``figures`` the keys of
    ``[guest] as`` (None: not known); ``account`` says where all of this comes from. ``shipped_by`` is who ships such a
    kernel, as the policy ``as-shipped`` names them, where no file says how it puts memory online.
    """

    machine: MachineSpec
    line: str | None
    fields: dict[str, Any]
    policy: dict[str, Any]
    figures: dict[str, int] | None
    account: Account
    shipped_by: str | None = None


def put_together(facts: Sequence[Facts], wishes: Wishes) -> Imported:
    """Return the machine that all ``facts`` describe, as ``wishes`` have it where they say something.

    Raises InputError with everything that cannot be reconciled; what can be is in the account.
    """
    evidence = Evidence(facts)
    for option, said in wishes.said():
        evidence.took(said, option, "")
    blocks = block_map(evidence)
    host = host_side(evidence)
    kernel = kernel_facts(evidence, wishes, blocks)
    evidence.faults.raise_if_any(SOURCE)
    assert kernel is not None  # noqa: S101  without faults there is one
    draft = Draft(evidence, wishes, kernel, host)
    if blocks is None:
        blocks = blocks_of_zones(draft) or blocks_of_ranges(draft)
    machine = from_blocks(draft, blocks) if blocks is not None else without_blocks(draft)
    evidence.faults.raise_if_any(SOURCE)
    machine = _with_seen(machine, facts)
    layout = lay_out(machine)
    evidence.account.assumed += [
        Assumed(line, "/proc/zoneinfo, or zones in [machines.state]") for line in layout.assumed
    ]
    found = figures(evidence)
    guest = None
    if found is not None:
        beside = None if machine.cold_devices else beside_boot(machine, layout.memory)
        guest = without_added(found, machine, beside, evidence)
    if guest is None:
        what = "what the guest's kernel and an idle system use is what Debian's do"
        evidence.account.assumed.append(Assumed(what, "free, /proc/meminfo, or preset in [guest]"))
    policy = dict(kernel.policy)
    by: str | None = None
    if policy:
        policy = {**kernel.read.policy, **policy}
    elif not kernel.read.policy and wishes.policy is None:
        policy = {"default_state": "online"}
        what = "the kernel puts new blocks online by itself, as its policy contig-zones decides"
        by = shipped_with(evidence)
        name = "NAME" if by is None else f"as-shipped:by={by}, which goes with this kernel's name"
        evidence.account.assumed.append(Assumed(what, f"--policy {name}, or /sys/devices/system/memory"))
        if machine.state is not None and any(
            not run.boot and run.state == ZONE_MOVABLE for run in machine.state.blocks
        ):
            evidence.account.unknown.append(
                "what put added memory into ZONE_MOVABLE: contig-zones does not begin to. If the guest will go on so,"
                " name a policy that does, with --policy online-movable or auto-movable"
            )
    evidence.account.tell_once()
    return Imported(machine, kernel.line, _fields(draft, machine), policy, guest, evidence.account, by)


def _with_seen(machine: MachineSpec, facts: Sequence[Facts]) -> MachineSpec:
    """Return ``machine`` with what ``lsmem`` printed beyond its state, so that it can be shown again."""
    picture = picture_of_facts(facts)
    if picture is None or machine.state is None:
        return machine
    return replace(machine, state=replace(machine.state, seen=seen_of(picture.blocks, machine.state)))


def _fields(draft: Draft, machine: MachineSpec) -> dict[str, Any]:
    kernel = draft.kernel
    fields = {"kernel": kernel.series, **draft.fields, **kernel.machine}
    if kernel.architecture is not None:
        fields["architecture"] = kernel.architecture
    if kernel.page_size != kernel.built_for.page_sizes[0]:
        fields["page_size"] = kernel.page_size
    usual = kernel.built_for.section_size(kernel.page_size, machine.kernel_series)
    if machine.section_size != usual:
        fields["section_size"] = machine.section_size
    return fields
