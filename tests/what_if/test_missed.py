"""A plan says of blocks that user space does not hear of why they stay offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomli_w
from click.testing import CliRunner

from sim.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


def test_blocks_that_user_space_does_not_hear_of_have_their_reason(tmp_path: Path) -> None:
    policies = [{"name": "as-shipped", "by": by, "label": by} for by in ("kata-1", "debian-12")]
    path = tmp_path / "guest.toml"
    path.write_text(tomli_w.dumps({"machines": [{"boot_memory": "4GiB"}], "policies": policies}), "utf-8")
    result = CliRunner().invoke(main, ["plan", str(path), "--plug", "dimm:40GiB@0"])
    assert result.exit_code == 0, result.output
    agent, nobody = result.output.split("\nkata-1\n")[1].split("\ndebian-12\n")
    assert (
        "blocks 296-359 (8GiB, node 0) -> offline\n      user space does not hear of them, its buffer is full"
    ) in agent
    assert "blocks 40-359 (40GiB, node 0) -> offline\n    memmap" in nobody
