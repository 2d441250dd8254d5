"""Values given beside an experiment file: where they go, what is refused, and what is kept of them."""

from __future__ import annotations

import contextlib
import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sim.api import run
from sim.cli.main import main
from sim.experiment.assignments import key_parts, value_of
from sim.experiment.load import load
from sim.faults import InputError
from sim.units import GIB, MIB
from tests.experiment.examples import small
from tests.experiment.test_recordings import written

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {"time": "t", "series": "vm", "user": {"column": "user", "unit": MIB}}


def composed(**changed: Any) -> dict[str, Any]:  # noqa: ANN401  whatever TOML can hold
    """Return an experiment with each kind of place that a key can name."""
    return {
        "name": "given",
        "machines": [{"label": "vm", "boot_memory": "1GiB"}, {"boot_memory": "2GiB"}],
        "policies": [{"name": "auto-movable"}, {"name": "online-kernel", "label": "all kernel"}],
        "workloads": [
            {"name": "dimm-slots", "slots": 4, "duration": 60},
            {
                "label": "both",
                "together": [{"name": "dimm-slots", "label": "slots", "duration": 60}, {"name": "steps"}],
            },
        ],
        "guest": {"model": "linux"},
        **changed,
    }


def faults(settings: dict[str, Any], tables: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(tables or composed(), settings=settings)
    return [str(fault) for fault in caught.value.faults]


def test_a_value_takes_the_place_of_what_stands_under_its_key() -> None:
    experiment = load(
        composed(workloads=composed()["workloads"][:1]),
        settings={
            "machines.vm.boot_memory": "4GiB",
            "machines.2GiB.kernelcore": "1GiB",
            "policies.auto-movable.ratio": 401,
            "workloads.dimm-slots.sizes": ["2GiB"],
            "guest.model": "none",
            "timing.offline": 2.5,
            "replications": 3,
            "seed": 9,
        },
    )
    first, last = experiment.combinations[0], experiment.combinations[-1]
    assert first.machine.spec.nodes[0].boot_memory == 4 * GIB
    assert last.machine.spec.kernelcore == GIB
    assert first.policy.parameters["ratio"] == 401
    assert first.workload.parameters["sizes"] == [2 * GIB]  # type: ignore[union-attr]  # of one workload
    assert (first.guest.model, first.timing.offline, experiment.seed) == ("none", 2_500_000, 9)
    assert experiment.replications == (0, 1, 2)


def test_what_a_recommendation_may_choose_from_is_set_and_checked_as_in_the_file() -> None:
    given = {"recommend.limits": ["nothing fails"], "recommend.search.auto-movable.ratio": [50, 100]}
    recommend = load(composed(), settings=given).recommend
    assert recommend.limits == ("nothing fails",)
    assert list(recommend.search) == ["auto-movable"]
    told = faults({"recommend.confidence": 2, "recommend.polices": ["x"], "recommend.search.auto-movable.luck": [1]})
    assert len(told) == 3
    assert all(each.startswith("--set recommend.") for each in told)
    assert "did you mean 'policies'?" in " ".join(told)
    (table,) = faults({"recommend": 3})
    assert table == "--set recommend: is a table; name a key in it: recommend.KEY"
    (inside,) = faults({"recommend.limits.x": 3}, composed(recommend={"limits": ["nothing fails"]}))
    assert "'recommend.limits' is no table in the file" in inside


def test_parts_of_a_composition_and_tables_inside_are_reached(tmp_path: Path) -> None:
    path = written(tmp_path)
    trace = {"name": "guest-trace", "label": "trace", "path": str(path), "columns": COLUMNS}
    tables = composed(workloads=[{"label": "a b", "together": [trace, {"name": "steps", "steps": ["plug dimm:1GiB"]}]}])
    settings = {'workloads."a b".trace.columns.user.unit': "2MiB", 'workloads."a b".trace.series': "hungry"}
    part = load(tables, settings=settings).combinations[0].workload.together[0]  # type: ignore[union-attr]
    assert part.parameters["columns"]["user"] == {"column": ["user"], "unit": 2 * MIB}
    assert part.parameters["series"] == "hungry"
    (told,) = faults({'workloads."a b".trace.columns.time.unit': 60}, tables)
    assert told.endswith("'workloads.a b.trace.columns.time' is no table in the file, so nothing can be set in it")


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("machins.vm.boot_memory", 1, "unknown section or key 'machins'; did you mean 'machines'"),
        ("machines.vn.boot_memory", 1, "unknown label of machines 'vn'. Valid: 2GiB, vm"),
        ("machines.vm.bot_memory", "1GiB", "did you mean 'boot_memory'"),
        ("machines.vm.boot_memory", "1 GiB of it", "'1 GiB of it'"),
        ("policies.auto-movable.ratoi", 301, "did you mean 'ratio'"),
        ("policies.auto-movable.ratio", "much", "'much'"),
        ("policies.auto-movable.name", "kernel", "name cannot be swept or set"),
        ("workloads.both.slots", 3, "is a table; name a key in it, such as workloads.both.slots.KEY"),
        (
            "workloads.both.interval",
            3,
            "name one of them before the key, such as workloads.both.slots.interval; there are slots, steps",
        ),
        ("workloads.both.slots.slot", 3, "did you mean 'slots'"),
        ("workloads.both.slotz.slots", 3, "unknown part of both 'slotz'; did you mean 'slots'"),
        ("workloads.both", 3, "is a table; name a key in it"),
        ("workloads.other", 3, "unknown label of workloads 'other'"),
        ("workloads", [], "is a list of tables; name a key in one of them: workloads.LABEL.KEY"),
        ("guest", {}, "is a table; name a key in it: guest.KEY"),
        ("guest.modle", "none", "unknown parameter of guest 'modle'"),
        ("replication", 3, "unknown key 'replication'; did you mean 'replications'"),
        ("replications", 0, "0 is not between 1 and 100000"),
        ("a b.c", 1, "is no key, such as workloads.LABEL.path"),
        ("a = 1 #", 1, "is no key, such as workloads.LABEL.path"),
        ("", 1, "is no key"),
        ("a." * 2000 + "b", 1, "is no key"),
    ],
)
def test_what_cannot_be_set_is_told_with_the_key_that_was_given(key: str, value: object, fault: str) -> None:
    (told,) = faults({key: value})
    assert told.startswith(f"--set {key}")
    assert fault in told


