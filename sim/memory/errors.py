"""The errors of the memory hotplug core, named as Linux names them."""

from __future__ import annotations

import errno
from typing import Final

from sim.faults import MemhpSimError
from sim.units import format_size

# Linux numbers: errno's own constants differ on other systems, and results must not.
EPERM: Final = 1
EINTR: Final = 4
EAGAIN: Final = 11
ENOMEM: Final = 12
EBUSY: Final = 16
EEXIST: Final = 17
ENODEV: Final = 19
EINVAL: Final = 22
ETXTBSY: Final = 26
ENOSPC: Final = 28
E2BIG: Final = 7

NAMES: Final = {
    EPERM: "EPERM",
    EINTR: "EINTR",
    E2BIG: "E2BIG",
    EAGAIN: "EAGAIN",
    ENOMEM: "ENOMEM",
    EBUSY: "EBUSY",
    EEXIST: "EEXIST",
    ENODEV: "ENODEV",
    EINVAL: "EINVAL",
    ETXTBSY: "ETXTBSY",
    ENOSPC: "ENOSPC",
}


class HotplugError(MemhpSimError):
    """A call failed as the kernel's would. ``errno`` is the Linux number, ``name`` its name, ``reason`` one line.

    ``moved``: pages that were moved before it failed, in vain.
    """

    def __init__(self, number: int, reason: str, *, moved: int = 0) -> None:
        super().__init__(f"{NAMES.get(number, errno.errorcode.get(number, str(number)))}: {reason}")
        self.errno = number
        self.reason = reason
        self.moved = moved

    @classmethod
    def unaligned(cls, start: int, length: int, block: int) -> HotplugError:
        """Return the error for a range that is not whole memory blocks of ``block``; all in bytes."""
        size, whole = format_size(length), format_size(block)
        return cls(EINVAL, f"{size} at {start:#x} are not whole memory blocks of {whole}")

    @property
    def name(self) -> str:
        """The symbolic name, such as ``"EBUSY"``."""
        return NAMES.get(self.errno, str(self.errno))
