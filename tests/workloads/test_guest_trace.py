"""A recorded machine's demand, played in the guest: what is asked for, when and by whom, and what kills change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simpy

from sim.guest.report import GuestReport
from sim.plugins.parameters import ParameterError
from sim.streams import Streams
from sim.traces.samples import Samples
from sim.units import MIB
from tests.workloads.fake_host import FakeHost
from workloads.guest_trace import GuestTrace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = 1_000_000
USER = {"time": "t", "user": {"column": "user", "unit": MIB}}
IDLE = GuestReport(total=1000 * MIB, free=900 * MIB, available=900 * MIB, cached=20 * MIB)


def written(folder: Path, text: str) -> str:
    path = folder / "trace.csv"
    path.write_text(text, "utf-8")
    return str(path)


def ran(workload: GuestTrace, *, boot: GuestReport | None = IDLE, kills: dict[int, str] | None = None) -> FakeHost:
    """Run a workload; ``kills`` says which load is killed at which second."""
    env = simpy.Environment()
    host = FakeHost(env)
    host.figures = boot

    def killing() -> Any:  # noqa: ANN401  a process
        for second, load in (kills or {}).items():
            yield env.timeout(second * SECOND - int(env.now))
            host.dead.add(load)
            host.tell_of_change()

    env.process(killing())
    env.run(until=env.process(workload.run(host, Streams(1, 0))))
    assert env.now == (round(workload.duration() * SECOND) if boot else 0)
    return host


def asked(host: FakeHost) -> list[tuple[float, str, str, float]]:
    """Return second, load, kind and MiB of every demand that was another than before."""
    known: dict[str, object] = {}
    changes = []
    for at, _, load, what in host.calls:
        if known.get(load) != what:
            known[load] = what
            assert isinstance(what, tuple)
            kind, amount = what
            changes.append((at / SECOND, load, kind, amount / MIB))
    return changes


def wanted(host: FakeHost, load: str) -> list[tuple[float, float]]:
    """Return second and MiB of what a load wanted, where that changed."""
    all_of_it = [(at / SECOND, amount / MIB) for at, name, amount in host.wanted if name == load]
    return [each for before, each in zip([(0, -1), *all_of_it], all_of_it, strict=False) if before[1] != each[1]]


def test_without_kernel_memory_what_is_played_is_what_stands_there(tmp_path: Path) -> None:
    path = written(tmp_path, "t,user\n100,10\n160,30\n220,\n280,5\n")
    workload = GuestTrace(path=path, columns=USER, kernel="none", tail=7.0)
    assert workload.duration() == 187
    assert asked(ran(workload)) == [
        (0, "program0", "anonymous", 10), (60, "program0", "anonymous", 30), (180, "program0", "anonymous", 5),
    ]  # fmt: skip
    assert ran(workload, boot=None).calls == []


def test_a_part_of_the_span_faster_and_larger(tmp_path: Path) -> None:
    path = written(tmp_path, "t,user\n" + "".join(f"{t},{t}\n" for t in range(0, 1000, 100)))
    part: dict[str, Any] = {"start": 250.0, "end": 500.0, "speed": 10.0, "scale": 2.0, "tail": 1.0}
    workload = GuestTrace(path=path, columns=USER, kernel="none", **part)
    assert workload.duration() == 26
    # What held at the start came before it.
    assert [(at, mib) for at, _, _, mib in asked(ran(workload))] == [(0, 400), (5, 600), (15, 800), (25, 1000)]
    refused: list[tuple[dict[str, Any], str]] = [
        ({"start": 901.0}, "start"), ({"start": 5.0, "end": 5.0}, "end"), ({"tail": 2e9}, "tail"),
    ]  # fmt: skip
    for wrong, name in refused:
        with pytest.raises(ParameterError, match=f"^{name}: "):
            GuestTrace(path=path, columns=USER, **wrong)


def test_growth_is_taken_at_the_rate_and_the_rest_given_back_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "t,user\n0,10\n3,0\n10,4\n")
    workload = GuestTrace(path=path, columns=USER, kernel="none", rate=4 * MIB, tick=1.0, tail=5.0)
    taken = [(0, 0), (1, 4), (2, 8), (3, 10), (3, 0), (11, 4)]
    assert [(at, mib) for at, _, _, mib in asked(ran(workload))] == taken


def test_what_the_trace_tells_of_the_kernel_is_asked_for_and_nothing_twice(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"time": "t"} | {
        name: {"column": name, "unit": MIB}
        for name in ("user", "page_cache", "slab_reclaimable", "slab_unreclaimable", "page_tables", "kernel_stacks")
    }
    text = ",".join(columns[name]["column"] if name != "time" else "t" for name in columns)
    path = written(tmp_path, f"{text}\n0,500,100,40,30,20,8\n60,250,100,40,33,20,8\n")
    boot = GuestReport(
        total=1000 * MIB, free=900 * MIB, available=900 * MIB, cached=20 * MIB,
        slab_reclaimable=10 * MIB, slab_unreclaimable=12 * MIB, page_tables=4 * MIB, kernel_stacks=2 * MIB,
    )  # fmt: skip
    workload = GuestTrace(path=path, columns=columns)
    assert sorted(asked(ran(workload, boot=boot))) == [
        (0, "program0", "anonymous-only", 500),
        (0, "program0-kernel-stacks", "kernel-stacks", 6),
        (0, "program0-page-tables", "page-tables", 16),
        (0, "system-kernel", "kernel", 18),
        (0, "system-page-cache-only", "page-cache-only", 80),
        (0, "system-slab", "slab", 30),
        (60, "program0", "anonymous-only", 250),
        (60, "system-kernel", "kernel", 21),
    ]


def test_what_shrinks_makes_room_for_what_grows(tmp_path: Path) -> None:
    columns = {**USER, "page_cache": {"column": "cache", "unit": MIB}}
    path = written(tmp_path, "t,user,cache\n0,100,900\n60,800,200\n120,100,900\n")
    workload = GuestTrace(path=path, columns=columns, kernel="none")
    now: dict[str, float] = {}
    most = 0.0
    for _, load, _, mib in asked(ran(workload, boot=GuestReport(0, 0, 0, 0))):
        now[load] = mib
        most = max(most, sum(now.values()))
    assert most == 1000


def test_a_trace_of_the_kernel_alone_is_played_too(tmp_path: Path) -> None:
    columns = {"time": "t", **{name: {"column": name, "unit": MIB} for name in ("page_tables", "slab_unreclaimable")}}
    path = written(tmp_path, "t,page_tables,slab_unreclaimable\n0,30,50\n60,20,60\n")
    assert sorted(asked(ran(GuestTrace(path=path, columns=columns, kernel="none")))) == [
        (0, "program0", "anonymous-only", 0),
        (0, "program0-page-tables", "page-tables", 30),
        (0, "system-kernel", "kernel", 50),
        (60, "program0-page-tables", "page-tables", 20),
        (60, "system-kernel", "kernel", 60),
    ]


def test_one_figure_for_the_kernel_is_the_whole_of_it(tmp_path: Path) -> None:
    columns = {**USER, "kernel": {"column": "kernel", "unit": MIB}}
    path = written(tmp_path, "t,user,kernel,tables\n0,64,200,9\n")
    host = ran(GuestTrace(path=path, columns=columns), boot=GuestReport(0, 0, 0, 0, 0, 0, 30 * MIB, 5 * MIB, 1 * MIB))
    assert asked(host) == [(0, "program0", "anonymous-only", 64), (0, "system-kernel", "kernel", 164)]
    with pytest.raises(
        ParameterError, match=r"^columns: tell the kernel's memory as one figure \(kernel\), and page_t"
    ):
        GuestTrace(path=path, columns={**columns, "page_tables": "tables"})
    with pytest.raises(ParameterError, match=r"^columns: tell nothing that can be used in a guest"):
        GuestTrace(path=path, columns={"time": "t", "free": "user"})


@pytest.mark.parametrize(
    ("kernel", "system", "beside"),
    [
        ("boot-to-work", 59.9 + 10.0 + 50.1, {"kernel": 4 * 3.96, "kernel-stacks": 4 * 1.55, "page-tables": 4 * 7.95}),
        ("server-start", 37.7 + 5.8 + 19.4, {"kernel": 4 * 10.41, "kernel-stacks": 4 * 1.37, "page-tables": 4 * 16.31}),
        ("memory-alone", 21.4, {"page-tables": 4 * 2.015}),
        ("machines", 0, {"kernel": 64.6 * 4**0.63, "kernel-stacks": 7.6 * 4**0.48, "page-tables": 30.1 * 4**0.52}),
    ],
)
def test_what_is_not_told_follows_by_the_relation(
    tmp_path: Path, kernel: str, system: float, beside: dict[str, float]
) -> None:
    path = written(tmp_path, "t,user\n0,4096\n60,0\n")
    host = ran(GuestTrace(path=path, columns=USER, kernel=kernel), boot=GuestReport(0, 0, 0, 0))
    amounts = {load: mib for at, load, _, mib in asked(host) if at == 0}
    assert amounts.pop("system-kernel", 0) == pytest.approx(system, abs=0.01)
    assert amounts.pop("program0") == 4096
    assert amounts == pytest.approx({f"program0-{kind}": mib for kind, mib in beside.items()}, abs=0.01)
    # When the programs have left, what is the system's own stays.
    assert {load: mib for at, load, _, mib in asked(host) if at == 60} == dict.fromkeys(["program0", *amounts], 0)


def test_a_relation_takes_only_what_is_not_told_and_not_there_already(tmp_path: Path) -> None:
    columns = {**USER, "page_tables": {"column": "tables", "unit": MIB}}
    path = written(tmp_path, "t,user,tables\n0,1024,50\n")
    boot = GuestReport(0, 0, 0, 0, slab_unreclaimable=60 * MIB, page_tables=3 * MIB, kernel_stacks=4 * MIB)
    host = ran(GuestTrace(path=path, columns=columns, kernel="boot-to-work"), boot=boot)
    assert {load: round(mib, 2) for _, load, _, mib in asked(host)} == {
        "program0": 1024,
        "program0-page-tables": 47,
        "program0-kernel": 3.86,  # 59.9 + 3.96 less the 60 that are there, all of it the programs'
        "program0-kernel-stacks": 1.55,
        "system-kernel": 6,
    }


def test_what_one_machine_of_a_trace_does_not_tell_follows_though_another_tells_it(tmp_path: Path) -> None:
    columns = {**USER, "series": "vm", "page_tables": {"column": "tables", "unit": MIB}}
    path = written(tmp_path, "vm,t,user,tables\nnew,0,1024,50\nold,0,1024,\nold,60,2048,\n")
    trace = GuestTrace(path=path, columns=columns, kernel="memory-alone")
    boot = GuestReport(0, 0, 0, 0)

    hosts = [ran(trace.for_replication(number), boot=boot) for number in (0, 1)]  # type: ignore[arg-type]

    tables = [{(at, load): mib for at, load, kind, mib in asked(host) if kind == "page-tables"} for host in hosts]
    assert tables[0] == {(0, "program0-page-tables"): 50}
    assert tables[1] == pytest.approx(
        {(0, "program0-page-tables"): 2.015, (60, "program0-page-tables"): 4.03}, abs=0.01
    )
    assert ("system-kernel", 21.4) in [(load, round(mib, 1)) for _, load, _, mib in asked(hosts[1])]


def test_memory_of_a_whole_machine_is_shared_out_without_counting_twice(tmp_path: Path) -> None:
    path = written(tmp_path, "t,user\n0,2000\n60,50\n")
    # 80 MiB are used at boot: total less free less cached. The rest holds the programs and what follows from them.
    host = ran(GuestTrace(path=path, columns=USER, includes_system=True, kernel="boot-to-work"))
    at_start = {load: mib for at, load, _, mib in asked(host) if at == 0}
    assert sum(at_start.values()) == pytest.approx(1920, abs=0.01)
    assert at_start["program0"] == pytest.approx((1920 - 120) / (1 + 13.46 / 1024), rel=1e-4)
    assert [mib for at, load, _, mib in asked(host) if (at, load) == (60, "program0")] == [0]
    host = ran(GuestTrace(path=path, columns=USER, includes_system=True, kernel="none"))
    assert asked(host) == [(0, "program0", "anonymous", 1920), (60, "program0", "anonymous", 0)]


def test_a_killed_program_comes_back_after_a_while_with_what_is_wanted_then(tmp_path: Path) -> None:
    columns = {**USER, "page_tables": {"column": "tables", "unit": MIB}}
    path = written(tmp_path, "t,user,tables\n0,100,10\n60,200,10\n120,50,10\n")
    given: dict[str, Any] = {"path": path, "columns": columns, "kernel": "none", "programs": 2, "nodes": [0, 1]}
    workload = GuestTrace(**given, restart=45.0)
    host = ran(workload, kills={30: "program1-page-tables"})
    assert host.nodes == {f"program{number}{part}": number for number in (0, 1) for part in ("", "-page-tables")}
    assert [each for each in asked(host) if each[1] == "program1"] == [
        (0, "program1", "anonymous-only", 50), (30, "program1", "anonymous-only", 0),
        (75, "program1", "anonymous-only", 100), (120, "program1", "anonymous-only", 25),
    ]  # fmt: skip
    assert [(at, mib) for at, load, _, mib in asked(host) if load == "program1-page-tables"] == [
        (0, 5),
        (30, 0),
        (75, 5),
    ]
    assert workload.kills == 1
    # What is wished is as if nothing had happened.
    calm = ran(workload)
    for load in host.nodes:
        assert wanted(host, load) == wanted(calm, load)
    stays = ran(GuestTrace(**given, restart=0.0), kills={30: "program1"})
    assert [each[0] for each in asked(stays) if each[1] == "program1"] == [0, 30]
    assert wanted(stays, "program1") == wanted(calm, "program1") == [(0, 50), (60, 100), (120, 25)]


def test_a_program_that_is_started_again_takes_its_memory_at_the_rate(tmp_path: Path) -> None:
    path = written(tmp_path, "t,user\n0,20\n100,20\n")
    workload = GuestTrace(path=path, columns=USER, kernel="none", rate=10 * MIB, tick=1.0, restart=5.0)
    host = ran(workload, kills={30: "program0"})
    assert [(at, mib) for at, _, _, mib in asked(host)] == [(0, 0), (1, 10), (2, 20), (30, 0), (36, 10), (37, 20)]
    assert wanted(host, "program0") == [(0, 0), (1, 10), (2, 20)]


def test_who_is_killed_again_and_again_is_away_longer_each_time(tmp_path: Path) -> None:
    """10, 20, 40, ... seconds up to five minutes, as the kubelet has it; after ten good minutes 10 again."""
    path = written(tmp_path, "t,user\n0,100\n5000,100\n")
    deaths = {100: 110, 120: 140, 150: 190, 195: 275, 280: 440, 441: 741, 742: 1042, 1641: 1941, 2541: 2551}
    host = ran(GuestTrace(path=path, columns=USER, kernel="none"), kills=dict.fromkeys(deaths, "program0"))
    found = [(at, mib) for at, _, _, mib in asked(host)]
    assert found == [(0, 100), *(each for death, back in deaths.items() for each in ((death, 0), (back, 100)))]


def test_a_guest_that_died_is_told_what_is_wanted_to_the_end(tmp_path: Path) -> None:
    path = written(tmp_path, "t,user\n0,100\n60,200\n120,300\n")
    workload = GuestTrace(path=path, columns=USER, kernel="none")
    env = simpy.Environment()
    host = FakeHost(env)
    host.figures = IDLE

    def dying() -> Any:  # noqa: ANN401  a process
        yield env.timeout(30 * SECOND)
        host.died = True
        host.dead.add("program0")
        host.tell_of_change()

    env.process(dying())
    env.run(until=env.process(workload.run(host, Streams(1, 0))))
    assert wanted(host, "program0") == [(0, 100), (60, 200), (120, 300)]
    assert [each[3] for each in asked(host)] == [100, 0]
    assert workload.kills == 0


def test_each_replication_plays_a_series_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, "vm,t,user\nb,0,1\na,0,2\nb,60,3\na,90,4\n")
    columns = {**USER, "series": "vm"}
    workload = GuestTrace(path=path, columns=columns, kernel="none")
    assert workload.most_replications() == 2
    names = [workload.for_replication(number).recording() for number in (0, 1)]
    assert names == ["b", "a"]
    for number, levels in enumerate(([(0, 1), (60, 3)], [(0, 2), (90, 4)])):
        played = workload.for_replication(number)
        assert isinstance(played, GuestTrace)
        assert [(at, mib) for at, _, _, mib in asked(ran(played))] == levels
    only = GuestTrace(path=path, columns=columns, series="a")
    assert (only.most_replications(), only.for_replication(5).recording()) == (None, "a")
    with pytest.raises(ParameterError, match=r"^series: unknown series 'c'"):
        GuestTrace(path=path, columns=columns, series="c")
    alone = GuestTrace(path=path, columns=USER)
    assert (alone.most_replications(), alone.recording(), alone.for_replication(3)) == (None, None, alone)
    with pytest.raises(ParameterError, match=r"^series: the trace tells no series apart"):
        GuestTrace(path=path, columns=USER, series="a")


def test_each_replication_plays_a_series_that_fits_a_pattern(tmp_path: Path) -> None:
    path = written(tmp_path, "vm,t,user\nweb-2,0,1\ndb-1,0,2\nweb-11,0,3\nweb-*,0,4\n")
    columns = {**USER, "series": "vm"}

    def played(pattern: str) -> list[str | None]:
        workload = GuestTrace(path=path, columns=columns, series=pattern)
        return [workload.for_replication(number).recording() for number in range(workload.most_replications() or 0)]

    assert played("web-[0-9]*") == ["web-2", "web-11"]
    assert played("*-1") == ["db-1"]
    assert GuestTrace(path=path, columns=columns, series="web-*").recording() == "web-*"  # a name first
    with pytest.raises(ParameterError, match=r"^series: unknown series 'app-\*'"):
        GuestTrace(path=path, columns=columns, series="app-*")
    with pytest.raises(ParameterError, match=r"^series: the trace tells no series apart"):
        GuestTrace(path=path, columns=USER, series="*")


class Endless:
    """A trace of a hundred thousand samples, of which somebody counts how many were read."""

    quantities = ("user",)
    series = ("",)

    def __init__(self) -> None:
        self.read = 0

    def samples(self, series: str) -> Iterator[Samples]:
        for first in range(0, 100_000, 100):
            self.read += 100
            t_us = np.arange(first, first + 100) * SECOND
            yield Samples(t_us, {"user": np.full(100, (first + 1) * MIB)})

    def span_us(self, series: str) -> tuple[int, int]:
        return 0, 99_999 * SECOND

    def told(self, series: str) -> tuple[str, ...]:
        return self.quantities


def test_no_more_is_read_than_is_about_to_be_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Endless()
    monkeypatch.setattr("workloads.guest_trace.opened", lambda _path, _columns: trace)
    workload = GuestTrace(path=str(tmp_path), columns=USER, kernel="none")
    assert trace.read == 0
    env = simpy.Environment()
    host = FakeHost(env)
    host.figures = IDLE
    env.process(workload.run(host, Streams(1, 0)))
    for second in (50, 150, 2050):
        env.run(until=second * SECOND)
        assert trace.read == second + 50
    assert asked(host)[-1] == (2000, "program0", "anonymous", 2001)
