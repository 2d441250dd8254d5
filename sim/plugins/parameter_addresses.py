"""Parameters that are addresses: the word for them, beside those of :mod:`sim.plugins.parameter_types`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sim.plugins import values
from sim.plugins.parameter_types import Size


@dataclass(frozen=True)
class Address(Size):
    """The address of a byte: in a file as a size, or a string such as ``"0x140000000"``."""

    word: ClassVar[str] = "address"

    zero: bool = True
    unit: str = field(default="-", kw_only=True)

    def read(self, value: object) -> object:
        """Return the address, of which no machine has more than it addresses."""
        return values.address(value)

    @property
    def in_words(self) -> str:
        """Which values are taken."""
        return 'an address, such as "5GiB" or "0x140000000"' + (", or 0" if self.zero else "")

    def written(self, value: object) -> object:
        """Return the address as the kernel writes it."""
        return f"{value:#x}" if isinstance(value, int) and value else "0"

    def json_schema(self) -> dict[str, Any]:
        """Return the schema: that of a size, and hexadecimal."""
        size = super().json_schema()
        hexadecimal = {"type": "string", "pattern": f"^{values.HEXADECIMAL.pattern}$"}
        return {
            "anyOf": [*size["anyOf"], hexadecimal],
            "description": "A byte's address: bytes, a string with a unit such as 5GiB, or 0x140000000.",
        }
