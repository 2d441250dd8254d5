"""Policies that misbehave: the run ends by name and block, whatever they answer or raise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.auto_movable import AutoMovable
from policies.contract import Explanation, UserSpaceRule, UserSpaceRules
from sim.kernel.policy_answers import PolicyError, is_zone
from sim.memory.zones import ZONE_MOVABLE, OnlineType, ZoneType
from sim.record.recorder import EventKind
from tests.support.cells import DEVICES, FIRST, Broken, Script, rows, run

NO_RULES = "user_space must be None or UserSpaceRules, but is "
RULE = UserSpaceRule(OnlineType.ONLINE, 5)
ANYTHING: list[Any] = [1.5, "online", [RULE]]
WRONG_RULES: list[dict[str, Any]] = [
    {"online_type": "online"},
    {"online_type": 1},
    {"delay_us": -5},
    {"delay_us": 1.5},
    {"nodes": 0},
    {"nodes": (-1,)},
    {"devices": "dimm"},
    {"devices": (1,)},
    {"architectures": ["arm64"]},
    {"bare_metal": 1},
]
NONSENSE = [
    None,
    4,
    7,
    -1,
    "Movable",
    True,
    False,
    3.0,
    np.int64(3),
    np.bool_(True),  # noqa: FBT003
    OnlineType.ONLINE_MOVABLE,
    [3],
    (1, 3),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
def test_an_answer_that_is_no_zone_ends_the_run_by_name_and_block(answer: object, device: str) -> None:
    with pytest.raises(PolicyError) as caught:
        run(Broken(zone=answer), Script(DEVICES[device]))
    text = str(caught.value)
    assert text.startswith(f"policy 'broken' answered {answer!r} for block {FIRST}, ")
    assert text.endswith("none of the zones 0 (DMA), 1 (DMA32), 2 (Normal), 3 (Movable)")


@pytest.mark.parametrize("answer", [3, 2, ZoneType.MOVABLE, ZoneType.NORMAL], ids=repr)
def test_numbers_and_zone_types_are_zones(answer: int) -> None:
    result = run(Broken(zone=answer), Script(DEVICES["a DIMM"]))
    assert {row[5] for row in rows(result, EventKind.PLUG)} == {int(answer)}


@pytest.mark.parametrize("device", DEVICES)
def test_what_zone_for_raises_is_told_with_name_and_block(device: str) -> None:
    with pytest.raises(PolicyError, match=rf"policy 'broken' raised KeyError for block {FIRST}: 'lost'") as caught:
        run(Broken(zone=KeyError("lost")), Script(DEVICES[device]))
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_policy_that_would_end_the_program_ends_its_run() -> None:
    with pytest.raises(PolicyError, match=rf"policy 'broken' raised SystemExit for block {FIRST}: 3"):
        run(Broken(zone=SystemExit(3)), Script(DEVICES["a DIMM"]))


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("auto_online", "online_movable", "auto_online must be an OnlineType, but is 'online_movable'"),
        ("auto_online", 7, "auto_online must be an OnlineType, but is 7"),
        ("user_space", ("online", 5), "user_space must be None or UserSpaceRules, but is ('online', 5)"),
        ("user_space", RULE, NO_RULES),
        ("user_space", UserSpaceRules(ANYTHING[2]), NO_RULES),
        ("user_space", UserSpaceRules((RULE, ANYTHING[1])), NO_RULES),
        ("user_space", UserSpaceRules((RULE,), begins_us=-1), NO_RULES),
        ("user_space", UserSpaceRules((RULE,), buffer=0), NO_RULES),
        ("user_space", UserSpaceRules((RULE,), tries=0), NO_RULES),
        ("user_space", UserSpaceRules((RULE,), try_again_us=ANYTHING[0]), NO_RULES),
        *(("user_space", UserSpaceRules((replace(RULE, **wrong),)), NO_RULES) for wrong in WRONG_RULES),
    ],
)
def test_attributes_that_are_read_before_the_first_question_are_looked_at(
    attribute: str, value: object, said: str
) -> None:
    policy = Broken(zone=3)
    setattr(policy, attribute, value)
    with pytest.raises(PolicyError) as caught:
        run(policy, Script())
    assert str(caught.value).startswith(f"policy 'broken': {said}")


@pytest.mark.parametrize("ratio", [-1, 1.5, True])
def test_a_ratio_is_a_percentage(ratio: object) -> None:
    policy = type("Odd", (Broken,), {"configured_ratio": ratio})(zone=3)
    with pytest.raises(PolicyError, match="'broken': configured_ratio must be None or a percentage, but is"):
        run(policy, Script())


def test_the_first_zone_is_one_and_there_are_four() -> None:
    assert [is_zone(number) for number in (0, 3, 4)] == [True, True, False]


def test_user_space_may_act_at_once_and_a_ratio_be_0() -> None:
    class Prompt(Broken):
        auto_online = OnlineType.OFFLINE
        user_space = UserSpaceRules((UserSpaceRule(OnlineType.ONLINE),))
        configured_ratio = 0

    result = run(Prompt(zone=3), Script(DEVICES["a DIMM"]))
    assert [row[5] for row in rows(result, EventKind.ONLINE)] == [ZONE_MOVABLE] * 8


@pytest.mark.parametrize(
    "runs",
    [
        7,
        "Movable",
        True,
        [],
        [(8,)],
        [(8, 3, 1)],
        [(7, 3)],
        [(9, 3)],
        [(4, 3), (0, 2), (4, 3)],
        [(10, 3), (-2, 2)],
        [(8.0, 3)],
        [(np.int64(8), 3)],
        [(True, 3), (7, 3)],
        [8, 3],
        [None],
        {8: 3},
    ],
    ids=repr,
)
def test_runs_that_are_none_end_the_run_by_name_and_block(runs: object) -> None:
    with pytest.raises(PolicyError, match=rf"policy 'broken' decided .* for the 8 blocks from block {FIRST}; runs of"):
        run(Broken(runs=runs), Script(DEVICES["a DIMM"]))


@pytest.mark.parametrize("zone", NONSENSE, ids=repr)
def test_zones_of_runs_are_looked_at_too(zone: object) -> None:
    """The block named is the first of the run that is wrong."""
    with pytest.raises(PolicyError) as caught:
        run(Broken(runs=[(5, 3), (3, zone)]), Script(DEVICES["a DIMM"]))
    assert str(caught.value).startswith(f"policy 'broken' answered {zone!r} for block {FIRST + 5}, ")


def test_proper_runs_are_taken_as_they_are() -> None:
    result = run(Broken(runs=((5, ZoneType.MOVABLE), [3, 2])), Script(DEVICES["a DIMM"]))
    assert [row[3:6] for row in rows(result, EventKind.PLUG)] == [(FIRST, 5, 3), (FIRST + 5, 3, 2)]


def test_what_zones_for_run_raises_is_told() -> None:
    with pytest.raises(PolicyError, match=rf"'broken' raised ZeroDivisionError in zones_for_run for block {FIRST}: by"):
        run(Broken(runs=ZeroDivisionError("by nought")), Script(DEVICES["a DIMM"]))


def ignore(*_: object) -> None:
    """A log that nobody reads."""


@pytest.mark.parametrize(
    "explanation",
    [
        None,
        3,
        "Movable",
        Explanation("Movable", "no zone", {}),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_explanations_that_are_none(explanation: object) -> None:
    run(Broken(explanation=explanation), Script(DEVICES["a DIMM"]))
    with pytest.raises(PolicyError, match=rf"policy 'broken' explained block {FIRST} by .*, which is no Explanation"):
        run(Broken(explanation=explanation), Script(DEVICES["a DIMM"]), log=ignore)


def test_an_explanation_of_another_zone() -> None:
    with pytest.raises(PolicyError, match=f"'broken' chose Normal for block {FIRST} and explained Movable"):
        run(Broken(zone=2), Script(DEVICES["virtio-mem"]), log=ignore)


def test_what_explain_raises_is_told() -> None:
    with pytest.raises(PolicyError, match=rf"policy 'broken' raised OSError in explain for block {FIRST}: no"):
        run(Broken(explanation=OSError("no disk")), Script(DEVICES["a DIMM"]), log=ignore)


def test_what_a_hook_raises_is_told() -> None:
    class Forgetful(AutoMovable):
        name = "forgetful"

        def on_offline(self, node: int, zone: int, pages: int) -> None:
            raise LookupError(f"never saw {pages} pages of zone {zone} on node {node}")

    with pytest.raises(
        PolicyError, match=rf"'forgetful' raised LookupError in on_offline for block {FIRST}: never saw 32768 pages of"
    ):
        run(Forgetful(), Script(DEVICES["a DIMM"], then=lambda host: host.unplug("d")))


def test_hooks_learn_what_went_offline() -> None:
    seen: list[tuple[int, int, int]] = []

    class Attentive(AutoMovable):
        def on_offline(self, node: int, zone: int, pages: int) -> None:
            seen.append((node, zone, pages))

    run(Attentive(), Script(DEVICES["a DIMM"], DEVICES["virtio-mem"], then=lambda host: host.unplug("d")))
    assert seen == [(0, ZONE_MOVABLE, 32768)] * 8
    seen.clear()
    run(Attentive(), Script(DEVICES["virtio-mem"], then=lambda host: host.resize("v", 0)))
    assert seen == [(0, ZONE_MOVABLE, 32768)] * 8


def test_a_policy_that_fails_in_user_spaces_time_ends_the_run_as_well() -> None:
    class LateBreaker(Broken):
        auto_online = OnlineType.OFFLINE
        user_space = UserSpaceRules((UserSpaceRule(OnlineType.ONLINE, 10_000),))

    with pytest.raises(PolicyError, match="answered None"):
        run(LateBreaker(zone=None), Script(DEVICES["a DIMM"]))


def test_a_policy_without_a_name_is_called_by_its_class() -> None:
    class Nameless(Broken):
        name = property(lambda self: self.missing)

    with pytest.raises(PolicyError, match="policy 'Nameless' answered None"):
        run(Nameless(zone=None), Script(DEVICES["a DIMM"]))
