from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from sim.experiment.effective_config import effective_tables
from sim.experiment.json_schema import experiment_schema
from sim.experiment.load import load
from tests.experiment.examples import small
from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

jsonschema = pytest.importorskip("jsonschema")
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.toml"))


@pytest.fixture(scope="module")
def validator() -> Any:  # noqa: ANN401  a validator of a library without types
    schema = experiment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=[path.stem for path in EXPERIMENTS])
def test_every_shipped_experiment_fits_the_schema(path: Path, validator: Any) -> None:  # noqa: ANN401
    validator.validate(tomllib.loads(path.read_text()))


def test_an_effective_experiment_fits_the_schema(validator: Any) -> None:  # noqa: ANN401
    tables = small(
        guest={"model": "linux", "regrow_keep_share": 0.5, "preset": "kata", "as": {"mem_total": "1000MiB", "used": 0}},
        timing={"offline": 0.1, "profile": "qemu-bare"},
        workloads=[{"label": "m", "together": [{"name": "dimm-slots"}, {"name": "random-mix"}]}],
    )

    validator.validate(effective_tables(load(tables)))


@pytest.mark.parametrize(
    "changed",
    [
        {"sed": 1},
        {"seed": -1},
        {"replications": 0},
        {"machines": []},
        {"machines": [{"boot_memory": "4 bananas"}]},
        {"machines": [{"boot_memory": "4GiB", "colour": "red"}]},
        {"policies": [{"name": "auto-movable", "rato": 3}]},
        {"policies": [{"name": "auto-movable", "ratio": "3"}]},
        {"policies": [{"name": "no-such-policy"}]},
        {"workloads": [{"name": "dimm-slots", "together": [{"name": "dimm-slots"}]}]},
        {"workloads": [{"label": "nameless"}]},
        {"guest": {"model": "linux", "regrow_keep_shar": 0.5}},
        {"guest": {"model": "linux", "preset": "qata"}},
        {"guest": {"model": "linux", "as": {"mem_total": "1GiB"}}},
        {"timing": {"profile": "bare"}},
        {"timing": {"offlin": 0.5}},
    ],
)
def test_what_the_program_refuses_the_schema_refuses(changed: dict[str, Any], validator: Any) -> None:  # noqa: ANN401
    assert not validator.is_valid(small(**changed))


def test_a_plug_in_in_a_file_may_have_any_parameter(validator: Any) -> None:  # noqa: ANN401
    assert validator.is_valid(small(policies=[{"name": "my/policy.py:Mine", "anything": 3}]))
