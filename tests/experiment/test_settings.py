"""From what stands in the file to what a cell is made of, value by value."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from click.testing import CliRunner

from sim.cli.main import main
from sim.devices.specs import VirtioMemSpec
from sim.engine import simulate
from sim.experiment import build
from sim.experiment.effective_config import effective_tables
from sim.experiment.executors import InProcess
from sim.experiment.load import load
from sim.experiment.probe import probe
from sim.experiment.run import run
from sim.faults import InputError
from sim.incidents.runs import run_all
from sim.kernel.guest_link import GuestSpec
from sim.kernel.timing import Timing
from sim.machine.spec import ColdDimms, MachineSpec, NodeSpec
from sim.results.store import ResultStore
from sim.streams import Streams
from sim.units import GIB, MIB
from tests.experiment.examples import small
from workloads.dimm_slots import DimmSlots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sim.experiment.plan import Combination

TINY = {"name": "dimm-slots", "sizes": ["512MiB"], "interval": 30, "duration": 120}


def one(**changed: Any) -> Combination:  # noqa: ANN401  whatever TOML can hold
    """Return the first combination of an experiment with these changes."""
    return load(small(**changed)).combinations[0]


def faults(**changed: Any) -> list[str]:  # noqa: ANN401  whatever TOML can hold
    with pytest.raises(InputError) as caught:
        load(small(**changed))
    return [str(fault) for fault in caught.value.faults]


# What is made ---------------------------------------------------------------------------------------------------------


def test_every_key_of_a_machine_arrives_where_it_belongs() -> None:
    machine = {
        "label": "m",
        "nodes": [{"boot_memory": "4GiB"}, {"boot_memory": "2GiB"}, {"boot_memory": 0}],
        "block_size": "256MiB",
        "section_size": "0B",
        "kernel": "6.12",
        "kernelcore": "1GiB",
        "movable_node": True,
        "cma": "64MiB",
        "swiotlb": "noforce",
        "crashkernel": "128MiB",
        "log_buf_len": "1MiB",
        "slots": 17,
        "cold_dimms": [{"size": "1GiB", "count": 3}, {"size": "128MiB", "node": 2}],
        "cold_devices": [{"id": "vm0", "kind": "virtio-mem", "max_size": "8GiB", "requested": "1GiB", "node": 1}],
        "max_memory": "80GiB",
        "memmap_on_memory": True,
        "bare_metal": True,
        "virtio_mem_driver": False,
    }
    found = one(machines=[machine]).machine.spec
    assert found == MachineSpec(
        nodes=(NodeSpec(4 * GIB), NodeSpec(2 * GIB), NodeSpec(0)),
        block_size=256 * MIB,
        section_size=128 * MIB,
        kernel="6.12",
        kernelcore=GIB,
        movable_node=True,
        cma=64 * MIB,
        swiotlb="noforce",
        crashkernel=128 * MIB,
        log_buf_len=MIB,
        slots=17,
        cold_dimms=(ColdDimms(GIB, 0, 3), ColdDimms(128 * MIB, 2, 1)),
        cold_devices=(VirtioMemSpec("vm0", 8 * GIB, 1, requested=GIB),),
        max_memory=80 * GIB,
        memmap_on_memory=True,
        bare_metal=True,
        virtio_mem_driver=False,
    )
    split = one(machines=[{"boot_memory": "4GiB", "movablecore": "512MiB"}]).machine.spec
    assert (split.nodes, split.movablecore) == ((NodeSpec(4 * GIB),), 512 * MIB)


def test_every_time_is_in_seconds_in_the_file_and_in_microseconds_in_a_run() -> None:
    names = [field.name for field in dataclasses.fields(Timing)]
    given = {name: (number + 1) / 8 for number, name in enumerate(names)}
    found = one(timing=given).timing
    assert dataclasses.asdict(found) == {name: 125_000 * (number + 1) for number, name in enumerate(names)}
    assert one(timing={"offline": 0.5}).timing == dataclasses.replace(Timing(), offline=500_000)
    assert one().timing == Timing()


def test_a_guest_has_its_parameters_and_its_period_of_samples() -> None:
    given = {"model": "linux", "sample_every": 2.5, "idle_use_bytes": "20MiB", "lowmem_reserve_ratio": [1, 2, 3]}
    found = build.guest(one(guest=given).guest)
    assert found is not None
    assert found.parameters == {"idle_use_bytes": 20 * MIB, "lowmem_reserve_ratio": (1, 2, 3)}
    assert found.sample_every == 2.5
    assert build.guest(one(guest={"model": "linux"}).guest) == GuestSpec()
    assert build.guest(one().guest) is None


def test_a_guest_is_sampled_as_often_as_the_file_says(tmp_path: Path) -> None:
    tables = small(
        workloads=[TINY], policies=[{"name": "headroom"}], replications=1, guest={"model": "linux", "sample_every": 50}
    )
    report = run(load(tables), tmp_path, workers=InProcess())
    store = ResultStore(report.folder)
    samples = store.result(store.runs()["cell"][0]).guest["t_us"].tolist()
    assert [at for at in (0, 50_000_000, 100_000_000, 120_000_000) if at not in samples] == []
    assert not {1_000_000, 25_000_000, 60_000_000} & set(samples)


def test_devices_of_a_composition_have_the_label_of_their_part() -> None:
    parts = [TINY | {"label": "d"}, {"name": "virtio-mem-resize", "duration": 60}]
    cell = one(workloads=[{"label": "mix", "together": parts}])
    workload = build.workload(cell.workload, load(small()).folder)
    result = simulate(cell.machine.spec, build.policy(cell.policy, load(small()).folder), workload, Streams(1, 0))
    assert {name.partition("/")[0] for name in result.device_names} == {"d", "virtio-mem-resize"}


@pytest.mark.parametrize("name", ["watermark_scale_factor", "thp_pageblocks_per_zone"])
def test_a_guest_has_no_negative_numbers(name: str) -> None:
    assert faults(guest={"model": "linux", name: -1}) == [f"guest.{name}: must not be negative, but is -1"]
    assert one(guest={"model": "linux", name: 0}).guest.parameters == {name: 0}


class Seen(Exception):  # noqa: N818  what simulate was asked is all that is wanted
    pass


def asked(call: Callable[[], object], patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what ``call`` gives to every simulation, which fails at once; streams by numbers that they draw."""
    found: list[dict[str, Any]] = []

    def simulate(machine: object, policy: object, workload: object, streams: Streams, **rest: object) -> None:
        drawn = streams("x").integers(1 << 40, size=2).tolist()
        given = {name: value for name, value in vars(policy).items() if not name.startswith("_")}
        found.append({"machine": machine, "policy": given, "workload": type(workload), "drawn": drawn, **rest})
        raise Seen

    patch.setattr("sim.engine.simulate", simulate)
    with contextlib.suppress(Seen):
        call()
    return found


