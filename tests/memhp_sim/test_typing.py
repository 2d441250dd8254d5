"""The public face under a type checker: what a plug-in author and a notebook write has the types that it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, assert_type

import pandas as pd
from matplotlib.figure import Figure

from memhp_sim import (
    GIB,
    DimmSpec,
    Experiment,
    Explanation,
    GroupView,
    Host,
    MemoryView,
    OnlineType,
    Parameter,
    Policy,
    Results,
    RunResult,
    Streams,
    UserSpaceRule,
    Workload,
    ZoneRequest,
    ZoneType,
    check_policy,
    load,
    open_results,
    parse_size,
    run,
    side_by_side,
)
from tests.experiment.examples import small

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import simpy


class EveryOther(Policy):
    """Every other block goes to MOVABLE."""

    name: ClassVar[str] = "every-other"
    summary: ClassVar[str] = "MOVABLE for every other block"
    auto_online = OnlineType.ONLINE
    user_space: UserSpaceRule | None = None

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        group = assert_type(request.group, GroupView | None)
        return self._zone(request.first_page // memory.block_pages, group)

    def explain(self, request: ZoneRequest, memory: MemoryView) -> Explanation:
        zone = self._zone(request.first_page // memory.block_pages, request.group)
        return Explanation(ZoneType(zone), "even or odd", {"pages": request.pages})

    def _zone(self, block: int, group: GroupView | None) -> int:
        return ZoneType.MOVABLE if group is not None and block % 2 else ZoneType.NORMAL


class OneDimm(Workload):
    """Plugs a DIMM and takes it away again."""

    name: ClassVar[str] = "one-dimm"
    summary: ClassVar[str] = "one DIMM, for a while"

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        assert_type(host.plug(DimmSpec("dimm0", 2 * GIB)), bool)
        yield host.env.timeout(round(streams("wait").uniform(1, 2) * 1e6))
        assert_type(host.unplug("dimm0"), bool)

    def duration(self) -> float:
        return 10.0


def test_a_policy_of_ones_own_is_held_to_the_contract() -> None:
    check_policy(EveryOther)


def test_results_have_tables_and_figures(tmp_path: Path) -> None:
    experiment = assert_type(load(small(replications=1)), Experiment)
    results = assert_type(run(experiment, tmp_path), Results)
    again = assert_type(open_results(tmp_path / experiment.name), Results)
    runs = assert_type(results.runs(), pd.DataFrame)
    assert_type(again.result(runs["cell"].iloc[0]), RunResult)
    compared = assert_type(results.compare(), pd.DataFrame)
    workload, machine = runs["workload"].iloc[0], runs["machine"].iloc[0]
    assert_type(side_by_side(compared, machine, workload), pd.DataFrame)
    assert_type(results.plot("memory", workload), Figure)
    assert_type(results.manifest, dict[str, Any])
    assert again.policies == experiment.policies


def test_constants_and_parameters() -> None:
    assert assert_type(parse_size("2GiB"), int) == 2 * GIB
    declared = Parameter("slots", "int", 4, "-", "how many")
    assert assert_type(declared.name, str) == "slots"
