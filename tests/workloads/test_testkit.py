"""The test kit for workloads from Python: what it takes, what it raises, and what it tells of one that passes."""

from __future__ import annotations

import pytest

from memhp_sim import InputError, WorkloadCheckError, check_workload
from sim.plugins.lookup import PluginError
from sim.plugins.verdicts import PASSED
from tests.support.places import ROOT
from workloads.dimm_slots import DimmSlots
from workloads.watermark import Watermark

PLANTED = ROOT / "tests" / "data" / "planted-faults"


def test_a_class_is_found_again_in_its_file() -> None:
    report = check_workload(DimmSlots, {"slots": 4, "duration": 600.0})
    assert {each.outcome for each in report.verdicts} == {PASSED}
    assert report["other seed"].what == ""
    assert report["duration"].what == "600 s"


def test_one_that_looks_at_the_guest_is_told_and_passes() -> None:
    looked = check_workload("neonvm")["other policy"].what
    assert looked.startswith("other things are asked under other policies, as it looks at host.report")
    assert check_workload(Watermark)["duration"].what.startswith("0: it has no end of its own")


def test_all_that_fails_is_raised_at_once() -> None:
    with pytest.raises(WorkloadCheckError) as caught:
        check_workload(f"{PLANTED / 'stranger.py'}:Planted", seed=5)
    text = str(caught.value)
    assert "devices: at 30 s" in text
    assert "machine: at 0 s" in text
    assert "--seed 5" in text


def test_what_it_does_not_take() -> None:
    class Inside(DimmSlots):
        pass

    with pytest.raises(TypeError, match="does not stand in a file by itself"):
        check_workload(Inside)
    with pytest.raises(TypeError, match="is no class of a Workload"):
        check_workload(dict)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InputError, match="slots: must be"):
        check_workload(DimmSlots, {"slots": 0})
    with pytest.raises(PluginError, match="did you mean 'dimm-slots'"):
        check_workload("dim-slots")
