"""Commands print as wide as into a file or a pipe, wherever the tests run."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the width that a terminal, or pytest-xdist for its workers, has set."""
    monkeypatch.delenv("COLUMNS", raising=False)
