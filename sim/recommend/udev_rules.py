"""Rules of user space as lines for udev, as far as udev can tell what they ask."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from sim.memory.zones import OnlineType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policies.contract import UserSpaceRule

RULES_FILE: Final = "/etc/udev/rules.d/39-memory-hotplug.rules"
"""Sorts before the files of distributions, which begin with 40 and more: the word that is written first counts."""

_ARCHITECTURES: Final = {"ppc64": "ppc64*", "s390x": "s390*"}
"""How systemd calls architectures that have several names; it has ``x86-64`` and ``arm64`` as they are."""

_END: Final = "memory_hotplug_end"


def rule_lines(rules: Sequence[UserSpaceRule]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines of a file that does what ``rules`` say, and sentences on what it cannot.

    The first rule that applies counts: the lines jump to the end behind it.
    """
    lines = [
        f'SUBSYSTEM!="memory", GOTO="{_END}"',
        f'ACTION!="add", GOTO="{_END}"',
        f'ATTR{{state}}!="offline", GOTO="{_END}"',
    ]
    for rule in rules:
        for conditions in itertools.product(*_conditions(rule)):
            state = () if rule.online_type is OnlineType.OFFLINE else (f'ATTR{{state}}="{rule.online_type.word}"',)
            lines.append(", ".join((*conditions, *state, f'GOTO="{_END}"')))
    lines.append(f'LABEL="{_END}"')
    return tuple(lines), tuple(_gaps(rules))


def _conditions(rule: UserSpaceRule) -> Iterator[tuple[str, ...]]:
    """Yield what has to be one of what, for each thing that the rule asks."""
    if rule.nodes:
        yield tuple(f'TEST=="node{node}"' for node in rule.nodes)
    if rule.architectures:
        yield tuple(f'CONST{{arch}}=="{_ARCHITECTURES.get(name, name)}"' for name in rule.architectures)
    if rule.bare_metal is not None:
        yield (f'CONST{{virt}}{"==" if rule.bare_metal else "!="}"none"',)


def _gaps(rules: Sequence[UserSpaceRule]) -> Iterator[str]:
    devices = list(dict.fromkeys(device for rule in rules for device in rule.devices))
    if devices:
        yield (
            f"A rule of udev cannot tell which device a block is of: what is said of {', '.join(devices)} holds for all"
            " blocks there; a program that reads /sys/bus can tell."
        )
    if any(rule.nodes for rule in rules):
        yield "The link to a block's node may come after its event: a rule that asks for it can miss blocks."
