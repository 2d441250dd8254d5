from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sim.experiment.guest_settings import parameter_types
from sim.experiment.load import load
from sim.experiment.schema import ExperimentTable
from sim.faults import InputError, shown
from sim.plugins import lookup
from tests.experiment.examples import BAD_POLICIES, small
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

QUICKSTART = ROOT / "experiments" / "quickstart.toml"
HYPERALLOC = f"{ROOT / 'workloads' / 'hyperalloc.py'}:HyperAlloc"


def faults(source: Any, folder: Path | None = None) -> list[str]:  # noqa: ANN401  a file or a dict
    with pytest.raises(InputError) as caught:
        load(source, folder=folder)
    return [str(fault) for fault in caught.value.faults]


def test_the_quickstart_is_valid() -> None:
    experiment = load(QUICKSTART)

    assert experiment.name == "quickstart"
    assert experiment.baseline == "all KERNEL"
    assert len(experiment) == 4 * 4 * 20
    assert experiment.workloads == ["DIMMs", "virtio-mem", "neonvm-pr705", "sail-2026"]


def test_a_dict_is_as_good_as_a_file() -> None:
    experiment = load(small())

    assert (experiment.name, len(experiment)) == ("experiment", 8)
    assert experiment.policies == ["contig-zones", "auto-movable"]


def test_five_faults_are_five() -> None:
    """A wrong word, a wrong number, an unknown key, an unknown name, a missing one: each told, with its key."""
    assert faults(
        small(
            sed=1,
            machines=[{"label": "vm", "boot_memory": "1 banana"}],
            policies=[{"name": "auto-movable", "ratio": -5}, {"name": "auto-movabel"}],
            workloads=[{"label": "nameless"}],
        )
    ) == [
        f"sed: unknown key 'sed'; did you mean 'seed'? Valid: {', '.join(sorted(ExperimentTable.model_fields))}",
        (
            "machines[0].boot_memory: '1 banana' is not a size:"
            " write a number of bytes or a string such as '512MiB' or '4GiB'"
        ),
        "policies[0].ratio: must be from 0 to 4294967295, but is -5",
        (
            "policies[1].name: unknown policy 'auto-movabel'; did you mean 'auto-movable'?"
            f" Valid: {', '.join(lookup.names(lookup.POLICY))}; or path/to/file.py:Class"
        ),
        "workloads[0]: needs a name (of one workload) or together (several on one guest)",
    ]


