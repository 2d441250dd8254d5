"""The machine of an experiment to start from: as its files describe it, booting without what a controller plugs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from sim.experiment.imported import experiment_tables
from sim.experiment.load import load
from sim.experiment.policy_option import policy_table
from sim.machine.spec import MachineSpec, NodeSpec
from sim.starting.growth import Growth, Limits, growth
from sim.units import GIB, format_size

if TYPE_CHECKING:
    from sim.snapshot.assembly import Imported

AS_IT_IS: Final = "as it is"
"""The label of the policy that a machine has today."""

_USUAL_BOOT: Final = 4 * GIB


@dataclass(slots=True)
class Start:
    """What an experiment starts from: the ``machine``'s and ``guest``'s tables, what it does ``today``, its ``growth``.

    ``today`` is a table of ``[[policies]]``; ``why`` says where that is from. ``is_real``: files tell of the machine.
    ``said`` and ``assumed`` are lines.
    """

    machine: dict[str, Any]
    guest: dict[str, Any]
    today: dict[str, Any]
    why: str
    boot: int
    growth: Growth
    nodes: int = 1
    is_real: bool = False
    said: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)


def of_files(imported: Imported, *, needed: int | None, kind: str | None, policy: str | None) -> Start:
    """Return the machine that files describe; ``needed`` is the demand's peak in bytes, None without one.

    Raises InputError where it is none.
    """
    spec = imported.machine
    devices = list(spec.cold_devices)
    if spec.state is not None:
        devices += [device.spec for device in spec.state.devices]
    slots = imported.fields.get("slots")
    limits = Limits(spec.boot_memory, spec.max_memory, slots, spec.block_size, len(spec.nodes))
    found = growth(limits, devices, needed, kind)
    kept = tuple(replace(device, address=None) for device in found.kept)
    machine = replace(imported, machine=replace(spec, cold_devices=kept, state=None))
    tables = experiment_tables(machine, policy)
    (table,) = tables["machines"]
    table["label"] = "machine"
    _make_room(table, found, spec.max_memory)
    today, why = _today(imported, tables, policy)
    start = Start(table, tables["guest"], today, why, spec.boot_memory, found, len(spec.nodes), is_real=True)
    if spec.state is not None:
        start.said.append("it begins as the machine boots, not in the state that the files show")
    return start


def made_up(*, needed: int | None, kind: str | None, policy: str | None, boot_memory: int | None = None) -> Start:
    """Return a machine for somebody who gave none: small at boot, large enough for the demand."""
    boot = boot_memory
    if boot is None:
        boot = _USUAL_BOOT if needed is None else max(GIB, needed // 4 // GIB * GIB)
    spec = MachineSpec((NodeSpec(boot),))
    limits = Limits(boot, None, None, spec.block_size, 1)
    found = growth(limits, [], needed, kind)
    found.assumed.clear()
    machine: dict[str, Any] = {"label": "machine", "boot_memory": format_size(boot)}
    _make_room(machine, found, None)
    today = {"label": AS_IT_IS, **_named(policy)} if policy is not None else {"label": AS_IT_IS, "name": "contig-zones"}
    why = "--policy says so" if policy is not None else "what a kernel does that is told nothing"
    start = Start(machine, {"model": "linux"}, today, why, boot, found)
    start.assumed.append(
        f"a machine of {format_size(boot)} at boot that may grow to {format_size(found.most)}"
        " (to say otherwise: --from-machine FILE, with what you have of yours)"
    )
    return start


def _make_room(machine: dict[str, Any], found: Growth, most: int | None) -> None:
    """Let the machine have what the controller plugs, where its files would not."""
    if most is not None and found.most > most:
        del machine["max_memory"]
    if found.needs_nodes:
        nodes = machine.setdefault("nodes", [{"boot_memory": machine.pop("boot_memory", None)}])
        while len(nodes) < found.needs_nodes:
            nodes.append({"boot_memory": "0", "cpus": False})


def _named(policy: str) -> dict[str, Any]:
    table = policy_table(policy)
    del table["label"]
    return table


def _today(imported: Imported, tables: dict[str, Any], policy: str | None) -> tuple[dict[str, Any], str]:
    """Return the policy that the machine has today, and why that is it."""
    if policy is not None:
        return {"label": AS_IT_IS, **_named(policy)}, "--policy says so"
    if imported.shipped_by is not None:
        return {"label": AS_IT_IS, "name": "as-shipped", "by": imported.shipped_by}, (
            "what its kernel's distribution does, as no file says it"
        )
    if "policies" in tables:
        (table,) = tables["policies"]
        assumed = imported.policy == {"default_state": "online"}
        why = "what a kernel does that is told nothing, as no file says it" if assumed else "as its files say"
        return {"label": AS_IT_IS, **table}, why
    said = load({**tables}, idle=True).combinations[0].machine.said
    told = {} if said is None else said.policy
    return {"label": AS_IT_IS, "name": "kernel", **told}, "as its command line says"
