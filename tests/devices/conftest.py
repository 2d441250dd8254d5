"""Every device test ends with a look at the books of the machines that it made."""

from tests.devices.rig import books_agree

__all__ = ["books_agree"]
