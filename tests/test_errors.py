"""The page about errors says what the code says: every error, its bases, and where it is defined."""

from __future__ import annotations

import builtins
import importlib
import inspect
import pkgutil
import re
from typing import TYPE_CHECKING

import click

import memhp_sim
import policies
import sim
import workloads
from policies.testkit.machines import MachineOver
from sim.cli.main import BAD_INPUT, FAILED, INTERRUPTED, BadInput
from sim.experiment.run_cell import CellTimeoutError
from sim.faults import MemhpSimError, Unwinding
from sim.kernel.worker import GuestDied
from sim.results.damage import DamageWarning
from sim.results.locks import NoLocksWarning
from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "errors.md").read_text("utf-8")
TREE = PAGE.partition("```text\n")[2].partition("```")[0]
ROWS = {name: cells for name, *cells in re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)}
OUTSIDE = {Unwinding, CellTimeoutError, DamageWarning, NoLocksWarning, GuestDied, MachineOver, BadInput}
OUTSIDE |= {memhp_sim.ShadowedError}


def defined() -> Iterator[type[BaseException]]:
    """Yield every class of errors that the program defines."""
    for package in (memhp_sim, sim, policies, workloads):
        modules = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
        for name in (package.__name__, *(name for name in modules if not name.endswith("__main__"))):
            for value in vars(importlib.import_module(name)).values():
                if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == name:
                    yield value


ERRORS = {error.__name__: error for error in defined()}


def test_every_error_has_the_one_base() -> None:
    assert {error for error in ERRORS.values() if not issubclass(error, MemhpSimError)} == OUTSIDE
    assert CellTimeoutError.__bases__ == GuestDied.__bases__ == MachineOver.__bases__ == (Unwinding,)
    assert Unwinding.__bases__ == (BaseException,)
    assert DamageWarning.__bases__ == NoLocksWarning.__bases__ == (UserWarning,)
    assert BadInput.__bases__ == (click.ClickException,)
    assert memhp_sim.ShadowedError.__bases__ == (ImportError,)


def test_the_tree_on_the_page_is_the_codes() -> None:
    drawn = {}
    for name, module, second in re.findall(r"── (\w+) +([\w.]+)(?: +also an? (\w+))?$", TREE, re.MULTILINE):
        drawn[name] = (module, second)
    of_python = {value.__name__ for value in vars(builtins).values() if inspect.isclass(value)}

    assert drawn == {
        name: (
            error.__module__,
            "".join(
                base.__name__ for base in error.__bases__ if len(error.__bases__) > 1 and base.__name__ in of_python
            ),
        )
        for name, error in ERRORS.items()
    }


def test_the_table_has_a_row_for_each_but_the_base() -> None:
    assert list(ROWS) == [name for name in re.findall(r"── (\w+)", TREE) if name != "MemhpSimError"]


def test_the_exit_codes_are_the_commands() -> None:
    given = {name: int(code[1]) for name, cells in ROWS.items() if (code := re.search(r": (\d+)$", cells[-1]))}

    assert set(given.values()) == {FAILED, BAD_INPUT}
    assert given["BadInput"] == BadInput.exit_code
    assert given["InputError"] == given["PluginError"] == given["TraceError"] == BAD_INPUT
    assert given["PolicyError"] == given["WorkloadError"] == given["CellTimeoutError"] == FAILED
    assert f'0 stands for "all is well", {FAILED} for a check or a run that failed, {BAD_INPUT} for bad input,' in PAGE
    assert f" {INTERRUPTED} for an\ninterruption" in PAGE
