"""The shipped study of the trade-off: what the README and the page "Which ratio?" tell of it is what it gives."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from memhp_sim import run
from sim.scores.failures import FAILING
from sim.streams import Streams
from sim.units import GIB, MIB, parse_size
from tests.support.best_ratio import Setting, best
from tests.support.pages import PAGE_SIZE
from tests.support.places import ROOT
from tests.support.study import table
from workloads.grow_and_return import GrowAndReturn

if TYPE_CHECKING:
    from typing import Any

    from memhp_sim import Results

pytestmark = pytest.mark.slow

STUDY = ROOT / "experiments" / "tradeoff.toml"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(STUDY, tmp_path_factory.mktemp("study"))


def test_the_readme_has_its_figures(study: Results) -> None:
    assert table(study) in (ROOT / "README.md").read_text("utf-8"), "python -m tests.support.study prints them"


def workload(table: dict[str, Any]) -> GrowAndReturn:
    """Make a workload of the study from its table."""
    named = {key: value for key, value in table.items() if key not in ("name", "label", "machines")}
    sizes = {key: parse_size(value) for key, value in named.items() if isinstance(value, str) and key != "device"}
    return GrowAndReturn(**(named | sizes))


@pytest.mark.parametrize(
    ("label", "lives"), [("DIMMs", 1), ("virtio-mem", 1), ("virtio-mem by blocks", 1), ("DIMMs, half as fast", 4)]
)
def test_the_formula_tells_which_of_its_guests_fail(study: Results, label: str, lives: int) -> None:
    """None fails under a ratio below the formula's; of those above it a few live: 7 of 320 in all."""
    tables = tomllib.loads(STUDY.read_text("utf-8"))
    (made,) = [workload(entry) for entry in tables["workloads"] if entry["label"] == label]
    device = next(entry.get("device", "dimm") for entry in tables["workloads"] if entry["label"] == label)
    runs = study.runs()
    runs = runs[(runs["workload"] == label) & (runs["machine"] == "1 GiB") & runs["policy.ratio"].notna()]
    wrong = []
    for one in runs.to_dict("records"):
        amounts = made.draw(Streams(tables["seed"], one["replication"]))
        free = int(study.result(one["cell"]).guest["headroom"][0]) * PAGE_SIZE
        setting = Setting(device, GIB, 256 * MIB, 15 * GIB, amounts.pace, amounts.kernel_rate, amounts.kernel)
        failed = any(one[name] > 0 for name in FAILING)
        if failed != (one["policy.ratio"] > best(setting, free)):
            wrong.append(failed)
    assert len(runs) == 80
    assert wrong == [False] * lives
