from __future__ import annotations

from typing import Any

import pytest

from sim.experiment.load import load
from sim.experiment.settings import TogetherSettings
from sim.faults import InputError
from tests.experiment.examples import small


def combinations(*sweeps: dict[str, Any], **changed: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401
    experiment = load(small(sweep=list(sweeps), **changed))
    return [(cell.machine.label, cell.policy.label, cell.workload.label) for cell in experiment.combinations]


def faults(*sweeps: dict[str, Any], **changed: Any) -> list[str]:  # noqa: ANN401
    with pytest.raises(InputError) as caught:
        combinations(*sweeps, **changed)
    return [str(fault) for fault in caught.value.faults]


def test_a_product_tries_every_value_where_it_matters_and_nothing_twice() -> None:
    tried = combinations({"product": {"policies": {"auto-movable": {"ratio": [50, 100, 301]}}}})

    assert {policy for _, policy, _ in tried} == {
        "contig-zones", "auto-movable, ratio 50", "auto-movable, ratio 100", "auto-movable, ratio 301",
    }  # fmt: skip
    assert len(tried) == len(set(tried)) == 4 * 2


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([50, 100, 50], "sweep[0].product.policies.auto-movable.ratio[2]: 50 is tried already, by {0}[0]"),
        ([7, 7, 7], "sweep[0].product.policies.auto-movable.ratio[1]: 7 is tried already, by {0}[0]"),
    ],
)
def test_a_value_that_is_tried_already_is_named(values: list[float], told: str) -> None:
    found = faults({"product": {"policies": {"auto-movable": {"ratio": values, "numa_aware": [True, False]}}}})
    assert found[0] == f"{told.format('sweep[0].product.policies.auto-movable.ratio')}; leave one out"
    assert len(found) == len(values) - len(set(values))


def test_values_are_the_same_however_they_are_written() -> None:
    key = "sweep[0].product.machines.vm.boot_memory"
    assert faults({"product": {"machines": {"vm": {"boot_memory": ["1GiB", "2GiB", "1024MiB"]}}}}) == [
        f"{key}[2]: '1024MiB' is tried already, by {key}[0]; leave one out"
    ]


def test_points_and_pairs_are_tried_once_and_may_share_values() -> None:
    ratio = "policies.auto-movable.ratio"
    points = [{"policies": {"auto-movable": {"ratio": each, "numa_aware": True}}} for each in (50, 100, 50)]
    assert faults({"points": points}) == [
        f"sweep[0].points[2].{ratio}: 50 is tried already, by sweep[0].points[0].{ratio}; leave one out"
    ]
    pairs = {"ratio": [50, 50, 100, 50], "numa_aware": [True, False, True, False]}
    assert faults({"zip": {"policies": {"auto-movable": pairs}}}) == [
        f"sweep[0].zip.{ratio}[3]: 50 is tried already, by sweep[0].zip.{ratio}[1]; leave one out"
    ]
    timing: dict[str, Any] = {"product": {"timing": {"offline": [0.1, 0.2, 0.1]}}}
    guest: dict[str, Any] = {"product": {"guest": {"idle_use_bytes": [0, 0]}}}
    assert [each.partition(":")[0] for each in faults(timing, guest, guest={"model": "linux"})] == [
        "sweep[0].product.timing.offline[2]",
        "sweep[1].product.guest.idle_use_bytes[1]",
    ]


def test_keys_of_one_product_multiply() -> None:
    tried = combinations({"product": {"policies": {"auto-movable": {"ratio": [50, 100], "numa_aware": [True, False]}}}})

    assert len(tried) == (1 + 4) * 2
    assert ("vm", "auto-movable, ratio 50, numa_aware false", "sail") in tried


def test_zipped_lists_go_side_by_side() -> None:
    tried = combinations(
        {"zip": {"machines": {"vm": {"boot_memory": ["1GiB", "2GiB"]}}, "workloads": {"dimms": {"slots": [2, 8]}}}}
    )

    assert ("vm, boot_memory 1GiB", "contig-zones", "dimms, slots 2") in tried
    assert ("vm, boot_memory 2GiB", "contig-zones", "dimms, slots 8") in tried
    assert ("vm, boot_memory 1GiB", "contig-zones", "dimms, slots 8") not in tried
    assert len(tried) == 2 * 2 * 2


def test_explicit_points() -> None:
    tried = combinations(
        {
            "points": [
                {"policies": {"auto-movable": {"ratio": 50}}},
                {
                    "policies": {"auto-movable": {"ratio": 100, "numa_aware": False}},
                    "machines": {"vm": {"cma": "64MiB"}},
                },
            ]
        }
    )

    assert len(tried) == 2 * 2 * 2
    assert ("vm, cma 64MiB", "auto-movable, ratio 100, numa_aware false", "sail") in tried
    assert ("vm", "auto-movable, ratio 50", "sail") in tried


def test_several_sweeps_multiply() -> None:
    tried = combinations(
        {"product": {"policies": {"auto-movable": {"ratio": [50, 100]}}}},
        {"product": {"machines": {"vm": {"boot_memory": ["1GiB", "2GiB", "4GiB"]}}}},
    )

    assert len(tried) == 3 * (1 + 2) * 2