CJK = "\u6f22" * 101


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"seed": -1}, "seed: -1 is not between 0 and 9223372036854775807"),
        ({"seed": 1.5}, "seed: 1.5 is not a whole number"),
        ({"seed": True}, "seed: true is not a whole number"),
        ({"replications": 0}, "replications: 0 is not between 1 and 100000, nor 'all'"),
        ({"cell_timeout": 0}, "cell_timeout: must be more than 0 seconds"),
        ({"cell_timeout": float("nan")}, "cell_timeout: nan is not a finite number; write a number of seconds"),
        (
            {"baseline": "contig"},
            "baseline: unknown policy 'contig'; did you mean 'contig-zones'? Valid: auto-movable, contig-zones",
        ),
        ({"name": "../up"}, "name: '../up' is not a label: it must not hold /"),
        ({"name": ".."}, "name: '..' is not a label: it consists of dots"),
        (
            {"policies": [{"name": "contig-zones", "label": CJK}]},
            f"policies[0].label: {shown(CJK)} is not a label: 1 to 100 characters, no blanks at either end",
        ),
        ({"machines": []}, "machines: is empty; at least one is needed"),
        ({"machines": 3}, "machines: 3 is not a list"),
        ({"machines": [3]}, "machines[0]: 3 is not a table"),
        ({"machines": [{}]}, "machines[0]: needs boot_memory (for one node) or nodes"),
        (
            {"machines": [{"boot_memory": "1GiB", "nodes": [{"boot_memory": 4096}]}]},
            "machines[0]: has both boot_memory and nodes; keep one",
        ),
        (
            {"machines": [{"boot_memory": 5000}]},
            (
                "machines[0].boot_memory: 5000 bytes are not a number of whole pages of 4KiB;"
                " the nearest are 4KiB and 8KiB"
            ),
        ),
        (
            {"machines": [{"nodes": [{"boot_memory": "1GiB"}, {"boot_memory": 1}]}]},
            "machines[0].nodes[1].boot_memory: 1 bytes are not a number of whole pages of 4KiB; the nearest is 4KiB",
        ),
        (
            {"machines": [{"boot_memory": "1GiB", "memmap_on_memory": 1}]},
            "machines[0].memmap_on_memory: 1 is none of true, false and 'force'",
        ),
        (
            {"policies": [{"name": "offline"}, {"name": "offline"}]},
            "policies[1].label: 'offline' is taken by policies[0]; give this one a label of its own",
        ),
        (
            {"policies": [{"label": "x"}]},
            "policies[0].name: is missing: Name of a policy (memhp-sim policies lists them), or path/to/file.py:Class.",
        ),
        (
            {"workloads": [{"name": "request-replay", "path": "no.csv"}]},
            "workloads[0].path: {folder}/no.csv cannot be read: No such file or directory",
        ),
        (
            {"workloads": [{"name": "dimm-slots", "machines": ["wm"]}]},
            "workloads[0].machines[0]: unknown machine 'wm'. Valid: vm",
        ),
        (
            {"workloads": [{"name": "dimm-slots", "nodes": [0, 2]}]},
            "workloads[0]: uses node 2, but machine 'vm' has node 0 only",
        ),
        (
            {"workloads": [{"name": "dimm-slots", "machines": 5}], "policies": [{"name": "offline"}]},
            "workloads[0].machines: 5 is not a list",
        ),
        ({"workloads": [{"together": []}]}, "workloads[0].together: is empty; at least one is needed"),
        (
            {"workloads": [{"together": [{"name": "dimm-slots"}], "slots": 3}]},
            "workloads[0].slots: belongs into one of the tables of together",
        ),
        (
            {"workloads": [{"together": [{"name": "dimm-slots"}, {"name": "dimm-slots"}]}]},
            "workloads[0].together[1].label: 'dimm-slots' is taken; give this part a label of its own",
        ),
        (
            {"workloads": [{"name": HYPERALLOC}]},
            "workloads[0]: has no end of its own: give it a duration, or put it together with a workload that has one",
        ),
        (
            {"workloads": [{"together": [{"name": HYPERALLOC}]}]},
            "workloads[0].together: no part has an end of its own: give one a duration, or add a workload that has one",
        ),
        (
            {"workloads": [{"together": [{"name": "dimm-slots", "slots": 0}]}]},
            "workloads[0].together[0].slots: must be from 1 to 256, but is 0",
        ),
        (
            {"machines": [{"boot_memory": 4096}]},
            "machines[0].boot_memory: leaves no boot memory beside what firmware keeps; a kernel needs some to boot",
        ),
        ({"guest": {"preset": "kata"}}, 'guest.preset: needs model = "linux"'),
        ({"guest": {"as": {"mem_total": 2, "used": 1}}}, 'guest.as: needs model = "linux"'),
        ({"guest": {"draw": True}}, 'guest.draw: needs model = "linux"'),
        (
            {"guest": {"model": "linux", "preset": "qata"}},
            (
                "guest.preset: unknown preset 'qata'; did you mean 'kata'? Valid: cloud-hypervisor, debian-6.1,"
                " debian-6.12, debian-7.3, firecracker, kata"
            ),
        ),
        ({"guest": {"model": "linux", "as": {"used": 1}}}, "guest.as.mem_total: is missing: Total memory."),
        (
            {"guest": {"model": "linux", "as": {"mem_total": "2MiB", "used": 1, "total": 3}}},
            (
                "guest.as.total: unknown key of guest.as 'total'; did you mean 'mem_total'?"
                " Valid: boot_memory, mem_total, used"
            ),
        ),
        (
            {"guest": {"model": "linux", "as": {"mem_total": "2MiB", "used": "2MiB"}}},
            "guest.as.used: 2MiB are not less than mem_total (2MiB)",
        ),
        (
            {"guest": {"model": "linux", "as": {"mem_total": "1GiB", "used": "2MiB"}}},
            (
                "guest.as.mem_total: 1GiB are not what a guest with 1GiB can have: of that memmap and hash tables leave"
                " at most 1030132KiB; if it had more, say so in boot_memory"
            ),
        ),
        (
            {"timing": {"profile": "qemu"}},
            (
                "timing.profile: unknown profile 'qemu'; did you mean 'qemu-vfio'? Valid: neon, neonvm-pr705,"
                " qemu-bare, qemu-vfio, sail-2026"
            ),
        ),
        ({"guest": {"model": "real"}}, "guest.model: 'real' is not known; valid: 'none' or 'linux'"),
        ({"guest": {"regrow_keep_share": 0.5}}, 'guest.regrow_keep_share: needs model = "linux"'),
        (
            {"guest": {"model": "linux", "regrow_keep_shar": 1}},
            (
                "guest.regrow_keep_shar: unknown parameter of guest 'regrow_keep_shar';"
                " did you mean 'regrow_keep_share'?"
                f" Valid: {', '.join(sorted(parameter_types())[:40])} and {len(parameter_types()) - 40} more"
            ),
        ),
        (
            {"guest": {"model": "linux", "regrow_keep_share": 2}},
            "guest.regrow_keep_share: 2.0 must lie between 0 and 1",
        ),
        (
            {"guest": {"model": "linux", "idle_use_bytes": -1}},
            "guest.idle_use_bytes: a size cannot be negative, but is -1",
        ),
        (
            {"guest": {"model": "linux", "lowmem_reserve_ratio": [1, 2]}},
            "guest.lowmem_reserve_ratio: has 2 elements; 3 are needed ([int, int, int])",
        ),
        ({"timing": {"offline": "4ms"}}, "timing.offline: '4ms' is not a number; write a number of seconds"),
        ({"timing": 3}, "timing: 3 is not a table"),
    ],
)
def test_a_fault_is_told_with_its_key(changed: dict[str, Any], fault: str, tmp_path: Path) -> None:
    assert faults(small(**changed), tmp_path) == [fault.replace("{folder}", str(tmp_path))]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "machines: is missing"),
        (b"\xff\xfe\x00", "is not a text file: byte 0 is no UTF-8"),
        (b"a = ", "is not TOML: Invalid value (at end of document)"),
        (b"a = 1\na = 2\n", "is not TOML: Cannot overwrite a value (at line 2, column 6)"),
        (b"a = " + b"[" * 5000, "is nested too deeply"),
        (b"a = " + b"9" * 5000, "holds a value that cannot be read"),
        (b"seed = " + b"{ a = " * 25 + b"1" + b"}" * 25, "seed.a.a: is nested deeper than 20 levels"),
    ],
)
def test_a_file_that_is_no_experiment_says_so(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)

    assert any(fault.startswith(what) for fault in faults(path))


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    assert faults(tmp_path) == ["is a folder, not a file"]
    assert faults(tmp_path / "none.toml") == ["does not exist"]
    assert faults("/dev/zero") == ["is a character device, not a file"]
    assert faults("a\0b") == ["does not exist; memhp-sim experiments lists what is shipped"]