def test_all_faults_are_told_at_once_beside_those_of_the_file() -> None:
    tables = composed(policies=[{"name": "auto-movable", "ratio": -1}])
    told = faults({"workloads.dimm-slots.slots": 0, "seeds": 3, "replications": 2}, tables)
    assert [fault.partition(": ")[0] for fault in told] == [
        "--set seeds", "--set workloads.dimm-slots.slots", "policies[0].ratio",
    ]  # fmt: skip


def test_what_is_swept_cannot_be_set() -> None:
    tables = composed(sweep=[{"product": {"policies": {"auto-movable": {"ratio": [101, 301]}}}}])
    assert faults({"policies.auto-movable.ratio": 7}, tables) == [
        "--set policies.auto-movable.ratio: is swept in the file; its values there are what is run"
    ]


def test_paths_are_relative_to_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "file").mkdir()
    written(tmp_path / "here")
    trace = {"name": "guest-trace", "label": "trace", "path": "nowhere.csv", "columns": COLUMNS}
    file = tmp_path / "file" / "e.toml"
    file.write_text(
        tomli_w.dumps(composed(workloads=[trace], replications="all", policies=[{"name": "online-kernel"}]))
    )
    monkeypatch.chdir(tmp_path / "here")
    arguments = ["--set", "workloads.trace.path=trace.csv", "--set", "replications=2", "--workers", "1", "--no-plots"]
    for command in (["run", str(file)], ["rerun", "results/given", "--out", "again"]):
        result = CliRunner().invoke(main, [*command, *(arguments if command[0] == "run" else arguments[4:])])
        assert result.exit_code == 0, result.output
    manifests = [
        json.loads((tmp_path / "here" / out / "given" / "manifest.json").read_text()) for out in ("results", "again")
    ]
    for manifest in manifests:
        del manifest["timings"]
    assert manifests[0] == manifests[1]
    assert manifests[0]["set"] == {"workloads.trace.path": str(tmp_path / "here" / "trace.csv"), "replications": 2}
    effective = tomllib.loads((tmp_path / "here/results/given/experiment.toml").read_text())
    assert effective["workloads"][0]["path"] == str(tmp_path / "here" / "trace.csv")
    assert effective["replications"] == 2
    checked = CliRunner().invoke(main, ["validate", str(file), "--no-probe", *arguments[:4]])
    assert checked.exit_code == 0, checked.output
    shown = CliRunner().invoke(main, ["explain", str(file), *arguments[:4]])
    assert shown.exit_code == 0, shown.output


