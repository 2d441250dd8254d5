"""The way from a decision to its explanation: one walk, which tells its reason only where somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policies.contract import Explanation, Policy, ZoneRequest
from sim.memory.zones import ZONE_MOVABLE, ZONE_NORMAL, ZoneType
from tests.policies.stage import BLOCK, FREE, Stage

if TYPE_CHECKING:
    from policies.contract import Reason
    from sim.memory.view import MemoryView


class Silent(Policy):
    name = "silent"
    summary = "has a zone for every block and a word for none"

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        return ZONE_MOVABLE if request.node else ZONE_NORMAL


class Talking(Policy):
    """Tells one thing and then another, and takes down what it was given to tell it to."""

    name = "talking"
    summary = "has several words for a block"

    def __init__(self) -> None:
        self.asked: list[Reason | None] = []

    def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
        self.asked.append(request.why)
        if request.pages == 0:
            raise ArithmeticError("no pages")
        if request.why is not None:
            request.why("at first sight", pages=1, other=2)
            if request.node:
                request.why(f"node {request.node} after all", pages=request.pages)
        return ZoneType.MOVABLE


def test_a_request_shows_what_is_asked_about() -> None:
    stage = Stage(8 * BLOCK)
    group = stage.group(unit=1)
    assert repr(stage.request(FREE)) == f"ZoneRequest(node 0, pages {FREE * BLOCK}+{BLOCK}, no group)"
    assert (
        repr(stage.request(FREE, group=group)) == f"ZoneRequest(node 0, pages {FREE * BLOCK}+{BLOCK}, group {group.id})"
    )


def test_a_policy_that_tells_nothing_is_explained_by_its_name_and_the_zone() -> None:
    stage = Stage(BLOCK, BLOCK)
    explained = [Silent().explain(stage.request(FREE, node=node), stage.view) for node in (0, 1)]
    assert explained == [
        Explanation(ZoneType.NORMAL, "silent: Normal", {}),
        Explanation(ZoneType.MOVABLE, "silent: Movable", {}),
    ]
    assert all(isinstance(each.zone, ZoneType) for each in explained)


def test_the_last_word_that_a_decision_tells_is_its_reason() -> None:
    stage = Stage(BLOCK, BLOCK)
    assert Talking().explain(stage.request(FREE), stage.view) == Explanation(
        ZoneType.MOVABLE, "at first sight", {"pages": 1, "other": 2}
    )
    assert Talking().explain(stage.request(FREE, node=1), stage.view) == Explanation(
        ZoneType.MOVABLE, "node 1 after all", {"pages": BLOCK}
    )


def test_nobody_is_told_but_who_asks_and_only_while_they_ask() -> None:
    stage, policy = Stage(BLOCK), Talking()
    request = stage.request(FREE)
    policy.zone_for(request, stage.view)
    policy.explain(request, stage.view)
    policy.zone_for(request, stage.view)
    assert [why is None for why in policy.asked] == [True, False, True]
    nothing = stage.request(FREE, pages=0)
    with pytest.raises(ArithmeticError):
        policy.explain(nothing, stage.view)
    assert request.why is nothing.why is None


def test_an_answer_that_is_no_zone_is_not_explained() -> None:
    class Wrong(Silent):
        def zone_for(self, request: ZoneRequest, memory: MemoryView) -> int:
            return 9

    stage = Stage(BLOCK)
    request = stage.request(FREE)
    with pytest.raises(ValueError, match="9 is not a valid ZoneType"):
        Wrong().explain(request, stage.view)
    assert request.why is None