def test_all_of_a_cell_reaches_its_simulation_whoever_runs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To run it, to run an incident's, to estimate the time, and to explain decisions."""
    tables = small(
        policies=[{"name": "auto-movable", "ratio": 77}],
        workloads=[TINY],
        timing={"offline": 0.25},
        guest={"model": "linux", "sample_every": 3},
        replications=5,
    )
    (tmp_path / "e.toml").write_text(tomli_w.dumps(tables))
    experiment = load(tables).only((3,))

    def explain() -> None:
        arguments = ["explain", str(tmp_path / "e.toml"), "--replication", "3"]
        assert "Seen" in CliRunner().invoke(main, arguments).stderr

    callers: tuple[Callable[[], object], ...] = (
        lambda: run(experiment, tmp_path, workers=InProcess()),
        lambda: run_all(experiment),
        lambda: probe(experiment, InProcess()),
        explain,
    )
    for call in callers:
        (found,) = asked(call, monkeypatch)
        found.pop("log", None)
        assert found == {
            "machine": MachineSpec((NodeSpec(GIB),)),
            "policy": {"ratio": 77, "numa_aware": True},
            "workload": DimmSlots,
            "drawn": Streams(7, 3)("x").integers(1 << 40, size=2).tolist(),
            "timing": dataclasses.replace(Timing(), offline=250_000),
            "guest": GuestSpec({}, 3.0),
            "rivals": [],
        }


def test_every_replication_has_other_traffic_and_no_policy_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(**changed: Any) -> list[list[int]]:  # noqa: ANN401  whatever TOML can hold
        experiment = load(small(workloads=[TINY], **changed))
        found = asked(lambda: run(experiment, tmp_path, workers=InProcess(), force=True), monkeypatch)
        return [each["drawn"] for each in found]

    first, other, second, same = drawn()
    assert (first, second) == (other, same)
    assert first != second
    assert second == Streams(7, 1)("x").integers(1 << 40, size=2).tolist()
    assert not {tuple(each) for each in drawn(seed=8)} & {tuple(first), tuple(second)}


