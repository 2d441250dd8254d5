"""``memhp-sim presets``: every name it prints can be used where it says, and has a source."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from policies.as_shipped import SHIPPED
from sim.cli.main import main
from sim.experiment.load import load
from sim.guest import PRESETS
from sim.kernel.timing import PROFILES
from tests.experiment.examples import small
from workloads.parts.mixes import MIXES


def listed() -> list[dict[str, str]]:
    result = CliRunner().invoke(main, ["presets", "--json"])
    assert result.exit_code == 0
    found: list[dict[str, str]] = json.loads(result.output)
    return found


def test_all_are_listed_each_with_its_source() -> None:
    assert [entry["name"] for entry in listed()] == [*PRESETS, *PROFILES, *MIXES, *SHIPPED]
    assert all(entry["summary"] and entry["source"] for entry in listed())
    shown = CliRunner().invoke(main, ["presets"]).output
    for entry in listed():
        assert f'{entry["key"]} = "{entry["name"]}"' in shown
        assert entry["source"].split()[0] in shown


@pytest.mark.parametrize("entry", listed(), ids=lambda entry: f"{entry['key']} {entry['name']}")
def test_what_is_listed_can_be_used(entry: dict[str, str]) -> None:
    section, _, key = entry["key"].partition(".")
    workloads = [{"name": "guest-load", key: entry["name"], "size": "64MiB"}]
    tables: dict[str, dict[str, Any]] = {
        "guest": {"guest": {"model": "linux", key: entry["name"]}},
        "timing": {"timing": {key: entry["name"]}},
        "workloads": {"workloads": workloads},
        "policies": {"policies": [{"name": "as-shipped", key: entry["name"]}]},
    }
    assert load(small(replications=1, **tables[section])).combinations
