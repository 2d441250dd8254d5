"""Shell lines of recordings, read as demand."""
# ruff: noqa: S108 - paths inside the simulated guest

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sim.guest.load_commands import Action, apply, ooms, parse_command
from tests.guest.machines import MIB, guest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("load anon a 256 small", [Action("anon", "a", 256)]),
        ("load anon a 256 huge lock", [Action("anon", "a", 256, 1)]),
        ("load cache /mnt/s0 512; load kill a", [Action("cache", "/mnt/s0", 512), Action("kill", "a")]),
        ("load files /tmp/f 8000 4096", [Action("files", "/tmp/f", 8000, 4096)]),
        ("load socks s 250 128", [Action("socks", "s", 250, 128 << 10)]),
        ("load kill g3 2>/dev/null; true", [Action("kill", "g3")]),
        ("rm -rf /tmp/a /mnt/b", [Action("remove", "/tmp/a"), Action("remove", "/mnt/b")]),
        ("sync; echo 3 > /proc/sys/vm/drop_caches", [Action("sync"), Action("drop", "", 3)]),
        ("echo 1 >/proc/sys/vm/drop_caches", [Action("drop", "", 1)]),
        ("ls -lR /mnt | wc -l", [Action("look", "/mnt")]),
        ("mkdir -p /tmp/x && touch /tmp/x/1", [Action("files", "/tmp/x", 1)]),
        ("[ 2 -gt 3 ] && load pt t 5; load pt u 6", [Action("pt", "u", 6)]),
        ("false || load pt t 5", [Action("pt", "t", 5)]),
        ("for k in 1 2; do load pt t$k $((k*10)); done", [Action("pt", "t1", 10), Action("pt", "t2", 20)]),
        (
            "for k in 1 2 3; do load procs c$k 100; [ $k -gt 1 ] && rm -rf /mnt/c$((k-1)) && load kill c$((k-1)); done",
            [
                Action("procs", "c1", 100),
                Action("procs", "c2", 100),
                Action("remove", "/mnt/c1"),
                Action("kill", "c1"),
                Action("procs", "c3", 100),
                Action("remove", "/mnt/c2"),
                Action("kill", "c2"),
            ],
        ),
        (
            "mkdir -p /tmp/f1; i=0; while [ $i -lt 120 ]; do : > /tmp/f1/$i; i=$((i+1)); done",
            [Action("files", "/tmp/f1", 120)],
        ),
        (
            "mount -t tmpfs -o size=90% tmpfs /tmp; dd if=/dev/zero of=/tmp/big bs=1M count=500 2>/dev/null",
            [Action("fill", "/tmp/big", 500)],
        ),
        ("dd if=/mnt/big of=/dev/null bs=64k count=160", [Action("cache", "/mnt/big", 10)]),
        ("frobnicate 7", [Action("unknown", "frobnicate 7")]),
        ("load anon a", [Action("unknown", "load anon a")]),
    ],
)
def test_lines(line: str, expected: list[Action]) -> None:
    assert parse_command(line) == expected


@pytest.mark.parametrize("line", ["for k in 1 2; do load pt t 1", "while [ 1 -lt 2 ]; do true; done"])
def test_loops_that_never_end_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="shell line"):
        parse_command(line, max_rounds=100)


def test_a_loop_may_take_as_many_rounds_as_allowed() -> None:
    line = "i=0; while [ $i -lt 100 ]; do load pt t$i 1; i=$((i+1)); done"
    assert len(parse_command(line, max_rounds=101)) == 100
    with pytest.raises(ValueError, match="does not end"):
        parse_command(line, max_rounds=100)


def test_actions_reach_the_guest() -> None:
    model = guest(4096)
    done = apply(
        model,
        parse_command(
            "load anon a 10 small; load cache /mnt/s 20; load fill /tmp/d 30; load fill /mnt/w 40;"
            "load files /mnt/f 100 4096; load files /tmp/g 100 0; load procs p 5; load pt t 6; load pipes q 7;"
            "load socks s 8 9"
        ),
    )
    assert [item.demand.share for item in done] == [1.0] * 10
    assert {name: load.kind.value for name, load in model.loads.items()} == {
        "a": "anonymous",
        "/mnt/s": "page cache",
        "/tmp/d": "tmpfs data",
        "/mnt/w": "page cache",
        "/mnt/f": "disk files",
        "/tmp/g": "tmpfs files",
        "p": "processes",
        "t": "page tables",
        "q": "pipes",
        "s": "sockets",
    }
    line = "load kill a; load kill p; load kill t; load kill q; load kill s; rm -f /mnt/s* /tmp/?; rm -rf /mnt"
    apply(model, parse_command(line))
    assert [load.name for load in model.named_loads()] == []


def test_kills_of_a_line_are_listed_in_order() -> None:
    model = guest(1024)
    done = apply(model, parse_command("load pt a 500; load pt b 450; load pt c 390"))
    assert [event.victim for event in ooms(done)] == ["a", "b"]
    assert 0 < ooms(done)[0].done_share < 1
    assert model.loads["c"].kernel_pages() > 390 * MIB


def test_all_recorded_lines_are_understood(shared_dir: Path) -> None:
    lines = 0
    for path in sorted((shared_dir / "kernel-traces" / "guest-load").glob("*.json")):
        for step in json.loads(path.read_text())["steps"]:
            if step["op"] == "exec":
                lines += 1
                unknown = [a for a in parse_command(step["command"]) if a.verb == "unknown"]
                assert not unknown or "compact_memory" in step["command"], f"{path.stem}: {unknown}"
    assert lines
