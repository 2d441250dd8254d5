"""A workload at another pace asks for memory so many times as fast, and loads in the guest keep their times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.faults import Faults
from sim.plugins import lookup
from sim.plugins.lookup import WORKLOAD
from sim.units import MIB
from tests.workloads.fake_host import FakeHost, calls, play
from workloads.grow_and_return import GrowAndReturn
from workloads.parts.conditions import KERNEL_GROWTH, UnderConditions
from workloads.parts.demand import KINDS
from workloads.request_replay import RequestReplay
from workloads.watermark import PRESETS

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.contract import Workload

SAID_OF = {
    "cxl-cards", "demand-trace", "dimm-controller", "dimm-slots", "grow-and-return", "hyperalloc", "neonvm",
    "psi-governor", "random-mix", "request-replay", "virtio-mem-resize", "watermark",
}  # fmt: skip
PLUG_NOTHING = {"guest-load", "guest-trace", "host-packing", "load-trace"}
NOT_SAID_OF = {"scheduled", "steps"}

GIVEN: dict[str, dict[str, Any]] = {
    "request-replay": {"log": "sail-2026"},
    "demand-trace": {"path": "trace.csv", "columns": {}},
}


def paced(name: str, times: float, **given: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:  # noqa: ANN401
    """Return the parameters of a workload as files give them, and those at another pace."""
    plugin = lookup.find(WORKLOAD, name)
    configured = {each.name: each.default for each in plugin.parameters} | given
    changed = plugin.cls.at_pace(configured, times)
    return configured, None if changed is None else dict(changed)


def test_every_workload_says_what_pace_means_or_that_it_cannot() -> None:
    assert set(lookup.names(WORKLOAD)) == SAID_OF | PLUG_NOTHING | NOT_SAID_OF


@pytest.mark.parametrize("name", sorted(SAID_OF))
def test_at_twice_the_pace_something_changes_and_back_again_nothing_is_left_of_it(name: str) -> None:
    before, after = paced(name, 2.0, **GIVEN.get(name, {}))
    assert after is not None
    assert after != before
    assert after.keys() == before.keys()
    _, again = paced(name, 0.5, **after)
    # A preset's times are written out once they differ from it.
    presets = PRESETS["plain"] if name == "watermark" else {}
    assert again == {key: presets.get(key, value) if after[key] != value else value for key, value in before.items()}


@pytest.mark.parametrize("name", sorted(SAID_OF - GIVEN.keys() | {"request-replay"}))
@pytest.mark.parametrize("pace", [2.0, 0.5])
def test_the_parameters_at_another_pace_are_taken(name: str, pace: float) -> None:
    _, after = paced(name, pace, **GIVEN.get(name, {}))
    assert after is not None
    faults = Faults()
    given = {key: value for key, value in after.items() if value is not None}
    lookup.create(lookup.find(WORKLOAD, name), given, None, faults)  # type: ignore[arg-type]  # there are no paths
    assert not list(faults)


@pytest.mark.parametrize("name", sorted(PLUG_NOTHING))
def test_who_plugs_nothing_stays_as_it_is(name: str) -> None:
    before, after = paced(name, 2.0)
    assert after == before


@pytest.mark.parametrize("name", sorted(NOT_SAID_OF))
def test_of_some_it_cannot_be_said(name: str) -> None:
    assert paced(name, 2.0)[1] is None


def times(workload: Workload) -> list[tuple[int, str, str]]:
    return [(at, verb, name) for at, verb, name, _ in calls(workload)]


def test_a_guest_that_grows_is_plugged_twice_as_fast_and_loaded_as_before() -> None:
    given = {"size": 1024 * MIB, "pace": 16 * MIB, "user": 512 * MIB, "kernel": 64 * MIB}
    plainly = calls(GrowAndReturn(**given))  # type: ignore[arg-type]  # sizes all
    faster = calls(GrowAndReturn(**GrowAndReturn.at_pace({"pace": 16 * MIB, **given}, 2.0)))  # type: ignore[arg-type]
    plugs = [[at for at, verb, *_ in made if verb == "plug"] for made in (plainly, faster)]
    assert plugs == [[0, 16_000_000, 32_000_000, 48_000_000], [0, 8_000_000, 16_000_000, 24_000_000]]
    loads = [[call for call in made if call[1] == "set_demand"] for made in (plainly, faster)]
    assert loads[0] == loads[1]


def test_a_log_of_loads_and_devices_has_only_its_devices_at_other_times(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [
        "t_s,op,device,kind,size_bytes,max_bytes",
        "0,plug,v,virtio-mem,0,8589934592",
        "10,demand,p,anonymous,1073741824,",
        "20,resize,v,,1073741824,",
        "30,demand,p,anonymous,0,",
        "100,end,,,,",
    ]
    log.write_text("\n".join(rows) + "\n")
    plainly = RequestReplay(path=str(log))
    faster = RequestReplay(path=str(log), devices_speed=4.0)
    slower = RequestReplay(path=str(log), devices_speed=0.1)
    assert times(plainly) == [
        (0, "plug", "v"),
        (10_000_000, "set_demand", "p"),
        (20_000_000, "resize", "v"),
        (30_000_000, "set_demand", "p"),
    ]
    assert times(faster) == [
        (0, "plug", "v"),
        (5_000_000, "resize", "v"),
        (10_000_000, "set_demand", "p"),
        (30_000_000, "set_demand", "p"),
    ]
    assert times(slower)[-1] == (200_000_000, "resize", "v")
    assert (plainly.duration(), faster.duration(), slower.duration()) == (100, 100, 200)


class Asks(GrowAndReturn):
    """Sets a load of each kind, and tells what it would use if it could."""

    def run(self, host: Any, streams: Any) -> Any:  # noqa: ANN401  as the contract has them
        """Set all of them at once."""
        del streams
        for kind in KINDS:
            host.set_demand(kind, kind, 1000, wanted=2000)
        yield host.env.timeout(1)


def test_only_kernel_memory_grows_twice_as_large() -> None:
    host, _ = play(UnderConditions(Asks(), kernel=2.0))
    amounts = {name: what[1] for _, verb, name, what in host.calls if verb == "set_demand" and isinstance(what, tuple)}
    wanted = {name: amount for _, name, amount in host.wanted}
    assert amounts == {kind: 2000 if kind in KERNEL_GROWTH else 1000 for kind in KINDS}
    assert wanted == {kind: 4000 if kind in KERNEL_GROWTH else 2000 for kind in KINDS}
    assert {"anonymous", "page-cache", "tmpfs", "written-files"} & KERNEL_GROWTH == set()


def test_half_of_what_is_free_after_boot_is_the_kernels_before_anything_else_happens() -> None:
    host, _ = play(UnderConditions(Asks(), boot=0.5))
    assert host.calls[0] == (0, "set_demand", "taken-at-boot", ("kernel", 512 << 20))
    assert [name for _, _, name, _ in host.calls[1:]] == list(KINDS)


def test_without_a_guest_nothing_is_taken_at_boot() -> None:
    class Nobody(FakeHost):
        def mem_available(self) -> int | None:
            return None

    import simpy

    from sim.streams import Streams

    host = Nobody(simpy.Environment())
    list(zip(range(1), UnderConditions(Asks(), boot=0.5).run(host, Streams(1, 0)), strict=False))
    assert all(name != "taken-at-boot" for _, _, name, _ in host.calls)


def test_what_is_said_of_the_workload_stays_true_under_conditions() -> None:
    inside = GrowAndReturn()
    under = UnderConditions(inside, kernel=3.0)
    assert (under.name, under.duration(), under.needs_dimms(), under.ends_run) == (
        inside.name,
        inside.duration(),
        True,
        False,
    )
    assert list(under.node_capacity()) == [0]
    assert UnderConditions(RequestReplay(log="sail-2026")).ends_run
