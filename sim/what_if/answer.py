"""What comes out of a question: for each policy and step, where blocks went, what it cost, and what failed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.memory.zones import ZONE_LABELS
from sim.record.blockmap import BlockState

if TYPE_CHECKING:
    from collections.abc import Mapping


def state_label(state: int) -> str:
    """Return what a block's state is called: a zone as the kernel prints it, ``offline``, ``absent``."""
    words = {BlockState.ABSENT: "absent", BlockState.OFFLINE: "offline", BlockState.SEVERAL_ZONES: "several zones"}
    return words[BlockState(state)] if state in words else ZONE_LABELS[state]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the blocks from ``block`` on went where they went, in the policy's words; ``word`` is what was written."""

    block: int
    word: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Adjacent ``blocks`` from id ``first`` on ``node`` that changed alike, from ``before`` to ``after``.

    Both are words of :func:`state_label`. ``reasons`` are told where they change.
    """

    first: int
    blocks: int
    node: int
    before: str
    after: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """What the driver of ``device``, or the host, could not do: ``errno`` by name, and why. ``times``: how often."""

    device: str
    errno: str
    reason: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Stay:
    """Blocks of a device that stay: adjacent ``blocks`` from id ``first`` in the state ``where``, and ``why``."""

    first: int
    blocks: int
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The machine at a moment, in bytes. The last four are None where no guest is modelled.

    ``movable`` and ``kernel`` are present memory of ZONE_MOVABLE and of the kernel zones, ``offline`` blocks that are
    there and not online, ``devices`` what devices have plugged. ``memmap`` is what descriptors of added memory take.
    """

    movable: int
    kernel: int
    offline: int
    devices: Mapping[str, int]
    mem_total: int | None = None
    mem_available: int | None = None
    kernel_headroom: int | None = None
    memmap: Mapping[str, int] | None = None

    @property
    def ratio(self) -> float | None:
        """ZONE_MOVABLE in percent of the kernel zones."""
        return 100 * self.movable / self.kernel if self.kernel else None


@dataclass(frozen=True, slots=True)
class Step:
    """A step as ``asked`` at second ``at`` of the run; ``seconds`` after that, the last thing came of it.

    ``memmap`` are the bytes of descriptors that added blocks took of kernel zones (given back: negative), and
    ``memmap_zones`` says which, where a guest is modelled; ``hosted`` are bytes of descriptors that lie in the added
    memory itself. ``short`` are the bytes that a device lacks of what was asked for; negative: that
    it has beyond that.
    """

    asked: str
    at: float
    seconds: float
    pieces: tuple[Piece, ...]
    memmap: int
    memmap_zones: Mapping[str, int]
    hosted: int
    failures: tuple[Failure, ...]
    refused: int
    kills: tuple[str, ...]
    short: int
    after: Figures


@dataclass(frozen=True, slots=True)
class Return:
    """What came back of a device that was asked back with the step ``asked`` at second ``at`` of the run.

    ``wanted`` are the bytes that it had beyond what it was to keep, ``returned`` those that it gave.
    """

    asked: str
    at: float
    device: str
    wanted: int
    returned: int
    stays: tuple[Stay, ...]
    failures: tuple[Failure, ...]
    kills: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of the question under one policy. ``error`` says why there is nothing, where the policy failed.

    ``own``: this is the machine's own policy. ``died``: the guest does not live to the end. ``wanted`` and ``returned``
    are the bytes that were asked back in all, and that had come back in the end. ``safe`` are those of ``wanted`` that
    no use by the kernel can keep: of DIMMs and dax devices with no block in a kernel zone, and of virtio-mem in
    ZONE_MOVABLE; they come back as long as the pages of programs find room elsewhere.
    """

    policy: str
    own: bool
    before: Figures | None = None
    steps: tuple[Step, ...] = ()
    back: tuple[Return, ...] = ()
    wanted: int = 0
    returned: int = 0
    safe: int = 0
    died: bool = False
    error: str = ""

    @property
    def after(self) -> Figures | None:
        """The machine after the last step."""
        return self.steps[-1].after if self.steps else self.before


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question: one of ``outcomes`` for each policy, in order.

    ``source`` is the file; ``machine`` its label; ``kernel`` the series; ``block_size`` bytes of a memory block;
    ``guest``: the model of who uses the memory, ``none`` where nobody does.
    """

    source: str
    machine: str
    kernel: str
    block_size: int
    guest: str
    steps: tuple[str, ...]
    back: tuple[str, ...]
    remarks: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values, keys by the names of the fields."""
        answer = dataclasses.asdict(self)
        for outcome, written in zip(self.outcomes, answer["outcomes"], strict=True):
            figures = [outcome.before, *(step.after for step in outcome.steps)]
            places = [written["before"], *(step["after"] for step in written["steps"])]
            for of_moment, place in zip(figures, places, strict=True):
                if of_moment is not None:
                    place["ratio_percent"] = of_moment.ratio
        return answer
