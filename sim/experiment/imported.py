"""An experiment file from an imported machine: its tables, and its text with comments that say where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import tomli_w

from sim.experiment.load import load
from sim.experiment.policy_option import policy_table, told_of_option
from sim.experiment.state_tables import device_table, state_tables
from sim.faults import InputError
from sim.snapshot.assembly import put_together
from sim.snapshot.wishes import Wishes
from sim.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.faults import Fault
    from sim.readers.facts import Facts
    from sim.snapshot.assembly import Imported

_SIZES: Final = frozenset({"block_size", "section_size", "page_size", "max_memory", "max_ram_below_4g", "movablecore"})
_NEXT: Final = """\
memhp-sim plan needs no more than this. memhp-sim run needs to know what is asked of the guest, for instance:
[[workloads]]
name = "steps"
steps = ["plug dimm:16GiB"]"""


def experiment_tables(imported: Imported, policy: str | None = None) -> dict[str, Any]:
    """Return the tables of an experiment on the imported machine.

    ``policy``, written as ``NAME[:key=value,...]``, goes before the machine's own. They load as they are: figures of a
    guest with which none could boot, and then the guest itself, are left out, and the account says so. Raises
    InputError where the machine or the policy is none all the same.
    """
    tables = _tables(imported, policy)
    faults = _faults(tables)
    if faults and imported.figures is not None:
        without = {**tables, "guest": {"model": "linux"}}
        if not _faults(without):
            what = "; ".join(fault.what for fault in faults)
            imported.account.conflicts.append(f"MemTotal and what is in use: {what}. They are left out")
            return without
    if faults and not _faults(without := {**tables, "guest": {"model": "none"}}):
        what = "; ".join(fault.what for fault in faults)
        imported.account.unknown.append(f"who uses the memory: no guest is modelled, as none could boot on it ({what})")
        return without
    if faults:
        raise InputError("the machine that these files describe", told_of_option(faults, [policy]))
    return tables


def tables_of_facts(facts: Sequence[Facts]) -> tuple[dict[str, Any], list[str]]:
    """Return the tables of an experiment on the machine that ``facts`` describe, and what was assumed for it, in lines.

    Raises InputError as :func:`experiment_tables` and :func:`sim.snapshot.assembly.put_together` do.
    """
    imported = put_together(facts, Wishes())
    tables = experiment_tables(imported)  # which may add to the account
    account = imported.account
    told = [f"Contradiction: {each}" for each in account.conflicts]
    return tables, [*told, *(f"Assumed: {each.what}" for each in account.assumed)]


def _faults(tables: dict[str, Any]) -> tuple[Fault, ...]:
    try:
        load(tables, idle=True)
    except InputError as error:
        return error.faults
    return ()


def _tables(imported: Imported, policy: str | None) -> dict[str, Any]:
    spec = imported.machine
    nodes = [
        {"boot_memory": format_size(node.boot_memory), **({} if node.cpus is None else {"cpus": node.cpus})}
        for node in spec.nodes
    ]
    tables: dict[str, Any] = {"label": "imported"}
    if len(nodes) == 1 and spec.nodes[0].cpus is not False:
        tables["boot_memory"] = nodes[0]["boot_memory"]
    else:
        tables["nodes"] = nodes
    for name, value in imported.fields.items():
        tables[name] = format_size(value) if name in _SIZES else value
    if imported.line is not None:
        tables["cmdline"] = imported.line
    if spec.cold_devices:
        tables["cold_devices"] = [device_table(device) for device in spec.cold_devices]
    if spec.state is not None:
        tables["state"] = state_tables(spec.state, spec.block_size)
    guest: dict[str, Any] = {"model": "linux"}
    if imported.figures is not None:
        guest["as"] = {name: format_size(size) for name, size in imported.figures.items()}
    experiment: dict[str, Any] = {"guest": guest, "machines": [tables]}
    if policy is not None:
        table = policy_table(policy)
        experiment["policies"] = [
            {key: value for key, value in table.items() if (key, value) != ("label", table["name"])}
        ]
    elif imported.policy:
        experiment["policies"] = [{"name": "kernel", **imported.policy}]
    return experiment


def experiment_text(tables: dict[str, Any], imported: Imported, files: Sequence[str]) -> str:
    """Return ``tables`` as TOML, with comments that say what was taken from which of ``files`` and what was assumed."""
    account = imported.account
    lines = [f"# Written by memhp-sim import from {', '.join(map(printable, files))}", "#"]
    lines += _comment("Taken:", (f"{taken.what} <- {taken.source}" for taken in account.taken))
    lines += _comment("Contradictions, and what was believed:", account.conflicts)
    lines += _comment(
        "Assumed (to say otherwise):", (f"{assumed.what} ({assumed.otherwise})" for assumed in account.assumed)
    )
    lines += _comment("Not known:", account.unknown)
    lines += [f"# {line}" for line in _NEXT.splitlines()]
    return "\n".join(lines) + "\n\n" + tomli_w.dumps(tables)


def _comment(heading: str, entries: Iterator[str] | Sequence[str]) -> list[str]:
    lines = [f"#   {printable(entry)}" for entry in entries]
    return [f"# {heading}", *lines, "#"] if lines else []


def printable(text: str) -> str:
    """Return ``text`` without what a terminal or a comment would take for more than a character."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
