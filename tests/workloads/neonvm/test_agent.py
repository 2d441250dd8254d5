"""The agent's requests and how they are denied, as in the source's own tests: pkg/agent/core/state_test.go."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.units import MICROSECONDS
from workloads.neonvm.agent import Agent, Doors, Waits

TICK = MICROSECONDS // 10
WAITS = Waits(
    answer_us=TICK,
    denied_growth_us=2 * MICROSECONDS,
    denied_shrink_us=4 * MICROSECONDS,
    failed_us=5 * MICROSECONDS,
    wish_us=6 * MICROSECONDS,
)


@dataclass
class World:
    """What the agent speaks to; every call is noted with the time in tenths of a second."""

    permit: int = 8
    floor: int = 1
    host_refuses: bool = False
    calls: list[tuple[int, str, int]] = field(default_factory=list)
    now: int = 0

    def permitted(self, now_us: int) -> int:
        assert now_us == self.now * TICK
        return self.permit

    def resize(self, units: int) -> bool:
        self.calls.append((self.now, "resize", units))
        return not self.host_refuses

    def allows(self, units: int) -> bool:
        self.calls.append((self.now, "may shrink", units))
        return units >= self.floor

    def tell(self, units: int) -> None:
        self.calls.append((self.now, "has", units))

    def run(self, agent: Agent, until: int) -> list[tuple[int, str, int]]:
        """Have ``agent`` act when it says, from now until ``until`` tenths of a second; return what it did."""
        self.calls.clear()
        agent.act(self.now * TICK)
        while (then := agent.next_us(self.now * TICK, wishes=False)) is not None and then <= until * TICK:
            self.now = then // TICK
            agent.act(then)
        self.now = until
        return list(self.calls)


def grown(world: World, units: int) -> Agent:
    agent = Agent(1, 8, WAITS, Doors(world.permitted, world.resize, world.allows, world.tell))
    agent.goal = units
    world.run(agent, 100)
    assert agent.approved == units
    return agent


def test_growing_takes_a_permit_then_the_request_then_word_to_the_monitor() -> None:
    world = World()
    agent = Agent(1, 8, WAITS, Doors(world.permitted, world.resize, world.allows, world.tell))
    agent.goal = 4
    assert world.run(agent, 50) == [(2, "resize", 4), (3, "has", 4)]
    agent.goal = 20
    assert world.run(agent, 100) == [(52, "resize", 8), (53, "has", 8)], "no more than the most"


def test_shrinking_is_asked_for_unit_by_unit_and_denied_ones_again() -> None:
    """As in TestDeniedDownscalingIncreaseAndRetry: 6 units to 1, of which the monitor first allows only 3, then all."""
    world = World()
    agent = grown(world, 6)
    agent.goal = 1
    world.floor = 6
    assert world.run(agent, 140) == [(101, "may shrink", 5)], "asked for at once, and not again for 4 s"
    world.floor = 3
    assert world.run(agent, 180) == [
        (142, "may shrink", 5),
        (142, "has", 5),
        (143, "resize", 5),
        (143, "may shrink", 4),
        (143, "has", 4),
        (144, "resize", 4),
        (144, "may shrink", 3),
        (144, "has", 3),
        (145, "resize", 3),
        (145, "may shrink", 2),
    ]
    assert world.run(agent, 184) == [], "denied at 145, so for 4 s nothing is asked for"
    world.floor = 1
    assert world.run(agent, 300) == [
        (186, "may shrink", 2),
        (186, "has", 2),
        (187, "resize", 2),
        (187, "may shrink", 1),
        (187, "has", 1),
        (188, "resize", 1),
    ]


def test_a_denied_shrink_is_not_made_though_less_is_wanted_still() -> None:
    world = World(floor=5)
    agent = grown(world, 5)
    agent.goal = 4
    assert world.run(agent, 130) == [(101, "may shrink", 4)]
    agent.goal = 2
    assert world.run(agent, 140) == []
    agent.goal = 7
    assert world.run(agent, 200) == [(142, "resize", 7), (143, "has", 7)], "growing needs no consent of the monitor"


def test_what_is_not_permitted_is_asked_for_again_after_two_seconds() -> None:
    world = World(permit=3)
    agent = Agent(1, 8, WAITS, Doors(world.permitted, world.resize, world.allows, world.tell))
    agent.goal = 5
    assert world.run(agent, 30) == [(2, "resize", 3), (3, "has", 3)], "what is permitted is taken at once"
    world.permit = 4
    assert world.run(agent, 50) == [(42, "resize", 4), (43, "has", 4)], "asked at 0, 20 and 40, answered a tenth later"
    world.permit = 1
    assert world.run(agent, 200) == [], "what the guest has is not taken away"
    world.permit = 8
    assert world.run(agent, 300) == [(202, "resize", 5), (203, "has", 5)]


def test_what_the_host_refuses_is_asked_for_again_after_five_seconds() -> None:
    world = World(host_refuses=True)
    agent = Agent(1, 8, WAITS, Doors(world.permitted, world.resize, world.allows, world.tell))
    agent.goal = 2
    assert world.run(agent, 99) == [(2, "resize", 2), (53, "resize", 2)]
    world.host_refuses = False
    assert world.run(agent, 150) == [(104, "resize", 2), (105, "has", 2)]


def test_a_wish_of_the_monitor_is_heeded_for_its_time() -> None:
    """As in TestRequestedUpscale: a unit more at once, and back when the wish has expired after 6 s."""
    world = World()
    agent = Agent(1, 8, WAITS, Doors(world.permitted, world.resize, world.allows, world.tell))
    agent.act(0)
    agent.wish(0)
    assert agent.wished_for == 1
    assert world.run(agent, 59) == [(2, "resize", 2), (3, "has", 2)]
    assert world.run(agent, 100) == [(61, "may shrink", 1), (61, "has", 1), (62, "resize", 1)]


def test_new_metrics_during_a_shrink_turn_it_round() -> None:
    """As in TestDownscalePivotBack: the monitor has agreed to less, NeonVM was not asked yet, the monitor is told."""
    world = World()
    agent = grown(world, 2)
    agent.goal = 1
    agent.act(100 * TICK)
    agent.goal = 2
    assert world.run(agent, 200) == [(101, "may shrink", 1), (101, "has", 1), (102, "has", 2)]


def test_with_answers_at_once_all_is_done_in_one_moment() -> None:
    world = World()
    waits = Waits(answer_us=0, denied_growth_us=1, denied_shrink_us=1, failed_us=1, wish_us=1)
    agent = Agent(1, 8, waits, Doors(world.permitted, world.resize, world.allows, world.tell))
    agent.goal = 3
    assert world.run(agent, 0) == [(0, "resize", 3), (0, "has", 3)]
    agent.goal = 1
    assert [call for call in world.run(agent, 0) if call[1] == "resize"] == [(0, "resize", 2), (0, "resize", 1)]
