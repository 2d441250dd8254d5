"""What holds for every workload: repeatable, the same for every guest, described as it is, clear about faults."""

from __future__ import annotations

import importlib
import inspect
import pickle
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.faults import Faults
from sim.plugins.parameters import ParameterError, parameters_of
from sim.units import GIB, MIB
from tests.support.places import ROOT
from tests.support.reach import Reach
from tests.workloads.fake_host import CHARACTERS, Character, calls, play
from workloads.cxl_cards import CxlCards
from workloads.demand_trace import DemandTrace
from workloads.dimm_controller import DimmController
from workloads.dimm_slots import DimmSlots
from workloads.grow_and_return import GrowAndReturn
from workloads.guest_load import GuestLoad
from workloads.guest_trace import GuestTrace
from workloads.host_packing import HostPacking
from workloads.hyperalloc import HyperAlloc
from workloads.load_trace import LoadTrace
from workloads.neonvm import NeonVM
from workloads.parts.controllers.controller import Controller
from workloads.parts.together import PartHost, Together
from workloads.psi_governor import PsiGovernor
from workloads.random_mix import RandomMix
from workloads.request_replay import RequestReplay
from workloads.scheduled import Scheduled
from workloads.steps import Steps
from workloads.virtio_mem_resize import VirtioMemResize
from workloads.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.workloads.fake_host import FakeHost
    from workloads.contract import Host, Workload

CLASSES: tuple[type[Workload], ...] = (
    DimmSlots,
    VirtioMemResize,
    Watermark,
    RandomMix,
    RequestReplay,
    CxlCards,
    DemandTrace,
    DimmController,
    GrowAndReturn,
    GuestLoad,
    GuestTrace,
    HostPacking,
    HyperAlloc,
    LoadTrace,
    NeonVM,
    PsiGovernor,
    Scheduled,
    Steps,
)

FROM_FILES = (DemandTrace, GuestTrace, HostPacking, LoadTrace)

RANDOM: dict[str, Workload] = {
    "coin": DimmSlots(sizes=[GIB, 2 * GIB], nodes=[0, 1], removal="random"),
    "target": DimmSlots(mode="target", initial=3, hold=200.0, removal="oldest"),
    "fixed": DimmSlots(spacing="fixed", ask_again=True),
    "several": VirtioMemResize(shape="diurnal", devices=3, jitter=0.5, stagger=100.0, nodes=[0, 1]),
    "bursts": VirtioMemResize(shape="bursts"),
    "load": GuestLoad(shape="bursts", rate=64 * MIB, processes=3, tick=1.0, kernel_share=0.1),
    "load in steps": GuestLoad(shape="steps", size=4 * GIB, rate=300 * MIB, jitter=0.5),
    "grow and return": GrowAndReturn(spread=2.0),
    "grow and return by blocks": GrowAndReturn(device="virtio-mem-big-blocks", spread=2.0),
    "mix": RandomMix(nodes=[0, 1], duration=20_000.0),
    "mix-again": RandomMix(ask_again=True, wait_for_guest=True, duration=20_000.0),
}
RANDOM["together"] = Together(parts=[RANDOM["coin"], RANDOM["mix"], DimmSlots()])
FIXED: dict[str, Workload] = {
    "saw-tooth": VirtioMemResize(),
    "neonvm": RequestReplay(log="neonvm-pr705", repeat=3),
    "sail": RequestReplay(log="sail-2026", speed=2.0),
}
ALL = {**RANDOM, **FIXED}


def hosts(host: FakeHost) -> Sequence[Host]:
    """Stand where a type checker sees that these are hosts in the sense of the contract."""
    return [host, PartHost(host, "a/")]


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_requests(name: str) -> None:
    first = calls(ALL[name])
    assert len(first) > 4
    assert calls(ALL[name]) == first, "a workload can be run again, and keeps nothing of its last run"


@pytest.mark.parametrize("name", [name for name in RANDOM if name != "fixed"])
def test_other_seed_other_requests(name: str) -> None:
    assert calls(RANDOM[name], seed=1) != calls(RANDOM[name], seed=2)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("character", CHARACTERS)
