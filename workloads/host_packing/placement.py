"""Where on a host a virtual machine's memory goes: on one node that has room for it, or split over several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHOICES: Final = ("most-free", "best-fit", "first")
"""Which of the nodes with room is taken: the one with the most, or the least, that is free, or the first."""


class Shape(NamedTuple):
    """What a VM needs, in bytes: of each of ``parts`` nodes ``memory``, and ``beside`` for what runs it."""

    parts: int
    memory: int
    beside: int


class Part(NamedTuple):
    """What a VM has on one node: ``near`` there, and ``far`` by node of those without CPUs."""

    node: int
    near: int
    far: Mapping[int, int]


def place(
    shape: Shape, free: Mapping[int, int], far_free: Mapping[int, int], *, far_share: float, choice: str
) -> list[Part] | None:
    """Return where the parts of a VM go, each on another node of ``free`` (bytes by node); None where there is no room.

    Of the memory of each part at most ``far_share`` may lie on the nodes of ``far_free``, and no more of it does than
    has no room nearer.
    """
    far_left = dict(far_free)
    most_far = min(int(shape.memory * far_share), max(0, sum(far_left.values())))
    least_near = shape.memory - most_far + shape.beside
    parts: list[Part] = []
    for node in _by_choice(free, least_near, choice):
        short = max(0, shape.memory + shape.beside - free[node])
        far = _spill(short, far_left)
        if far is None:
            continue
        for far_node, amount in far.items():
            far_left[far_node] -= amount
        parts.append(Part(node, shape.memory - short, far))
        if len(parts) == shape.parts:
            return parts
    return None


def _by_choice(free: Mapping[int, int], needed: int, choice: str) -> Sequence[int]:
    with_room = [node for node in free if free[node] >= needed]
    if choice == "first":
        return sorted(with_room)
    sign = -1 if choice == "most-free" else 1
    return sorted(with_room, key=lambda node: (sign * free[node], node))


def _spill(amount: int, left: Mapping[int, int]) -> dict[int, int] | None:
    """Return what of ``amount`` each node takes, the emptiest first; None where they have no room for all of it."""
    taken = {}
    for node in sorted(left, key=lambda node: (-left[node], node)):
        part = min(amount, left[node])
        if part > 0:
            taken[node] = part
            amount -= part
    return None if amount else taken
