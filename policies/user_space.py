"""User space decides, by rules of one's own: which blocks, on which machines, get which word, how much later.

On top of whatever the kernel was told (:mod:`policies.kernel`): rules act on blocks that it leaves offline, and a plain
``online`` asks its online policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from policies.auto_movable import DEFAULT_RATIO
from policies.contig_zones import ContigZones
from policies.contract import InLinux, UserSpaceRule, UserSpaceRules
from policies.kernel import DefaultState, Kernel, OnlinePolicy, SearchedNumaAware, SearchedRatio
from policies.udev import USUAL_DELAY
from sim.memory.zones import ONLINE_TYPE_BY_WORD
from sim.plugins.parameter_lists import ListOf
from sim.plugins.parameter_tables import Key, Table
from sim.plugins.parameter_types import Flag, Seconds, Whole, Word
from sim.plugins.parameters import Checker, checked
from sim.units import MOST_NODES, seconds_to_us

DEVICES: Final = ("dimm", "virtio-mem", "dax", "none")
ARCHITECTURES: Final = ("x86-64", "arm64", "s390x", "ppc64")
"""Those that Linux hotplugs memory on, machines of which are modelled or not: rules that are shipped name all."""

_RULE: Final = Table(
    (
        Key("state", Word(tuple(ONLINE_TYPE_BY_WORD)), "word written to memoryN/state; offline leaves the block", True),  # noqa: FBT003
        Key("delay", Seconds(zero=True), f"time from a block's appearance to the write; {USUAL_DELAY} if not given"),
        Key("nodes", ListOf(Whole(0, MOST_NODES - 1)), "only blocks on these nodes"),
        Key("devices", ListOf(Word(DEVICES)), "only blocks of these devices; none: of no device"),
        Key("bare_metal", Flag(), "only on machines that are bare metal, or only on virtual ones (false)"),
        Key("architectures", ListOf(Word(ARCHITECTURES)), "only on machines of these"),
    )
)
Rules = Annotated[
    Sequence[Mapping[str, Any]],
    ListOf(_RULE, "rule"),
    "tables; the first that applies to a block counts, and a block that none applies to stays offline",
]


class UserSpace(Kernel):
    """A program in the guest follows ``rules`` for every block that appears offline, but for none before ``after``."""

    name = "user-space"
    summary = "a program in the guest puts blocks online by a list of rules; what none applies to stays offline"

    @checked
    def __init__(  # noqa: PLR0913  one argument for each parameter
        self,
        check: Checker,
        *,
        rules: Rules = ({"state": "online"},),
        after: Annotated[float, Seconds(zero=True), "time from boot until the program begins"] = 0.0,
        buffer: Annotated[
            int | None, Whole(1), "most events that wait for the program; more are lost (none where not given)"
        ] = None,
        tries: Annotated[int, Whole(1), "how often it tries what fails although the block is there"] = 1,
        try_again: Annotated[float, Seconds(zero=True), "time between two tries"] = 0.05,
        default_state: DefaultState = "offline",
        online_policy: OnlinePolicy = ContigZones.name,
        auto_movable_ratio: SearchedRatio = DEFAULT_RATIO,
        auto_movable_numa_aware: SearchedNumaAware = True,
    ) -> None:
        check.done()
        super().__init__(
            default_state=default_state,
            online_policy=online_policy,
            auto_movable_ratio=auto_movable_ratio,
            auto_movable_numa_aware=auto_movable_numa_aware,
        )
        self.user_space = UserSpaceRules(
            tuple(map(_rule, rules)),
            begins_us=seconds_to_us(after),
            buffer=buffer,
            tries=tries,
            try_again_us=seconds_to_us(try_again),
        )

    def in_linux(self) -> InLinux | None:
        """The kernel as it was told, and the rules."""
        return super().in_linux()


def _rule(table: Mapping[str, Any]) -> UserSpaceRule:
    return UserSpaceRule(
        ONLINE_TYPE_BY_WORD[table["state"]],
        seconds_to_us(table.get("delay", USUAL_DELAY)),
        nodes=tuple(table.get("nodes", ())),
        devices=tuple(table.get("devices", ())),
        architectures=tuple(table.get("architectures", ())),
        bare_metal=table.get("bare_metal"),
    )