def test_the_guest_moves_no_draw(name: str, character: Character) -> None:
    _, reference = play(ALL[name], "obliging")
    _, streams = play(ALL[name], character)
    assert streams.states() == reference.states()
    assert streams.names == reference.names


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("fixed", "mix-again")])
@pytest.mark.parametrize("character", CHARACTERS)
def test_the_guest_moves_and_adds_no_request(name: str, character: Character) -> None:
    reference = calls(ALL[name], "obliging")
    requests = [call for call in calls(ALL[name], character) if call[1] != "keep"]  # asks nothing of the guest
    remaining = iter(reference)
    assert all(request in remaining for request in requests), "what is asked is what is planned, less what cannot be"
    if name in ("bursts", "several", *FIXED):
        assert requests == reference


def test_with_ask_again_only_unplugs_are_added() -> None:
    once = calls(RandomMix(duration=20_000.0), "stubborn")
    again = calls(RandomMix(duration=20_000.0, ask_again=True), "stubborn")
    assert [call for call in again if call[1] != "unplug"] == [call for call in once if call[1] != "unplug"]
    assert sum(call[1] == "unplug" for call in again) > sum(call[1] == "unplug" for call in once)


def test_with_ask_again_a_slow_guest_is_not_hurried() -> None:
    reference = calls(RandomMix(duration=20_000.0), "slow")
    assert calls(RandomMix(duration=20_000.0, ask_again=True), "slow") == reference


@pytest.mark.parametrize("name", RANDOM)
def test_streams_are_named_by_one_source_each(name: str) -> None:
    _, streams = play(RANDOM[name])
    assert len(set(streams.names)) == len(streams.names), "two sources on one stream would take each other's numbers"


@pytest.mark.parametrize("name", ALL)
def test_nodes_are_told_beforehand(name: str) -> None:
    host, _ = play(ALL[name])
    plugged = {call[3].node for call in host.calls if call[1] == "plug"}  # type: ignore[attr-defined]
    assert plugged | set(host.nodes.values()) == set(ALL[name].node_capacity())


@pytest.mark.parametrize("cls", CLASSES)
def test_parameters_are_described_as_they_are(cls: type[Workload]) -> None:
    arguments = inspect.signature(cls).parameters
    assert [parameter.name for parameter in parameters_of(cls)] == list(arguments)
    for parameter in parameters_of(cls):
        default = arguments[parameter.name].default
        assert parameter.meaning, parameter.name
        if parameter.default is None:
            assert default in (None, inspect.Parameter.empty)
            continue
        faults = Faults(parameter.name)
        converted = parameter.type.convert(parameter.written, faults)
        assert not faults
        assert (tuple(converted) if isinstance(converted, list) else converted) == default, parameter.name


def test_every_workload_is_an_entry_point() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["memhp_sim.workloads"]
    found = {}
    for name, place in declared.items():
        module, _, attribute = place.partition(":")
        found[name] = getattr(importlib.import_module(module), attribute)
    assert found == {cls.name: cls for cls in CLASSES}


NASTY: tuple[Any, ...] = (
    *(None, True, "", "x", " x", "a\0b", [], [None], {}, -1, 0, 1, 4097, GIB, 3 * MIB, 1 << 60, 10**5000, -(10**5000)),
    *([10**5000], [-(10**5000)], ["x"], 0.5, -0.5, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"), b"x"),
)

JUNK = st.one_of(
    st.integers(-10, 10),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=5),
    st.none(),
    st.lists(st.one_of(st.integers(), st.text(max_size=3), st.none()), max_size=3),
    st.sampled_from(NASTY),
)


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, parameter.name) for cls in CLASSES for parameter in parameters_of(cls)], ids=str
)
def test_each_parameter_stands_junk(cls: type[Workload], name: str) -> None:
    for value in NASTY:
        made_or_refused(cls, {name: value})


#: A demand or load of a file is never made here: the file is not there.
REACH = Reach(
    {f"{cls.name}: refused": 5 for cls in CLASSES}
    | {f"{cls.name}: made": 0 if cls in FROM_FILES else 2 for cls in CLASSES}
)


