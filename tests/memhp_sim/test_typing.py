"""The public face under a type checker: what a plug-in author and a notebook write has the types that it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, assert_type

import pandas as pd
import pytest
from matplotlib.figure import Figure

from memhp_sim import (
    GIB,
    Checker,
    DimmSpec,
    Experiment,
    Explanation,
    GroupView,
    Host,
    MemoryView,
    OnlineType,
    ParameterError,
    Policy,
    Results,
    RunResult,
    Streams,
    UserSpaceRules,
    Whole,
    Workload,
    ZoneRequest,
    ZoneType,
    check_policy,
    checked,
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
    user_space: UserSpaceRules | None = None

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

    @checked
    def __init__(self, check: Checker, *, gib: Annotated[int, Whole(1, 64), "size of the DIMM"] = 2) -> None:
        if check.good("gib") and gib % 2:
            check.fault("gib", "must be even")
        check.done()
        self.gib = assert_type(gib, int)

    def run(self, host: Host, streams: Streams) -> Generator[simpy.Event, object, None]:
        assert_type(host.plug(DimmSpec("dimm0", self.gib * GIB)), bool)
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
    assert assert_type(OneDimm(gib=4), OneDimm).gib == 4
    with pytest.raises(ParameterError, match=r"^gib: must be even$"):
        OneDimm(gib=3)
    with pytest.raises(ParameterError, match=r"^gib: must be a whole number, but is '4'$"):
        OneDimm(gib="4")  # type: ignore[arg-type]  # so a type checker says it, too
