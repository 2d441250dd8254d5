"""How a replay compared with its recording: what was compared, what differed, which refusals were taken from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

BOOT: Final = -1
"""Instead of a step's number: before the first step."""


@dataclass(frozen=True, slots=True)
class Chance:
    """What chance decided in a step of a free run: blocks that ``recorded`` kept, and those that ``simulated`` would.

    Both are of kernel zones (or hold boot allocations): where an idle kernel has a few pages that cannot move.
    """

    recorded: tuple[int, ...]
    simulated: tuple[int, ...]

    def __str__(self) -> str:
        def blocks(numbers: tuple[int, ...]) -> str:
            return ", ".join(map(str, numbers)) if numbers else "none"

        stayed = f"{blocks(self.recorded)} in the recording, {blocks(self.simulated)} in the model"
        if self.recorded == self.simulated:
            stayed = f"{blocks(self.recorded)}, with other pieces in the recording than in the model"
        return f"kernel blocks that stayed: {stayed}; which of them hold an idle kernel's few pages is chance"


@dataclass(slots=True)
class ReplayReport:
    """How a replay compared.

    Each mismatch is a dict with ``step`` (from 0, or BOOT), what it is about under ``block``, ``zone``, ``device`` or
    ``guest``, ``recorded`` and ``simulated``.
    """

    trace: str
    kernel: str
    steps: int = 0
    blocks_compared: int = 0
    block_mismatches: list[dict[str, object]] = field(default_factory=list)
    zone_mismatches: list[dict[str, object]] = field(default_factory=list)
    size_mismatches: list[dict[str, object]] = field(default_factory=list)
    state_mismatches: list[dict[str, object]] = field(default_factory=list)
    address_mismatches: list[dict[str, object]] = field(default_factory=list)
    death_mismatches: list[dict[str, object]] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    """Blocks that refused to go offline, by step."""
    chance: dict[int, Chance] = field(default_factory=dict)
    """Of a free run: the steps in which refusals were taken from the recording."""
    failed_adds: dict[int, int] = field(default_factory=dict)
    """Adds that failed as they did in the recording, by step."""

    @property
    def refused_by_guest(self) -> int:
        """Blocks that refused, taken from the recording."""
        return sum(self.refused.values())

    @property
    def mismatches(self) -> list[dict[str, object]]:
        """All that differed: blocks first, then zones, sizes and addresses of devices, states of dax devices, death."""
        return [
            *self.block_mismatches,
            *self.zone_mismatches,
            *self.size_mismatches,
            *self.address_mismatches,
            *self.state_mismatches,
            *self.death_mismatches,
        ]

    @property
    def identical(self) -> bool:
        """Whether nothing differed."""
        return not self.mismatches

    def differs_in_block(self, step: int, block: int, recorded: object, simulated: object) -> None:
        """Note that ``block`` is not as recorded after ``step``."""
        _note(self.block_mismatches, step, "block", block, recorded, simulated)

    def differs_in_zone(self, step: int, zone: str, recorded: object, simulated: object) -> None:
        """Note that ``zone``, such as ``0/Normal``, is not as recorded after ``step``."""
        _note(self.zone_mismatches, step, "zone", zone, recorded, simulated)

    def differs_in_size(self, step: int, device: str, recorded: object, simulated: object) -> None:
        """Note that ``device`` has not plugged the bytes that were recorded after ``step``."""
        _note(self.size_mismatches, step, "device", device, recorded, simulated)

    def differs_in_address(self, step: int, device: str, recorded: object, simulated: object) -> None:
        """Note that ``device`` is not at the address (None: not attached) that was recorded after ``step``."""
        _note(self.address_mismatches, step, "device", device, recorded, simulated)

    def differs_in_death(self, step: int, recorded: object, simulated: object) -> None:
        """Note that it was not as in the recording that the guest died, or lived, up to and with ``step``."""
        _note(self.death_mismatches, step, "guest", "died", recorded, simulated)

    def differs_in_state(self, step: int, device: str, recorded: object, simulated: object) -> None:
        """Note that the ``state`` of a dax ``device``, or how writing to it went, is not as recorded after ``step``."""
        _note(self.state_mismatches, step, "device", device, recorded, simulated)

    def to_json(self) -> dict[str, object]:
        """Return the object that ``memhp-sim replay --json`` prints."""
        return {
            "trace": self.trace,
            "kernel": self.kernel,
            "steps": self.steps,
            "blocks_compared": self.blocks_compared,
            "block_mismatches": self.block_mismatches,
            "zone_mismatches": self.zone_mismatches,
            "size_mismatches": self.size_mismatches,
            "address_mismatches": self.address_mismatches,
            "state_mismatches": self.state_mismatches,
            "death_mismatches": self.death_mismatches,
            "refused_by_guest": self.refused_by_guest,
            "chance": [
                {"step": step, "recorded": list(chance.recorded), "simulated": list(chance.simulated)}
                for step, chance in self.chance.items()
            ],
            "failed_adds": sum(self.failed_adds.values()),
        }


def _note(
    mismatches: list[dict[str, object]], step: int, what: str, name: object, recorded: object, simulated: object
) -> None:
    mismatches.append({"step": step, what: name, "recorded": recorded, "simulated": simulated})