@REACH.test()
@given(st.data())
def test_parameters_together_stand_junk(data: st.DataObject) -> None:
    for cls in CLASSES:
        names = [parameter.name for parameter in parameters_of(cls)]
        chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
        sensible = {name: argument.default for name, argument in inspect.signature(cls).parameters.items()}
        values = {name: data.draw(JUNK) if data.draw(st.booleans()) else sensible[name] for name in chosen}
        if cls is RequestReplay and data.draw(st.booleans()):
            values["log"] = "sail-2026"
        REACH(f"{cls.name}: {made_or_refused(cls, values)}")


def made_or_refused(cls: type[Workload], given_values: dict[str, Any]) -> str:
    """Make a workload of ``given_values``, or see each fault begin with the name of a parameter."""
    names = [parameter.name for parameter in parameters_of(cls)]
    if cls in FROM_FILES:
        given_values.setdefault("path", "/nowhere/at-all.csv")
    if cls in (DemandTrace, GuestTrace):
        given_values.setdefault("columns", {"time": "t_s", "user": "bytes"})
    try:
        made = cls(**given_values)
    except ParameterError as error:
        faults = error.faults
    else:
        assert made.duration() > 0 or issubclass(cls, Controller)
        return "made"
    assert faults
    for fault in faults:
        assert fault.partition(":")[0] in names
        assert len(fault) < 400, "a message stays readable whatever was written"
    return "refused"