def test_show_and_plan_take_other_values_too(tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text(tomli_w.dumps(small()))
    for command in (["show", str(file)], ["plan", str(file), "--plug", "dimm:1GiB"]):
        results = [
            CliRunner().invoke(main, [*command, "--json", *option])
            for option in ((), ("--set", "machines.vm.boot_memory=3GiB"), ("--set", "machines.vn.boot_memory=3GiB"))
        ]
        assert [result.exit_code for result in results] == [0, 0, 2]
        assert results[0].output != results[1].output
        assert "unknown label of machines 'vn'. Valid: vm" in results[2].output
    (tmp_path / "lsmem").write_text("RANGE SIZE STATE REMOVABLE BLOCK\n")
    for command in (["show"], ["plan"]):
        result = CliRunner().invoke(main, [*command, str(tmp_path / "lsmem"), "--set", "seed=3"])
        assert result.exit_code == 2
        assert "--set is for experiments" in result.output.replace(": ", " ")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--set", "seed"], "'seed' is not KEY=VALUE, such as replications=5"),
        (["--set", "=3"], "'=3' is not KEY=VALUE"),
        (["--set", "seed=1", "--set", "seed=2"], "seed is given twice"),
    ],
)
def test_what_is_no_assignment_is_told(tmp_path: Path, arguments: list[str], what: str) -> None:
    file = tmp_path / "e.toml"
    file.write_text(tomli_w.dumps(small()))
    result = CliRunner().invoke(main, ["validate", str(file), *arguments])
    assert result.exit_code == 2
    assert what in result.output


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5), ("2.5", 2.5), ("true", True), ("4GiB", "4GiB"), ("'5'", "5"), ("[1, 2]", [1, 2]), ("", ""),
        ("/data/x.csv.gz", "/data/x.csv.gz"), ("{ a = 1 }", {"a": 1}), ("2026-11-26", "2026-11-26"),
        ("a\nb = 1", "a\nb = 1"), ("1\nb = 1", "1\nb = 1"), ("[" * 5000, "[" * 5000),
    ],
)  # fmt: skip
def test_values_are_read_as_toml_or_as_they_stand(text: str, value: object) -> None:
    assert value_of(text) == value


def test_keys_are_read_as_toml_has_them() -> None:
    assert key_parts('workloads."a b + c".path') == ("workloads", "a b + c", "path")
    assert key_parts("a-b._1.'x.y'") == ("a-b", "_1", "x.y")
    assert [key_parts(wrong) for wrong in ("", "a b", "a..b", "a=1\nb", "a.", "[a]", "#")] == [None] * 7


VALUES = st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.lists(st.integers(), max_size=2))


@given(st.text(max_size=30), VALUES)
def test_any_key_and_value_is_set_or_refused_in_a_sentence(key: str, value: object) -> None:
    for start in ("", "machines.vm.", "workloads.both.slots.", "guest."):
        with contextlib.suppress(InputError):
            load(composed(), settings={start + key: value})


def test_from_python_a_run_takes_them(tmp_path: Path) -> None:
    results = run(small(name="small"), tmp_path, settings={"replications": 1, "policies.auto-movable.ratio": 101})
    assert results.manifest["set"] == {"replications": 1, "policies.auto-movable.ratio": 101}
    assert sorted(set(results.runs()["configured_ratio"].dropna())) == [101]
    with pytest.raises(ValueError, match=r"^settings: belong to load\(\)"):
        run(load(small()), tmp_path, settings={"seed": 1})
