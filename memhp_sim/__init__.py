"""What notebooks, scripts and plug-ins import: everything public, in one place.

    >>> from memhp_sim import open_results, run
    >>> results = run("experiments/quickstart.toml")

The program itself lies beside this package, in ``sim``, ``policies`` and ``workloads``; where another folder or
distribution of one of these names comes first on Python's path, importing this package says so (ShadowedError). A name
is loaded when it is first used, so that a plug-in that needs one base class does not wait for the plots.
"""

from __future__ import annotations

import sys

# The command is the only one that this is for: Ctrl-C is quiet from its first line on, not only once there is a command
# that deals with it. Nothing has begun yet.
if sys.argv[0].endswith(("memhp-sim", "memhp-sim.exe")) or sys.orig_argv[1:3] == ["-m", "memhp_sim"]:
    from memhp_sim import early_end

    early_end.on_ctrl_c()

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from policies.contract import (
        Explanation,
        Foresight,
        InLinux,
        Policy,
        Reason,
        UserSpaceRule,
        UserSpaceRules,
        ZoneRequest,
    )
    from policies.parts.indivisible import settled_by
    from policies.testkit import PolicyCheckError, check_policy
    from sim import __version__
    from sim.analysis.same import side_by_side
    from sim.api import Results, compare, open_results, recommend, run
    from sim.comparison.whole import Comparison
    from sim.devices.specs import DaxSpec, DeviceSpec, DimmSpec, VirtioMemSpec
    from sim.experiment.load import load
    from sim.experiment.plan import Experiment
    from sim.faults import InputError
    from sim.guest.report import GuestReport, Pressure
    from sim.memory.groups import GroupView
    from sim.memory.view import MemoryView
    from sim.memory.zones import LEAVE_OFFLINE, OnlineType, ZoneType
    from sim.plugins.parameter_addresses import Address
    from sim.plugins.parameter_lists import ListOf, Row
    from sim.plugins.parameter_search import Between, OneOf
    from sim.plugins.parameter_tables import Key, Table
    from sim.plugins.parameter_types import FilePath, Flag, Name, Number, Percent, Seconds, Size, Text, Whole, Word
    from sim.plugins.parameters import Checker, ParameterError, checked
    from sim.recommend.document import Recommendation
    from sim.record.recorder import EventKind
    from sim.record.run_result import Foreseen, RunResult
    from sim.results.damage import DamageWarning
    from sim.scores.registry import SCORES
    from sim.snapshot.picture import Picture
    from sim.units import GIB, KIB, MIB, TIB, format_size, parse_size
    from sim.what_if.answer import Answer
    from sim.what_if.plan import plan
    from workloads.contract import Host, Streams, Workload
    from workloads.testkit import WorkloadCheckError, check_workload

