"""The mutation report: which mutants it counts, and the reasons that it takes for those that no test notices."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.mutation import report, results, typed
from tests.mutation.results import AREAS, Mutant
from tests.mutation.run import chosen

if TYPE_CHECKING:
    from pathlib import Path

METHOD = "sim.memory.zones.xǁZoneǁintersects__mutmut_3"


def test_areas_are_what_is_mutated(pytestconfig: pytest.Config) -> None:
    settings = tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    assert sorted(settings["only_mutate"]) == sorted(pattern for patterns in AREAS.values() for pattern in patterns)
    for pattern in settings["only_mutate"]:
        assert list(pytestconfig.rootpath.glob(pattern)), f"{pattern} names no file"


def test_a_mutant_knows_its_function_area_and_fate() -> None:
    assert Mutant(METHOD, "sim/memory/zones.py", 0, by_types=False).function == "sim.memory.zones.Zone.intersects"
    assert (
        Mutant("sim.record.series.x__of__mutmut_12", "sim/record/series.py", 1, by_types=False).function
        == "sim.record.series._of"
    )
    fates = {
        code: (mutant.tried, mutant.noticed, mutant.unnoticed)
        for code in (None, 0, 1, 33, 36)
        for mutant in [Mutant(METHOD, "sim/memory/zones.py", code, by_types=False)]
    }
    assert fates == {
        None: (False, False, False),
        0: (True, False, True),
        1: (True, True, False),
        33: (True, False, True),
        36: (True, True, False),
    }
    assert Mutant(METHOD, "sim/memory/zones.py", None, by_types=True).noticed
    assert Mutant(METHOD, "sim/memory/zones.py", 0, by_types=False).area == "memory"


def test_a_sample_is_the_same_every_time_and_about_its_share() -> None:
    many = [Mutant(f"m.x_f__mutmut_{n}", "policies/udev.py", None, by_types=False) for n in range(2000)]
    drawn = [mutant.name for mutant in many if chosen(mutant, 10.0)]
    assert drawn == [mutant.name for mutant in many if chosen(mutant, 10.0)]
    assert 160 < len(drawn) < 240
    assert all(chosen(mutant, 100.0) for mutant in many)


def test_types_give_away_what_is_wrong_of_the_mutant_alone() -> None:
    """Every copy of an __init__ defines the attributes anew, and one function has the same fault without a change."""
    source = "\n".join(
        f"def {name}():\n    return 1"
        for name in ("xǁCǁ__init____mutmut_orig", "xǁCǁ__init____mutmut_1", "x_f__mutmut_orig", "x_f__mutmut_1")
    )
    redefined = 'Attribute "zones" already defined on line 842'
    errors = [
        (2, "no-redef", redefined),
        (4, "no-redef", redefined),
        (6, "arg-type", "Argument 2 is wrong"),
        (8, "arg-type", "Argument 2 is wrong"),
    ]
    assert typed.given_away(source, errors) == set()
    assert typed.given_away(source, [*errors, (4, "operator", "No +")]) == {"xǁCǁ__init____mutmut_1"}
    assert typed.given_away(source, [*errors, (7, "operator", "No +")]) == {"x_f__mutmut_1"}
    assert typed.given_away(source, [(9, "operator", "No +")]) == set()


def test_every_reason_is_complete_and_one_that_is_not_is_a_fault(tmp_path: Path) -> None:
    assert all(reason.why.strip() for reason in report.reasons())
    (tmp_path / "bad.toml").write_text('[[survivor]]\nfunctions = "*"\nkind = "fine"\nwhy = "no"\n', "utf-8")
    with pytest.raises(ValueError, match="equivalent or accepted"):
        report.reasons(tmp_path / "bad.toml")


def test_the_report_fails_for_a_survivor_without_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nine of ten mutants of a file are noticed in every area; the tenth is excused, or not."""
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(results, "BY_TYPES", tmp_path / "by-types.json")
    for number, patterns in enumerate(AREAS.values()):
        file = patterns[0].replace("*", "some.py")
        codes = {f"m{number}.x_f__mutmut_{n}": int(n > 1) for n in range(1, 11)}
        path = tmp_path / f"{file}.meta"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"exit_code_by_key": codes}), "utf-8")
        (tmp_path / file).write_text("def x_f__mutmut_orig():\n    return 1\ndef x_f__mutmut_1():\n    return 2\n")
        spans = {"x_f__mutmut_orig": [1, 2], "x_f__mutmut_1": [3, 4]}
        (tmp_path / f"{file}.spans").write_text(json.dumps({"spans": spans}), "utf-8")
    reasons = tmp_path / "survivors.toml"
    for change, code in ((r"return 2", 0), (r"return 3", 1)):
        reasons.write_text(
            f'[[survivor]]\nfunctions = "m*.f"\nchange = "{change}"\nkind = "accepted"\nwhy = "it is"\n', "utf-8"
        )
        assert report.main(reasons) == code
        printed = capsys.readouterr().out
        assert ("-    return 1\n+    return 2" in printed) == bool(code)
        assert "90.0%" in printed
