"""The public face: which names there are, that each is the program's own, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import memhp_sim
from tests.support.places import ROOT

NAMES = [
    "GIB",
    "KIB",
    "MIB",
    "SCORES",
    "TIB",
    "Address",
    "Answer",
    "DamageWarning",
    "DaxSpec",
    "DeviceSpec",
    "DimmSpec",
    "EventKind",
    "Experiment",
    "Explanation",
    "Foresight",
    "InLinux",
    "Between",
    "OneOf",
    "GroupView",
    "GuestReport",
    "Host",
    "InputError",
    "MemoryView",
    "OnlineType",
    "Checker",
    "Flag",
    "Text",
    "Row",
    "Reason",
    "FilePath",
    "ListOf",
    "Name",
    "Number",
    "Percent",
    "Picture",
    "Seconds",
    "Size",
    "Whole",
    "Word",
    "checked",
    "compare",
    "Comparison",
    "Policy",
    "PolicyCheckError",
    "Pressure",
    "Recommendation",
    "Results",
    "Foreseen",
    "RunResult",
    "ShadowedError",
    "Streams",
    "Table",
    "LEAVE_OFFLINE",
    "Key",
    "UserSpaceRule",
    "UserSpaceRules",
    "VirtioMemSpec",
    "Workload",
    "WorkloadCheckError",
    "ParameterError",
    "ZoneRequest",
    "ZoneType",
    "__version__",
    "check_policy",
    "check_workload",
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
"""What plug-ins, scripts and notebooks may count on. A name that goes away breaks them."""


def test_the_names_are_these_in_order() -> None:
    constants = sorted(name for name in NAMES if name.isupper())
    classes = sorted(name for name in NAMES if name[0].isupper() and not name.isupper())
    others = sorted(name for name in NAMES if not name[0].isupper())
    assert memhp_sim.__all__ == [*constants, *classes, *others]
    assert dir(memhp_sim) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_documented_where_it_can_be(name: str) -> None:
    value = getattr(memhp_sim, name)
    assert getattr(memhp_sim, name) is value
    if isinstance(value, type) or callable(value):
        assert value.__doc__


def test_another_name_is_refused_as_by_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'memhp_sim' has no attribute 'polices'"):
        memhp_sim.polices  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'polices'"):
        exec("from memhp_sim import polices")  # noqa: S102


def test_a_plug_in_waits_for_neither_tables_nor_plots() -> None:
    script = (
        "import sys\n"
        "from memhp_sim import DimmSpec, Explanation, GIB, Policy, Size, checked, Workload, ZoneType\n"
        "print([name for name in ('matplotlib', 'pandas', 'pyarrow', 'pydantic', 'scipy') if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout == "[]\n"


DEEPER = tuple(f"{word} {package}" for word in ("from", "import") for package in ("sim", "policies", "workloads"))


def test_docs_and_examples_import_from_nowhere_else() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.py")]
    lines = [
        f"{page.name}: {line}"
        for page in pages
        for line in page.read_text("utf-8").splitlines()
        if line.strip().removeprefix(">>> ").startswith(DEEPER)
    ]
    assert lines == []
