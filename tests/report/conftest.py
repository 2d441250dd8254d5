"""What tests in a browser share: one browser for each of their modules, and the report of a few runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.report.page import write_report
from tests.support import browser as browsers
from tests.support.real_runs import simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser


def experiment() -> dict[str, Any]:
    """Return guests that grow and are asked for all of it back: one policy fails, and one gives less back."""
    grows = {"name": "grow-and-return", "spread": 1.5}
    return {
        "name": "in-browser",
        "replications": 2,
        "baseline": "contig-zones",
        "guest": {"model": "linux", "sample_every": 20},
        "machines": [{"label": "small", "boot_memory": "1GiB"}],
        "policies": [
            {"name": "contig-zones"},
            {"name": "online-movable"},
            {"name": "auto-movable", "ratio": 150},
        ],
        "workloads": [
            grows | {"label": "DIMMs", "device": "dimm"},
            grows | {"label": "virtio-mem", "device": "virtio-mem"},
        ],
    }


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browsers.browser() as started:
        yield started


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(simulated(experiment(), tmp_path_factory.mktemp("report")))
