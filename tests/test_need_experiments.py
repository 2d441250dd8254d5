"""The shipped experiments of devices by need: they run, and with the data themselves they give what the page says."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from memhp_sim import run
from sim.cli.main import main
from sim.units import TIB
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

EXPERIMENTS = ROOT / "experiments"
PAGE = (ROOT / "docs" / "controllers.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shorter"),
    [
        ("dimm-controller", {"workloads.bursts.guest-load.duration": 900}),
        ("host-packing", {"workloads.DIMMs.host-packing.duration": 14_400}),
        ("cxl-cards", {f'workloads."by {way}".host-packing.duration': 14_400 for way in ("daxctl", "state")}),
    ],
)
def test_they_run_and_plug_something(name: str, shorter: dict[str, int], tmp_path: Path) -> None:
    settings = {**shorter, "replications": 1}
    runs = run(EXPERIMENTS / f"{name}.toml", tmp_path, settings=settings).runs()
    assert set(runs["status"]) == {"completed"}
    assert runs["devices"].min() > 0
    assert runs["arrived_share"].min() > 0


def test_the_command_on_the_page_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments").symlink_to(EXPERIMENTS)
    (tmp_path / "vm-requests.csv").write_bytes((EXPERIMENTS / "data" / "huawei-requests.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"^\$ memhp-sim run (experiments/host-packing.*)$", PAGE, re.MULTILINE)
    result = CliRunner().invoke(main, ["validate", *shlex.split(command)])
    assert result.exit_code == 0, result.output
    assert "15: 5 combinations x 3 replications" in result.output


@pytest.mark.slow
@pytest.mark.parametrize(("pinned", "rows"), [(0.1, slice(0, 2)), (0.0, slice(2, 4))])
def test_the_page_has_the_figures_of_the_data_themselves(
    pinned: float, rows: slice, tmp_path: Path, shared_dir: Path
) -> None:
    settings = {
        "replications": 3,
        "workloads.DIMMs.host-packing.path": str(shared_dir / "data" / "huawei-topology-vms" / "vm-requests.csv"),
        "workloads.DIMMs.host-packing.pinned_share": pinned,
    }
    runs = run(EXPERIMENTS / "host-packing.toml", tmp_path, settings=settings).runs()
    table = re.findall(r"^\| [^|]* \| (\d+) % \| [^|]* \| ([\d,]+) \| (no|\d of \d) \|$", PAGE, re.MULTILINE)[rows]
    for (share, unserved, failed), policies in zip(
        table, [("RHEL 10", "auto-movable", "online-movable"), ("Debian 13", "Ubuntu")], strict=True
    ):
        for policy in policies:
            these = runs[runs["policy"] == policy]
            assert round(these["returned_share"].mean()) == int(share)
            assert round(these["unserved_byte_seconds"].mean() / TIB) == int(unserved.replace(",", ""))
            assert (these["kernel_ooms"] > 0).sum() == (0 if failed == "no" else int(failed[0]))
