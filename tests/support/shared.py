"""How long a fixture lives that the tests of a module share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pytest


def by_module(fixture_name: str, config: pytest.Config) -> Literal["module", "function"]:  # noqa: ARG001
    """Return the scope: as long as the module's tests run.

    While mutmut watches which tests call which function, each test makes its own: else mutmut would take only the
    first one for a test of what the fixture calls.
    """
    return "function" if os.environ.get("MUTANT_UNDER_TEST") == "stats" else "module"
