"""The page size of the machines that tests make, unless they say otherwise."""

from __future__ import annotations

from typing import Final

from sim.pages import PAGES_4K

PAGE_SIZE: Final = PAGES_4K.size