# What is combined -----------------------------------------------------------------------------------------------------


def test_a_workload_needs_no_more_nodes_than_there_are() -> None:
    two = [{"label": "two", "nodes": [{"boot_memory": "1GiB"}, {"boot_memory": 0}]}]
    assert faults(machines=two, workloads=[TINY | {"nodes": [0, 2]}]) == [
        "workloads[0]: uses node 2, but machine 'two' has nodes 0 to 1"
    ]
    assert len(load(small(machines=two, workloads=[TINY | {"nodes": [1]}])).combinations) == 2


def test_a_workload_needs_the_kernel_that_has_what_it_asks_for(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("t_s,op,device,kind,size_bytes,state\n0,plug,x,dax,1GiB,\n1,state,x,,,unplugged\n")
    asks = {"name": "request-replay", "path": str(log), "label": "states"}
    old = [{"label": "old", "boot_memory": "1GiB", "kernel": "6.12"}]
    says = "workloads[0]: asks for what Linux has from 7.3 on, but machine 'old' runs 6.12"
    assert faults(machines=old, workloads=[asks]) == [says]
    assert faults(machines=old, workloads=[{"together": [TINY, asks]}]) == [says]
    new = [{"label": "new", "boot_memory": "1GiB", "kernel": "7.3"}]
    assert len(load(small(machines=new, workloads=[{"together": [TINY, asks]}])).combinations) == 2


def test_without_a_word_the_first_policy_is_the_baseline() -> None:
    assert load(small()).baseline == "contig-zones"
    assert load(small(baseline="auto-movable")).baseline == "auto-movable"


def test_labels_are_made_of_what_is_written() -> None:
    machines = [{"nodes": [{"boot_memory": "1GiB"}, {"boot_memory": "512MiB"}]}, {"boot_memory": "1536MiB"}]
    assert load(small(machines=machines)).machines == ["1GiB+512MiB", "1536MiB"]
    policies = {"auto-movable": {"ratio": [50, 60], "numa_aware": [True, False]}}
    assert load(small(sweep=[{"zip": {"policies": policies}}])).policies == [
        "contig-zones",
        "auto-movable, ratio 50, numa_aware true",
        "auto-movable, ratio 60, numa_aware false",
    ]


@pytest.mark.parametrize(("length", "kept"), [(90, 90), (91, 91), (92, 100)])
def test_a_label_that_gets_too_long_is_cut(length: int, kept: int) -> None:
    """With ", ratio 7" behind it, nine characters."""
    label = "x" * length
    policies = [{"name": "auto-movable", "label": label}]
    (found,) = load(small(policies=policies, sweep=[{"product": {"policies": {label: {"ratio": [7]}}}}])).policies
    whole = f"{label}, ratio 7"
    assert len(found) == (kept + 9 if length < 92 else 100)
    assert found == whole if length < 92 else found.startswith(f"{whole[:91]}...")


def test_values_that_differ_only_in_what_no_label_may_hold_are_told_apart(tmp_path: Path) -> None:
    paths = ["a/b.csv", "a-b.csv"]
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("t_s,op,device,kind,size_bytes\n0,plug,d,dimm,1GiB\n")
    tried = [str(tmp_path / path) for path in paths]
    workloads = [{"label": "w", "name": "request-replay", "path": tried[0]}]
    sweep = [{"product": {"workloads": {"w": {"path": tried}}}}]
    found = load(small(workloads=workloads, sweep=sweep)).workloads
    assert len(set(found)) == 2


def test_values_that_begin_alike_are_told_apart_however_long() -> None:
    many = [{"size": "128MiB", "count": 1}] * 12
    tried = [[*many, {"size": "256MiB"}], [*many, {"size": "512MiB"}], [{"size": "1GiB", "count": 2}], []]
    machines = [{"label": "vm", "boot_memory": "1GiB"}]
    found = load(small(machines=machines, sweep=[{"product": {"machines": {"vm": {"cold_dimms": tried}}}}])).machines
    assert found[2:] == ["vm, cold_dimms size 1GiB count 2", "vm, cold_dimms none"]
    assert len(set(found)) == 4
    assert {label[:91] for label in found[:2]} == {
        "vm, cold_dimms size 128MiB count 1+size 128MiB count 1+size 128MiB count 1+size 128MiB count 1"[:91]
    }


def test_factors_are_what_was_meant_and_not_how_it_is_written() -> None:
    def factors(**swept: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401  whatever TOML can hold
        policies = [{"name": "headroom"}]
        mix = {"label": "mix", "together": [TINY | {"label": "d"}]}
        experiment = load(small(policies=policies, workloads=[mix], sweep=[{"product": swept}]))
        return [combination.factors for combination in experiment.combinations]

    assert factors(policies={"headroom": {"reserve": ["1MiB", 4096]}}) == [
        {"policy.reserve": MIB},
        {"policy.reserve": 4096},
    ]
    assert factors(machines={"vm": {"cma": ["64MiB"]}}) == [{"machine.cma": 64 * MIB}]
    assert factors(machines={"vm": {"boot_memory": ["3GiB"]}}) == [{"machine.boot_memory": 3 * GIB}]
    assert factors(workloads={"mix": {"d": {"sizes": [["1GiB"]], "slots": [3]}}}) == [
        {"workload.d.sizes": [GIB], "workload.d.slots": 3}
    ]
    assert factors(timing={"offline": [0.25, 1]}) == [{"timing.offline": 0.25}, {"timing.offline": 1}]
    guest = load(
        small(
            policies=[{"name": "headroom"}],
            workloads=[TINY],
            guest={"model": "linux"},
            sweep=[{"product": {"guest": {"idle_use_bytes": ["1MiB"]}}}],
        )
    )
    assert [combination.factors for combination in guest.combinations] == [{"guest.idle_use_bytes": MIB}]


def test_factors_are_columns_of_the_table_each_with_its_own_value(tmp_path: Path) -> None:
    swept = {"product": {"policies": {"auto-movable": {"ratio": [50, 60], "numa_aware": [True, False]}}}}
    report = run(load(small(workloads=[TINY], replications=1, sweep=[swept])), tmp_path, workers=InProcess())
    runs = ResultStore(report.folder).runs()
    assert json.loads(runs[["policy.ratio", "policy.numa_aware"]].to_json(orient="values")) == [
        [50, False],
        [50, True],
        [60, False],
        [60, True],
        [None, None],
    ]


# What is written down -------------------------------------------------------------------------------------------------


def test_the_written_experiment_has_every_key_of_the_file_and_the_defaults() -> None:
    published = {"source": "a list", "outcome": "it failed", "figures": {"gib": 3.5}}
    experiment = load(
        small(description="why", replications=5, cell_timeout=9, timing={"offline": 0.5}, published=published)
    )
    for written in (effective_tables(experiment), effective_tables(experiment.only((7,)))):
        assert (written["name"], written["description"], written["seed"]) == ("experiment", "why", 7)
        assert (written["replications"], written["baseline"], written["cell_timeout"]) == (5, "contig-zones", 9)
        assert (written["timing"]["offline"], written["timing"]["retry_most"]) == (0.5, 300.0)
        assert written["timing"].keys() == {"profile", *(field.name for field in dataclasses.fields(Timing))}
        assert written["published"] == published
        assert written["guest"] == {"model": "none", "sample_every": 0.0, "draw": False}
        assert written["policies"] == [
            {"name": "contig-zones", "label": "contig-zones", "movable_node": False},
            {"name": "auto-movable", "label": "auto-movable", "ratio": 301, "numa_aware": True},
        ]
        (machine,) = written["machines"]
        assert machine == {
            "label": "vm",
            "boot_memory": "1GiB",
            "page_size": "4KiB",
            "block_size": "0B",
            "section_size": "0B",
            "kernel": "6.1",
            "kernelcore": "0B",
            "kernelcore_percent": 0,
            "movablecore": "0B",
            "movablecore_percent": 0,
            "movable_node": False,
            "cma": "0B",
            "cma_base": "0B",
            "cma_limit": "0B",
            "crashkernel": "0B",
            "log_buf_len": "0B",
            "mem": "0B",
            "soft_reserved": [],
            "reserved": [],
            "zone_dma": True,
            "slots": 256,
            "cold_dimms": [],
            "cold_devices": [],
            "max_ram_below_4g": "0B",
            "firmware_pages": 0,
            "memmap_on_memory": False,
            "virtio_mem_driver": True,
            "virtio_mem_unplug_online": True,
            "virtio_mem_force_bbm": False,
            "virtio_mem_bbm_block_size": "0B",
            "bare_metal": False,
        }
