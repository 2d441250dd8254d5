"""A copy of ``/sys/devices/system/memory`` written from a picture, for the real ``lsmem --sysroot`` to read."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from sim.snapshot.lsmem_view import SPACINGS, Spacing

if TYPE_CHECKING:
    from pathlib import Path

    from sim.snapshot.picture import Picture


def write_tree(root: Path, picture: Picture) -> None:
    """Write ``picture`` below ``root`` as the kernel shows it, each attribute that is known as a file."""
    memory = root / "sys" / "devices" / "system" / "memory"
    memory.mkdir(parents=True)
    (memory / "block_size_bytes").write_text(f"{picture.block_size:x}\n")
    for view in picture.blocks:
        folder = memory / f"memory{view.block}"
        folder.mkdir()
        files = {
            "state": view.state,
            "phys_index": f"{view.block:08x}",
            "removable": None if view.removable is None else str(int(view.removable)),
            "phys_device": None if view.phys_device is None else str(view.phys_device),
            "valid_zones": None if view.zones is None else view.zones.replace("/", " "),
        }
        for name, content in files.items():
            if content is not None:
                (folder / name).write_text(f"{content}\n")
        if view.node is not None:
            (folder / f"node{view.node}").mkdir()


@functools.cache
def installed_version() -> tuple[int, int]:
    """Return the version of the ``lsmem`` that is installed; without one, the test is skipped."""
    program = shutil.which("lsmem")
    if program is None:
        pytest.skip("lsmem of util-linux is not installed")
    found = re.search(r"(\d+)\.(\d+)", _printed(program, "--version"))
    assert found is not None
    return int(found[1]), int(found[2])


def installed_spacing() -> Spacing:
    """Return the blanks that the ``lsmem`` that is installed prints with."""
    version = installed_version()
    return SPACINGS[max([known for known in SPACINGS if known <= version], default=min(SPACINGS))]


def real_lsmem(root: Path, *options: str) -> str:
    """Return what the ``lsmem`` that is installed prints of the tree below ``root``."""
    program = shutil.which("lsmem")
    assert program is not None
    return _printed(program, "--sysroot", str(root), *options)


def as_read_by(version: tuple[int, int], picture: Picture) -> Picture:
    """Return what ``lsmem`` of ``version`` reads of ``picture``.

    Before 2.42 it looked for zones in block 0 alone, and before 2.41 for nodes in the first block that there is.
    """
    blocks = picture.blocks
    if version < (2, 42) and not any(view.block == 0 and view.zones is not None for view in blocks):
        blocks = tuple(view._replace(zones=None) for view in blocks)
    if version < (2, 41) and blocks[0].node is None:
        blocks = tuple(view._replace(node=None) for view in blocks)
    return dataclasses.replace(picture, blocks=blocks)


def _printed(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "LSMEM_COLUMNS"} | {"LC_ALL": "C"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
