"""Memory after a demand: growth at once, shrinking after the hold time, and the files it is read from."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.devices.specs import DimmSpec, VirtioMemSpec
from sim.plugins.parameters import ParameterError
from sim.units import GIB, MIB
from tests.support.reach import Reach
from tests.workloads.fake_host import calls, play
from workloads.demand_trace import DemandTrace, held

if TYPE_CHECKING:
    from pathlib import Path


MIB_BY_SECOND = {"time": "t_s", "user": {"column": "mib", "unit": MIB}}


def written(folder: Path, text: str, name: str = "demand.csv") -> str:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


REACH = Reach(
    {"an earlier one is held": 50, "nothing earlier is higher": 50, "of one moment the last stands": 3, "no hold": 1}
)


@REACH.test()
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=1, max_size=40),
    st.integers(0, 100),
)
def test_held_is_the_largest_of_the_last_while(steps: list[tuple[int, int]], hold: int) -> None:
    now, samples = 0, []
    for wait, level in steps:
        now += wait
        samples.append((now, level))
    for index, (t_us, level) in enumerate(held(samples, hold)):
        # A sample counts while it is younger than the hold time; of samples at one moment, the last one stands.
        recent = [
            known for number, (then, known) in enumerate(samples[: index + 1]) if number == index or then + hold > t_us
        ]
        assert (t_us, level) == (samples[index][0], max(recent))
        REACH("an earlier one is held" if level > samples[index][1] else "nothing earlier is higher")
        REACH("of one moment the last stands", [t for t, _ in samples[index + 1 : index + 2]] == [t_us])
    REACH("no hold", hold == 0)


def test_growth_at_once_and_shrinking_after_the_hold_time(tmp_path: Path) -> None:
    text = "t_s,mib\n100,512\n160,3000\n220,1500\n280,1500\n340,1500\n400,9000\n460,0\n"
    workload = DemandTrace(
        path=written(tmp_path, text),
        columns=MIB_BY_SECOND,
        headroom=0.1,
        boot_memory=GIB,
        step=128 * MIB,
        maximum=4 * GIB,
        hold=120.0,
        tail=5.0,
    )
    # 3000 MiB with headroom are 3300; less 1024 of boot memory 2276; in steps of 128 18 of them. 1500: 626, 5 steps.
    assert calls(workload) == [
        (0, "plug", "vmem0", VirtioMemSpec("vmem0", 4 * GIB)),
        (60_000_000, "resize", "vmem0", 18 * 128 * MIB),
        (180_000_000, "resize", "vmem0", 5 * 128 * MIB),
        (300_000_000, "resize", "vmem0", 4 * GIB),
    ]
    assert workload.duration() == 365.0


def test_dimms_come_and_go_newest_first(tmp_path: Path) -> None:
    text = "t_s,mib\n0,0\n10,1500\n20,3500\n30,100\n"
    workload = DemandTrace(
        path=written(tmp_path, text),
        columns=MIB_BY_SECOND,
        kind="dimm",
        step=GIB,
        maximum=3 * GIB,
        boot_memory=0,
        headroom=0.0,
        hold=0.0,
        node=2,
    )
    dimms = {number: DimmSpec(f"dimm{number}", GIB, 2) for number in range(3)}
    assert calls(workload) == [
        (10_000_000, "plug", "dimm0", dimms[0]),
        (10_000_000, "plug", "dimm1", dimms[1]),
        (20_000_000, "plug", "dimm2", dimms[2]),
        (30_000_000, "unplug", "dimm2", None),
        (30_000_000, "unplug", "dimm1", None),
    ]
    assert list(workload.node_capacity()) == [2]


def test_one_series_of_many_in_other_units(tmp_path: Path) -> None:
    text = "vm,hour,use,cap\na,5,1,9\nb,4,2,9\na,6,4,9\nb,5,7,9\na,7,0,9\n"
    workload = DemandTrace(
        path=written(tmp_path, text, "many.csv.gz"),
        columns={
            "time": {"column": "hour", "unit": 3600.0},
            "series": "vm",
            "user": {"column": "use", "unit": GIB},
        },
        series="a",
        headroom=0.0,
        boot_memory=0,
        hold=0.0,
        speed=60.0,
    )
    assert [(now, what) for now, verb, _, what in calls(workload) if verb == "resize"] == [
        (0, GIB),
        (60_000_000, 4 * GIB),
        (120_000_000, 0),
    ]


def test_a_part_of_the_span_and_values_that_are_missing(tmp_path: Path) -> None:
    path = written(tmp_path, "t_s,mib\n0,1024\n50,2048\n100,\n150,4096\n200,1024\n250,8192\n")
    workload = DemandTrace(
        path=path,
        columns=MIB_BY_SECOND,
        headroom=0.0,
        boot_memory=0,
        step=GIB,
        hold=0.0,
        start=60.0,
        end=200.0,
        scale=2.0,
    )
    # At 60 s what came at 50 holds, at 100 s still.
    assert [(now, what) for now, verb, _, what in calls(workload) if verb == "resize"] == [
        (0, 4 * GIB),
        (90_000_000, 8 * GIB),
        (140_000_000, 2 * GIB),
    ]
    assert workload.duration() == 200.0


def test_a_trace_that_tells_no_demand_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "t_s,mib\n0,5\n")
    with pytest.raises(ParameterError, match=r"^columns: do not tell user, the demand$"):
        DemandTrace(path=path, columns={"time": "t_s", "free": "mib"})
    with pytest.raises(ParameterError, match=r"^path: .*demand\.csv"):
        DemandTrace(path=written(tmp_path, "t_s,mib\n0,much\n"), columns=MIB_BY_SECOND)


def test_each_replication_asks_after_a_series_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, "vm,t_s,mib\nb,0,4096\na,0,8192\n")
    workload = DemandTrace(path=path, columns={**MIB_BY_SECOND, "series": "vm"}, headroom=0.0, boot_memory=0)
    assert workload.most_replications() == 2
    for number, gib in ((0, 4), (1, 8)):
        assert [what for _, verb, _, what in calls(workload.for_replication(number)) if verb == "resize"] == [gib * GIB]


def test_a_public_trace(shared_dir: Path) -> None:
    path = shared_dir / "data" / "bitbrains-rnd" / "sep2013-5min.csv.gz"
    workload = DemandTrace(
        path=str(path),
        columns={"time": "t_s", "series": "vm", "user": {"column": "use_mib", "unit": MIB}},
        series="4",
        maximum=8 * GIB,
        hold=3600.0,
    )
    assert 28 < workload.duration() / 86400 < 31
    host, _ = play(workload)
    sizes = [what for _, verb, _, what in host.calls if verb == "resize" and isinstance(what, int)]
    assert len(sizes) > 10
    assert all(size % (128 * MIB) == 0 and 0 <= size <= 8 * GIB for size in sizes)