SEEN = {"time": {"column": "t_s"}, "free_huge": {"column": ["huge_mib"]}}
TRACE: dict[str, Any] = {"path": "x.csv", "columns": {"time": "t_s", "user": "bytes"}}
WRONG: list[tuple[type[Workload], dict[str, Any], list[str]]] = [
    (DimmSlots, {"slots": 0, "grow_probability": 2, "removal": "tallest"}, ["slots", "grow_probability", "removal"]),
    (DimmSlots, {"slots": 2, "initial": 3}, ["initial"]),
    (DimmSlots, {"sizes": [], "nodes": [0, -1], "interval": 0.0}, ["sizes", "nodes", "interval"]),
    (DimmSlots, {"sizes": [1000], "duration": 1e-9, "device": " x"}, ["sizes", "duration", "device"]),
    (DimmSlots, {"slots": 10**5000, "sizes": [-(10**5000)], "interval": 10**5000}, ["slots", "sizes", "interval"]),
    (DimmSlots, {"grow_probability": float("nan"), "hold": float("inf")}, ["grow_probability", "hold"]),
    (DimmSlots, {"ask_again": 1, "mode": 3}, ["mode", "ask_again"]),
    (VirtioMemResize, {"shape": "sawtooth"}, ["shape"]),
    (VirtioMemResize, {"minimum": 2 * GIB, "maximum": GIB}, ["maximum"]),
    (VirtioMemResize, {"maximum": GIB + MIB}, ["maximum"]),
    (VirtioMemResize, {"region": GIB}, ["region"]),
    (VirtioMemResize, {"device_block": 3 * MIB}, ["device_block"]),
    (VirtioMemResize, {"step": 0, "devices": 0, "jitter": 1.5}, ["step", "jitter", "devices"]),
    (RandomMix, {"dimms": 0, "virtio_mems": 0, "dax_devices": 0}, ["dimm_share"]),
    (RandomMix, {"resize_step": 32 * GIB}, ["resize_step"]),
    (RandomMix, {"same_moment": 1.0, "maximum": 0}, ["maximum", "same_moment"]),
    (RequestReplay, {}, ["log"]),
    (RequestReplay, {"log": "neonvm-pr705", "path": "x.csv"}, ["log"]),
    (RequestReplay, {"log": "neonvm"}, ["log"]),
    (RequestReplay, {"path": "/nowhere/at-all.csv"}, ["path"]),
    (RequestReplay, {"log": "sail-2026", "speed": 0, "repeat": 0, "tail": 0}, ["repeat", "speed", "tail"]),
    (RequestReplay, {"log": "sail-2026", "repeat": 1_000_000, "speed": 1e-3}, ["repeat"]),
    (CxlCards, {"size": GIB, "ranges": 3, "way": "devdax"}, ["ranges", "way"]),
    (DimmController, {"slots": 0, "low_share": 0.0}, ["slots", "low"]),
    (DimmController, {"low": GIB, "spare": MIB, "spare_share": 0.1}, ["spare", "spare_share"]),
    (DimmController, {"watch_nodes": [0], "again": 7.0, "again_most": 6.0}, ["watch_nodes", "again_most"]),
    (DemandTrace, {"path": "/nowhere/at-all.csv", "columns": {"time": "t_s", "user": "bytes"}}, ["path"]),
    (DemandTrace, {**TRACE, "kind": "dimm", "maximum": 257 * GIB, "step": GIB}, ["maximum"]),
    (DemandTrace, {**TRACE, "maximum": MIB * 2}, ["maximum"]),
    (GuestLoad, {"shape": "ramp"}, ["rate"]),
    (GuestLoad, {"kind": "anonymus", "size": 0, "tick": 0}, ["kind", "size", "tick"]),
    (GuestLoad, {"kernel_share": 0.6, "cache_share": 0.5}, ["cache_share"]),
    (GuestLoad, {"kind": "processes", "kernel_share": 0.1}, ["kernel_share"]),
    (GuestLoad, {"start": 10.0, "end": 10.0}, ["end"]),
    (GuestLoad, {"processes": 0, "drop_caches": 4, "jitter": 2}, ["jitter", "processes", "drop_caches"]),
    (GuestTrace, {"path": "/nowhere/at-all.csv", "columns": {"time": "t_s", "user": "bytes"}}, ["path"]),
    (GuestTrace, {"path": "x.csv", "columns": {"tim": "t_s"}, "kernel": "any"}, ["columns", "kernel"]),
    (
        GuestTrace,
        {"path": "x.csv", "columns": {"time": "t_s", "user": "b"}, "nodes": [], "restart": -1},
        ["nodes", "restart"],
    ),
    (GuestTrace, {**TRACE, "restart": 400.0}, ["restart_most"]),
    (GrowAndReturn, {"device": "dim", "size": 0, "pace": 0, "spread": 0.5}, ["device", "size", "pace", "spread"]),
    (GrowAndReturn, {"size": 65 * GIB, "step": 256 * MIB}, ["size"]),
    (GrowAndReturn, {"size": GIB + 128 * MIB}, ["size"]),
    (GrowAndReturn, {"step": GIB + 1, "device_block": 3 * MIB}, ["step", "device_block"]),
    (GrowAndReturn, {"device": "virtio-mem", "step": 3 * MIB, "size": 3 * GIB}, ["step"]),
    (GrowAndReturn, {"device": "virtio-mem-big-blocks", "big_block": GIB}, ["step"]),
    (GrowAndReturn, {"device": "virtio-mem-big-blocks", "big_block": 3 * MIB}, ["big_block"]),
    (GrowAndReturn, {"kernel_start": 2000.0}, ["leave"]),
    (GrowAndReturn, {"ask_back": 2000.0}, ["ask_back"]),
    (GrowAndReturn, {"duration": 2100.0, "kernel_leaves": 1.5}, ["kernel_leaves", "duration"]),
    (HostPacking, {"path": "x.csv", "nodes": [0, 1, 1], "far_nodes": [1]}, ["nodes", "far_nodes"]),
    (HostPacking, {"path": "x.csv", "nodes": [0, 1], "free": [GIB], "gap": 0.0}, ["gap", "free"]),
    (HostPacking, {"path": "/nowhere/at-all.csv", "columns": {"memory": {"column": "gib"}}}, ["path"]),
    (HostPacking, {"path": "x.csv", "columns": {"vcpus": "v"}, "lifetimes": "weibull"}, ["columns", "lifetimes"]),
    (HyperAlloc, {"minimum": 4 * GIB, "maximum": 2 * GIB}, ["maximum"]),
    (HyperAlloc, {"minimum": GIB + MIB, "region": GIB, "fraction": 0}, ["minimum", "fraction", "region"]),
    (HyperAlloc, {"region": 13 * GIB, "device_block": 4 * MIB}, ["region"]),
    (HyperAlloc, {"columns": {"time": {"column": "t_s"}}, "series": "a"}, ["columns", "series"]),
    (HyperAlloc, {"path": "/nowhere/at-all.csv"}, ["columns"]),
    (HyperAlloc, {"path": "/nowhere/at-all.csv", "columns": SEEN}, ["path"]),
    (HyperAlloc, {"device_block": 4 * MIB, "fraction": 1 / 100}, ["fraction"]),
    (HyperAlloc, {"duration": -1, "period": 0, "share": 1.5}, ["share", "period", "duration"]),
    (LoadTrace, {"path": "/nowhere/at-all.csv"}, ["path"]),
    (NeonVM, {"minimum": 8}, ["maximum"]),
    (NeonVM, {"unit": GIB + MIB, "region": 7 * GIB}, ["unit"]),
    (NeonVM, {"region": 6 * GIB, "window": 6, "wish_valid": 0.5}, ["wait", "wish_valid", "region"]),
    (NeonVM, {"wait": 57, "maximum": 1 << 20, "host_use": [[0.0, GIB]]}, ["maximum", "wait", "host_use"]),
    (NeonVM, {"host_memory": GIB, "host_use": [[5.0, GIB], [5.0, 0]]}, ["host_use"]),
    (LoadTrace, {"path": "x.csv", "speed": 0, "tick": -1}, ["speed", "tick"]),
    (PsiGovernor, {"minimum": GIB, "maximum": GIB, "grow_below": 1.5}, ["maximum", "grow_below"]),
    (PsiGovernor, {"shrink_above": 0.2, "unaligned": "down", "region": GIB}, ["shrink_above", "unaligned", "region"]),
    (PsiGovernor, {"host_use": [[0, GIB]], "shrink_samples": 0}, ["shrink_samples", "host_use"]),
    (PsiGovernor, {"host_memory": GIB, "host_use": [[5, GIB], [5, 0]]}, ["host_use"]),
    (Scheduled, {"sizes": [["25:00", GIB]], "time_zone": "Mars", "begins": "now"}, ["sizes", "time_zone", "begins"]),
    (Scheduled, {"sizes": [["06:00", 0]]}, ["sizes"]),
    (Scheduled, {"sizes": [["06:00", MIB]]}, ["sizes"]),
    (Scheduled, {"kind": "dimm", "sizes": [["06:00", 257 * GIB]]}, ["sizes"]),
    (Scheduled, {"kind": "dax", "step": 3 * GIB, "duration": 0}, ["sizes", "duration"]),
    (Scheduled, {"region": GIB}, ["region"]),
    (Watermark, {"step": 3 * MIB, "period": 0}, ["step", "period"]),
    (Watermark, {"low": GIB, "target": GIB}, ["target"]),
    (Watermark, {"minimum": 2 * GIB, "maximum": GIB}, ["maximum"]),
    (Watermark, {"low": GIB, "high": GIB}, ["high"]),
    (Watermark, {"low": 0.15, "high": GIB, "target": MIB}, ["high", "target"]),
    (Watermark, {"preset": "proxmox", "high": 0.15}, ["high"]),
    (Watermark, {"preset": "proxmos"}, ["preset"]),
    (Watermark, {"region": GIB}, ["region"]),
]


@pytest.mark.parametrize(("cls", "arguments", "named"), WRONG, ids=range(len(WRONG)))
def test_faults_are_told_all_at_once(cls: type[Workload], arguments: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(ParameterError) as caught:
        cls(**arguments)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == named
    assert str(caught.value) == "\n".join(caught.value.faults)


def test_a_misspelt_word_is_answered_with_the_right_one() -> None:
    with pytest.raises(ParameterError, match="did you mean 'saw-tooth'"):
        VirtioMemResize(shape="sawtooth")


def test_errors_survive_the_way_between_processes() -> None:
    error = ParameterError(["a: is wrong", "b: is wrong"])
    assert pickle.loads(pickle.dumps(error)).faults == error.faults  # noqa: S301  made here