def test_a_part_of_a_composition_and_the_timing_can_be_swept() -> None:
    workloads = [{"label": "mix", "together": [{"name": "dimm-slots", "label": "d"}, {"name": "random-mix"}]}]
    experiment = load(
        small(
            workloads=workloads,
            sweep=[{"product": {"workloads": {"mix": {"d": {"slots": [2, 3]}}}, "timing": {"offline": [0.001, 0.01]}}}],
        )
    )

    assert len(experiment.combinations) == 2 * 2 * 2
    assert experiment.workloads == ["mix, d slots 2", "mix, d slots 3"]
    assert experiment.machines == ["vm, timing offline 0.001", "vm, timing offline 0.01"]
    assert {cell.timing.offline for cell in experiment.combinations} == {1_000, 10_000}
    mixes = [cell.workload for cell in experiment.combinations]
    assert {mix.together[0].parameters["slots"] for mix in mixes if isinstance(mix, TogetherSettings)} == {2, 3}


def test_factors_are_in_plain_units() -> None:
    experiment = load(
        small(
            sweep=[
                {"product": {"machines": {"vm": {"boot_memory": ["1GiB", "2GiB"]}}}},
                {
                    "product": {
                        "policies": {"auto-movable": {"ratio": [50]}},
                        "workloads": {"dimms": {"interval": [10]}},
                    }
                },
            ]
        )
    )

    found = [
        cell.factors for cell in experiment.combinations if cell.factors.keys() >= {"policy.ratio", "workload.interval"}
    ]
    assert {"machine.boot_memory": 1 << 30, "policy.ratio": 50, "workload.interval": 10.0} in found


def test_a_parameter_that_is_only_given_by_a_sweep_is_not_missing() -> None:
    experiment = load(
        small(
            workloads=[{"name": "request-replay"}],
            sweep=[{"product": {"workloads": {"request-replay": {"log": ["sail-2026", "neonvm-pr705"]}}}}],
        )
    )

    assert experiment.workloads == ["request-replay, log sail-2026", "request-replay, log neonvm-pr705"]


@pytest.mark.parametrize(
    ("sweep", "fault"),
    [
        ({}, "sweep[0]: needs one of product, zip and points"),
        ({"product": {}, "zip": {}}, "sweep[0]: has product and zip; keep one"),
        (
            {"product": {"policys": {}}},
            (
                "sweep[0].product.policys: unknown section 'policys'; did you mean 'policies'?"
                " Valid: guest, machines, policies, timing, workloads"
            ),
        ),
        (
            {"product": {"policies": {"auto": {"ratio": [1]}}}},
            ("sweep[0].product.policies.auto: unknown label of policies 'auto'. Valid: auto-movable, contig-zones"),
        ),
        (
            {"product": {"policies": {"auto-movable": {"ratio": 5}}}},
            "sweep[0].product.policies.auto-movable.ratio: 5 is not a list of values to try",
        ),
        (
            {"product": {"policies": {"auto-movable": {"ratio": []}}}},
            "sweep[0].product.policies.auto-movable.ratio: a list of 0 is not a list of values to try",
        ),
        (
            {"product": {"policies": {"auto-movable": {"ratio": [1, "x"]}}}},
            "sweep[0].product.policies.auto-movable.ratio[1]: 'x' is not a whole number",
        ),
        (
            {"product": {"policies": {"auto-movable": {"rato": [1]}}}},
            (
                "sweep[0].product.policies.auto-movable.rato[0]: unknown parameter of auto-movable"
                " 'rato'; did you mean 'ratio'? Valid: numa_aware, ratio"
            ),
        ),
        (
            {"product": {"policies": {"auto-movable": {"name": ["offline"]}}}},
            "sweep[0].product.policies.auto-movable.name: name cannot be swept or set",
        ),
        (
            {"product": {"machines": {"vm": {"boot_memory": ["-1GiB"]}}}},
            (
                "sweep[0].product.machines.vm.boot_memory[0]: '-1GiB' is not a size:"
                " write a number of bytes or a string such as '512MiB' or '4GiB'"
            ),
        ),
        (
            {"zip": {"policies": {"auto-movable": {"ratio": [1, 2], "numa_aware": [True]}}}},
            "sweep[0].zip: has lists of different lengths: 1, 2",
        ),
        ({"points": 5}, "sweep[0].points: 5 is not a list"),
        ({"points": [{"timing": 5}]}, "sweep[0].points[0].timing: 5 is not a table"),
        (
            {"points": [{"timing": {"offline": -1}}]},
            "sweep[0].points[0].timing.offline: a time cannot be negative, but is -1",
        ),
    ],
)
def test_a_fault_in_a_sweep_is_told_with_its_key(sweep: dict[str, Any], fault: str) -> None:
    assert fault in faults(sweep)


def test_the_same_key_cannot_be_swept_twice() -> None:
    sweep = {"product": {"policies": {"auto-movable": {"ratio": [1, 2]}}}}

    assert faults(sweep, sweep) == [
        "sweep[1].product.policies.auto-movable.ratio[1]: is swept already, by sweep[0]",
    ]
