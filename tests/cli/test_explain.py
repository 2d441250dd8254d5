"""What ``memhp-sim explain`` says of adds that fail, of blocks that refuse, and of those that are put back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import tomli_w
from click.testing import CliRunner

from sim.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = """t_s,op,device,kind,size_bytes
0,plug,a,dimm,512MiB
2,demand,load,{kind},{amount}
3,unplug,a,,
9,demand,load,{kind},0
10,plug,big,dimm,64GiB
"""


def explained(folder: Path, *, kind: str, amount: str, policy: str = "contig-zones") -> list[str]:
    (folder / "requests.csv").write_text(REQUESTS.format(kind=kind, amount=amount), "utf-8")
    experiment: dict[str, Any] = {
        "description": "up and down",
        "machines": [{"label": "vm", "boot_memory": "1GiB", "slots": 8}],
        "policies": [{"name": policy}],
        "workloads": [{"name": "request-replay", "path": "requests.csv", "tail": 9}],
        "guest": {"model": "linux"},
    }
    path = folder / "explain.toml"
    path.write_text(tomli_w.dumps(experiment), "utf-8")
    result = CliRunner().invoke(main, ["explain", str(path)])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()[1:]


def test_blocks_that_refuse_are_told_apart_from_those_that_are_put_back(tmp_path: Path) -> None:
    """Kernel memory lies low: the lower blocks refuse, the upper ones go offline and come back, each in turn."""
    lines = explained(tmp_path, kind="kernel", amount="200MiB")
    said = [re.sub(r"^ +[\d.]+ s +", "", line) for line in lines]
    refusal = "offline -> refused, stays in Normal: it holds pages that cannot move"
    reason = "online -> Normal: inside neither the Normal nor the Movable span: Normal"
    assert said[0] == f"blocks 32-35: {reason}"
    (first, second) = (line for line in said if line.endswith(refusal))
    refused = re.match(r"blocks 32-(\d+): ", first)
    assert refused is not None
    last = int(refused[1])
    assert last == 33, "some refuse, some do not"
    assert second == f"block 32: {refusal}", "the second attempt ends at the first that refuses"
    back = [line for line in said if "put back, " in line]
    assert len(back) == 1
    assert back[0].startswith(
        (f"block {last + 1}: put back, online -> ", f"blocks {last + 1}-35: put back, online -> ")
    )
    assert "a: failed: EBUSY: a holds memory that cannot move" in said


def test_an_add_that_fails_is_told_with_what_was_missing(tmp_path: Path) -> None:
    lines = explained(tmp_path, kind="tmpfs", amount="64MiB", policy="online-movable")
    (failed,) = (line for line in lines if "ENOMEM" in line)
    found = re.fullmatch(
        r" +[\d.]+ s +big: failed: ENOMEM: no memory for the memmap of 512 blocks, 1,024.0 MiB: "
        r"kernel requests could get ([\d,.]+) MiB",
        failed,
    )
    assert found is not None, failed
    assert 500 < float(found[1]) < 1000


def test_a_removal_that_succeeds_puts_nothing_back(tmp_path: Path) -> None:
    lines = explained(tmp_path, kind="tmpfs", amount="64MiB", policy="online-movable")
    assert not any("put back" in line or "refused" in line for line in lines)


def test_what_the_host_refuses_by_itself_is_told_with_its_reason(tmp_path: Path) -> None:
    requests = """t_s,op,device,kind,size_bytes,address,block_bytes,max_bytes
0,plug,far,dimm,512MiB,0x10000000000,,
1,plug,low,dimm,512MiB,0x40000000,,
2,plug,odd,dimm,512MiB,0x180001000,,
3,plug,a,dimm,512MiB,,,
4,plug,on,virtio-mem,,0x110000000,2MiB,1GiB
5,plug,b,dimm,512MiB,,,
6,plug,large,dimm,8GiB,,,
7,plug,v,virtio-mem,,,2MiB,512MiB
8,plug,c,dimm,512MiB,,,
9,plug,again,dimm,512MiB,,,
10,unplug,far,,,,,
"""
    (tmp_path / "requests.csv").write_text(requests, "utf-8")
    experiment: dict[str, Any] = {
        "machines": [{"label": "vm", "boot_memory": "1GiB", "slots": 3, "max_memory": "6GiB"}],
        "policies": [{"name": "contig-zones"}],
        "workloads": [{"name": "request-replay", "path": "requests.csv"}],
    }
    path = tmp_path / "explain.toml"
    path.write_text(tomli_w.dumps(experiment), "utf-8")
    result = CliRunner().invoke(main, ["explain", str(path)])
    assert result.exit_code == 0, result.output
    said = [line.split(" s  ")[1] for line in result.output.splitlines() if "the host refuses" in line]
    assert said == [
        "far: failed: ENOSPC: the host refuses: 0x10000000000 is not from 0x100000000 to 0x300000000",
        "low: failed: ENOSPC: the host refuses: 0x40000000 is not from 0x100000000 to 0x300000000",
        "odd: failed: EINVAL: the host refuses: size and address are no multiples of 2MiB",
        "on: failed: ENOSPC: the host refuses: a lies at 0x100000000",
        "large: failed: ENOSPC: the host refuses: no 8GiB are left of max_memory",
        "again: failed: ENOSPC: the host refuses: no slot is left",
        "far: failed: ENODEV: the host refuses: there is no such DIMM or dax device",
    ]


def test_blocks_that_user_space_does_not_hear_of_are_told(tmp_path: Path) -> None:
    experiment: dict[str, Any] = {
        "machines": [{"label": "vm", "boot_memory": "4GiB"}],
        "policies": [{"name": "user-space", "buffer": 5}],
        "workloads": [{"name": "dimm-slots", "slots": 1, "initial": 1, "grow_probability": 1.0, "duration": 60}],
    }
    path = tmp_path / "explain.toml"
    path.write_text(tomli_w.dumps(experiment), "utf-8")
    result = CliRunner().invoke(main, ["explain", str(path)])
    assert result.exit_code == 0, result.output
    said = [line.split(" s  ")[1] for line in result.output.splitlines() if " s  " in line]
    assert said[0] == "blocks 45-47: user space does not hear of them, its buffer is full: they stay offline"
    assert [line.partition(":")[0] for line in said[1:]] == [f"block {block}" for block in range(40, 45)]


def test_a_run_in_which_nothing_is_decided_says_so(tmp_path: Path) -> None:
    path = tmp_path / "idle.toml"
    path.write_text(
        'machines = [{ boot_memory = "1GiB", cmdline = "" }]\n'
        'workloads = [{ name = "steps", steps = ["plug dimm:1GiB", "unplug new-dimm0"] }]\n',
        "utf-8",
    )
    result = CliRunner().invoke(main, ["explain", str(path)])
    assert result.output.splitlines()[1:] == ["  nothing was decided: no block was put online or refused to go offline"]