_PLACES: Final = {
    "policies.contract": (
        "Explanation",
        "Foresight",
        "InLinux",
        "Policy",
        "Reason",
        "UserSpaceRule",
        "UserSpaceRules",
        "ZoneRequest",
    ),
    "policies.parts.indivisible": ("settled_by",),
    "policies.testkit": ("PolicyCheckError", "check_policy"),
    "sim": ("__version__",),
    "sim.analysis.same": ("side_by_side",),
    "sim.api": ("Results", "compare", "open_results", "recommend", "run"),
    "sim.comparison.whole": ("Comparison",),
    "sim.devices.specs": ("DaxSpec", "DeviceSpec", "DimmSpec", "VirtioMemSpec"),
    "sim.experiment.load": ("load",),
    "sim.experiment.plan": ("Experiment",),
    "sim.faults": ("InputError",),
    "sim.guest.report": ("GuestReport", "Pressure"),
    "sim.memory.groups": ("GroupView",),
    "sim.memory.view": ("MemoryView",),
    "sim.memory.zones": ("LEAVE_OFFLINE", "OnlineType", "ZoneType"),
    "sim.plugins.parameter_addresses": ("Address",),
    "sim.plugins.parameter_lists": ("ListOf", "Row"),
    "sim.plugins.parameter_search": ("Between", "OneOf"),
    "sim.plugins.parameter_tables": ("Key", "Table"),
    "sim.plugins.parameter_types": (
        "FilePath",
        "Flag",
        "Name",
        "Number",
        "Percent",
        "Seconds",
        "Size",
        "Text",
        "Whole",
        "Word",
    ),
    "sim.plugins.parameters": ("Checker", "ParameterError", "checked"),
    "sim.recommend.document": ("Recommendation",),
    "sim.record.recorder": ("EventKind",),
    "sim.record.run_result": ("Foreseen", "RunResult"),
    "sim.results.damage": ("DamageWarning",),
    "sim.scores.registry": ("SCORES",),
    "sim.snapshot.picture": ("Picture",),
    "sim.units": ("GIB", "KIB", "MIB", "TIB", "format_size", "parse_size"),
    "sim.what_if.answer": ("Answer",),
    "sim.what_if.plan": ("plan",),
    "workloads.contract": ("Host", "Streams", "Workload"),
    "workloads.testkit": ("WorkloadCheckError", "check_workload"),
}
_PLACE_OF: Final = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "GIB",
    "KIB",
    "LEAVE_OFFLINE",
    "MIB",
    "SCORES",
    "TIB",
    "Address",
    "Answer",
    "Between",
    "Checker",
    "Comparison",
    "DamageWarning",
    "DaxSpec",
    "DeviceSpec",
    "DimmSpec",
    "EventKind",
    "Experiment",
    "Explanation",
    "FilePath",
    "Flag",
    "Foreseen",
    "Foresight",
    "GroupView",
    "GuestReport",
    "Host",
    "InLinux",
    "InputError",
    "Key",
    "ListOf",
    "MemoryView",
    "Name",
    "Number",
    "OneOf",
    "OnlineType",
    "ParameterError",
    "Percent",
    "Picture",
    "Policy",
    "PolicyCheckError",
    "Pressure",
    "Reason",
    "Recommendation",
    "Results",
    "Row",
    "RunResult",
    "Seconds",
    "ShadowedError",
    "Size",
    "Streams",
    "Table",
    "Text",
    "UserSpaceRule",
    "UserSpaceRules",
    "VirtioMemSpec",
    "Whole",
    "Word",
    "Workload",
    "WorkloadCheckError",
    "ZoneRequest",
    "ZoneType",
    "__version__",
    "check_policy",
    "check_workload",
    "checked",
    "compare",
    "format_size",
    "load",
    "open_results",
    "parse_size",
    "plan",
    "recommend",
    "run",
    "settled_by",
    "side_by_side",
]


class ShadowedError(ImportError):
    """Something else of the name ``sim``, ``policies`` or ``workloads`` stands before the program's own."""


def shadows() -> str:
    """Return what stands before the program's own packages, with both paths, in one line; empty where nothing does."""
    root = Path(__file__).resolve().parent.parent
    places = ((name, _place_of_package(name)) for name in ("sim", "policies", "workloads"))
    shadowed = [f"import {name} gives {place}, not {root / name}" for name, place in places if place != root / name]
    advice = (
        "rename that folder, or take what it lies in off Python's path (a script's own folder is on it, and PYTHONPATH)"
    )
    return f"memhp-sim cannot find its own packages: {'; '.join(shadowed)}; {advice}" if shadowed else ""


def _place_of_package(name: str) -> Path | None:
    """Return the folder or file that ``import name`` gives; None where there is none. Imports nothing."""
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    if spec is None:
        return None
    return Path(next(iter(spec.submodule_search_locations or ()), spec.origin or "")).resolve()


# The command, which imports this package too, tells it without a traceback: see __main__.py.
if Path(sys.argv[0]).name not in {"memhp-sim", "memhp-sim.exe", "-m"} and (_SHADOWS := shadows()):
    raise ShadowedError(_SHADOWS)


def __getattr__(name: str) -> object:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
