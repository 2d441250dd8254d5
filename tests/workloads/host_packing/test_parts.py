"""What hosts of virtual machines are made of: where a VM goes, requests from files, and lifetimes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.plugins.parameters import ParameterError
from sim.streams import Streams
from sim.units import GIB, MIB, MICROSECONDS
from tests.workloads.packed_host import HEADER, columns_of, written
from workloads.host_packing import HostPacking
from workloads.host_packing.lives import AZURE_2017, lifetimes
from workloads.host_packing.placement import Part, Shape, place
from workloads.host_packing.requests import NEVER_US, Request, read_requests

if TYPE_CHECKING:
    from pathlib import Path


# Where a VM goes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choice", "node"), [("most-free", 2), ("best-fit", 1), ("first", 0)])
def test_a_vm_goes_to_the_node_that_the_rule_says(choice: str, node: int) -> None:
    free = {0: 20, 1: 10, 2: 30, 3: 9}
    assert place(Shape(1, 8, 2), free, {}, far_share=0.5, choice=choice) == [Part(node, 8, {})]


def test_a_split_vm_goes_to_as_many_nodes_or_nowhere() -> None:
    free = {0: 20, 1: 9, 2: 10}
    assert place(Shape(2, 8, 2), free, {}, far_share=0.0, choice="most-free") == [Part(0, 8, {}), Part(2, 8, {})]
    assert place(Shape(3, 8, 2), free, {}, far_share=0.0, choice="most-free") is None


def test_what_has_no_room_near_lies_far_up_to_the_share() -> None:
    free, far = {0: 7}, {1: 3, 2: 4}
    assert place(Shape(1, 12, 1), free, far, far_share=0.5, choice="first") == [Part(0, 6, {2: 4, 1: 2})]
    assert place(Shape(1, 13, 1), free, far, far_share=0.5, choice="first") is None, "seven would be far"
    assert place(Shape(1, 6, 1), free, far, far_share=0.5, choice="first") == [Part(0, 6, {})], "all is near"


@given(
    st.integers(1, 3),
    st.integers(0, 40),
    st.integers(0, 3),
    st.dictionaries(st.integers(0, 3), st.integers(0, 50), min_size=1),
    st.dictionaries(st.integers(4, 5), st.integers(0, 30)),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from(["most-free", "best-fit", "first"]),
)
def test_no_node_gets_more_than_it_has(
    parts: int, memory: int, beside: int, free: dict[int, int], far: dict[int, int], far_share: float, choice: str
) -> None:
    found = place(Shape(parts, memory, beside), free, far, far_share=far_share, choice=choice)
    if found is None:
        if not far_share:
            assert sum(room >= memory + beside for room in free.values()) < parts
        return
    assert len({part.node for part in found}) == len(found) == parts
    taken: Counter[int] = Counter()
    for part in found:
        assert part.near + sum(part.far.values()) == memory
        assert sum(part.far.values()) <= memory * far_share
        assert part.near + beside <= free[part.node]
        taken.update(part.far)
    assert all(taken[node] <= far[node] for node in taken)


# Requests ---------------------------------------------------------------------------------------------------------


def test_requests_are_read_by_sequence(tmp_path: Path) -> None:
    path = written(tmp_path, "A,0,8,16,1,", "B,0,2,4.5,1,affinity", "A,1,64,128,2,", header=HEADER)
    work = HostPacking(path=path)
    assert read_requests(path, {"memory": {"column": "ram_gib"}, "sequence": "sequence"}) == {
        "A": [Request(16 * GIB), Request(128 * GIB)],
        "B": [Request(9 * GIB // 2)],
    }
    assert work.most_replications() == 2
    first, second = ([vm.memory for vm in work.for_replication(k).coming(Streams(1, k))] for k in (0, 1))
    assert (first, second) == ([16 * GIB, 128 * GIB], [9 * GIB // 2])
    assert [work.for_replication(number).recording() for number in (0, 1)] == ["A", "B"]
    alone = HostPacking(path=path, sequence="B")
    assert (alone.most_replications(), alone.recording()) == (None, "B")


def test_times_of_the_file_count_from_its_first_request(tmp_path: Path) -> None:
    path = written(tmp_path, "100,4,2", "160,8,", header="t,mem,until\n")
    columns = {
        "memory": {"column": "mem", "unit": MIB},
        "arrival": {"column": "t", "unit": 60.0},
        "lifetime": {"column": "until", "unit": 3600.0},
    }
    hour = 3600 * MICROSECONDS
    assert read_requests(path, columns)[""] == [
        Request(4 * MIB, arrival_us=0, stay_us=2 * hour),
        Request(8 * MIB, arrival_us=hour, stay_us=NEVER_US),
    ]
    departures = written(tmp_path, "100,4,101", "160,8,", header="t,mem,until\n")
    names = columns_of(memory="mem", arrival="t", departure="until")
    assert [request.stay_us for request in read_requests(departures, names)[""]] == [MICROSECONDS, NEVER_US]


def test_faults_of_the_file_are_told_by_line_and_column(tmp_path: Path) -> None:
    lines = ("5,16,1", "4,16,1", ",16,1", "6,0,1", "6,x,1", "7,16,-1", "8,16")
    path = written(tmp_path, *lines)
    columns = columns_of(memory="gib", arrival="t", lifetime="stay")
    with pytest.raises(ParameterError) as caught:
        HostPacking(path=path, columns=columns)
    assert [fault.partition(", ")[2].partition(" must")[0] for fault in caught.value.faults] == [
        "line 3: t:",
        "line 4: t:",
        "line 5: gib:",
        "line 6: gib:",
        "line 7: stay:",
        "line 8: has 2 fields, but there are 3 columns",
    ]
    with pytest.raises(ParameterError, match="there is no 'C' in the file; there is A, B"):
        HostPacking(path=written(tmp_path, "A,0,1,1,1,", "B,0,1,1,1,", header=HEADER), sequence="C")
    with pytest.raises(ParameterError, match="holds no requests"):
        HostPacking(path=written(tmp_path, header=HEADER.rstrip()))


# Lifetimes --------------------------------------------------------------------------------------------------------


def test_lifetimes_are_spread_as_published() -> None:
    draws = lifetimes(np.random.default_rng(1), "azure-2017", 0)
    seconds = np.array([next(draws) for _ in range(20_000)]) / MICROSECONDS
    for share, most in AZURE_2017:
        assert np.mean(seconds <= most) == pytest.approx(share, abs=0.012)
    assert next(lifetimes(np.random.default_rng(1), "fixed", 7)) == 7