def test_a_dict_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["guest"] = endless

    assert faults({**small(), "guest": endless}) == ["guest.guest.guest: is nested deeper than 20 levels"]


def test_too_many_cells_are_a_slip() -> None:
    many = [{"product": {"policies": {"auto-movable": {"ratio": list(range(2000))}}}}] * 1
    more = [{"product": {"machines": {"vm": {"cma": [4096 * i for i in range(200)]}}}}]

    assert faults(small(sweep=[*many, *more])) == ["sweep: makes 1600000 combinations; at most 200000 can be run"]
    assert faults(small(replications=100_000, sweep=many))[0].startswith("replications: makes ")


def test_a_plug_in_in_a_file_beside_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(BAD_POLICIES)
    (tmp_path / "e.toml").write_text(
        """
        machines = [{ boot_memory = "1GiB" }]
        policies = [{ name = "my.py:Fine" }]
        workloads = [{ name = "dimm-slots" }]
        """
    )

    experiment = load(tmp_path / "e.toml")

    assert experiment.policies == ["Fine"]
    assert experiment.machines == ["1GiB"]


@pytest.mark.parametrize(
    ("workload", "dimms"),
    [
        ({"name": "dimm-slots"}, True),
        ({"name": "random-mix"}, True),
        ({"name": "random-mix", "dimms": 0, "dimm_share": 0}, False),
        ({"name": "grow-and-return"}, True),
        ({"name": "grow-and-return", "device": "virtio-mem"}, False),
        ({"name": "virtio-mem-resize"}, False),
        ({"name": "request-replay", "path": "log.csv"}, True),
        ({"label": "both", "together": [{"name": "guest-load"}, {"name": "dimm-slots"}]}, True),
        ({"name": "steps", "steps": ["plug dimm:1GiB"]}, True),
        ({"name": "steps", "steps": ["plug virtio-mem:1GiB"]}, False),
    ],
)
def test_a_machine_without_dimms_is_told_of_a_workload_that_plugs_them(
    workload: dict[str, Any], dimms: bool, tmp_path: Path  # noqa: FBT001
) -> None:  # fmt: skip
    (tmp_path / "log.csv").write_text("t_s,op,device,kind,size_bytes\n0,plug,d,dimm,1GiB\n")
    tables = small(machines=[{"boot_memory": "4GiB", "architecture": "s390x"}], workloads=[workload])
    if not dimms:
        assert len(load(tables, folder=tmp_path)) == 4
        return
    assert faults(tables, tmp_path) == [
        "workloads[0]: plugs DIMMs, but machine '4GiB' is s390x, where QEMU has none"
    ]  # fmt: skip
