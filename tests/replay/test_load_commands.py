"""Shell lines of recordings, read as demand."""
# ruff: noqa: S108 - paths inside the simulated guest

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sim.memory.zones import ZONE_NORMAL
from sim.replay.load_commands import Action, Verb, apply, ooms
from sim.replay.shell_lines import parse_command
from tests.guest.machines import MIB, guest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("load anon a 256 small", [Action(Verb.ANON, "a", 256)]),
        ("load anon a 256 huge lock", [Action(Verb.ANON, "a", 256, huge=True)]),
        ("load cache /mnt/s0 512; load kill a", [Action(Verb.CACHE, "/mnt/s0", 512), Action(Verb.KILL, "a")]),
        ("load files /tmp/f 8000 4096", [Action(Verb.FILES, "/tmp/f", 8000, 4096)]),
        ("load socks s 250 128", [Action(Verb.SOCKETS, "s", 250, 128 << 10)]),
        ("load kill g3 2>/dev/null; true", [Action(Verb.KILL, "g3")]),
        ("rm -rf /tmp/a /mnt/b", [Action(Verb.REMOVE, "/tmp/a"), Action(Verb.REMOVE, "/mnt/b")]),
        ("sync; echo 3 > /proc/sys/vm/drop_caches", [Action(Verb.SYNC), Action(Verb.DROP, "", 3)]),
        ("echo 1 >/proc/sys/vm/drop_caches", [Action(Verb.DROP, "", 1)]),
        ("ls -lR /mnt | wc -l", [Action(Verb.LOOK, "/mnt")]),
        ("mkdir -p /tmp/x && touch /tmp/x/1", [Action(Verb.FILES, "/tmp/x", 1)]),
        ("[ 2 -gt 3 ] && load pt t 5; load pt u 6", [Action(Verb.PAGE_TABLES, "u", 6)]),
        ("false || load pt t 5", [Action(Verb.PAGE_TABLES, "t", 5)]),
        (
            "for k in 1 2; do load pt t$k $((k*10)); done",
            [Action(Verb.PAGE_TABLES, "t1", 10), Action(Verb.PAGE_TABLES, "t2", 20)],
        ),
        (
            "for k in 1 2 3; do load procs c$k 100; [ $k -gt 1 ] && rm -rf /mnt/c$((k-1)) && load kill c$((k-1)); done",
            [
                Action(Verb.PROCESSES, "c1", 100),
                Action(Verb.PROCESSES, "c2", 100),
                Action(Verb.REMOVE, "/mnt/c1"),
                Action(Verb.KILL, "c1"),
                Action(Verb.PROCESSES, "c3", 100),
                Action(Verb.REMOVE, "/mnt/c2"),
                Action(Verb.KILL, "c2"),
            ],
        ),
        (
            "mkdir -p /tmp/f1; i=0; while [ $i -lt 120 ]; do : > /tmp/f1/$i; i=$((i+1)); done",
            [Action(Verb.FILES, "/tmp/f1", 120)],
        ),
        (
            "mount -t tmpfs -o size=90% tmpfs /tmp; dd if=/dev/zero of=/tmp/big bs=1M count=500 2>/dev/null",
            [Action(Verb.FILL, "/tmp/big", 500)],
        ),
        ("dd if=/mnt/big of=/dev/null bs=64k count=160", [Action(Verb.CACHE, "/mnt/big", 10)]),
        ("dd if=/mnt/a=b of=/dev/null bs=1M count=3", [Action(Verb.CACHE, "/mnt/a=b", 3)]),
        (
            "for k in 1 2; do load pt t$k 1; done; for k in 3; do load pt u$k 2; done",
            [Action(Verb.PAGE_TABLES, "t1", 1), Action(Verb.PAGE_TABLES, "t2", 1), Action(Verb.PAGE_TABLES, "u3", 2)],
        ),
        (
            "[ -3 -lt -2 ] && load pt t 5; [ 1 -gt -2 ] && load pt u 6",
            [Action(Verb.PAGE_TABLES, "t", 5), Action(Verb.PAGE_TABLES, "u", 6)],
        ),
        (
            "load cache /mnt/s0 1 && load anon a 1 || load anon b 2",
            [Action(Verb.CACHE, "/mnt/s0", 1), Action(Verb.ANON, "a", 1)],
        ),
        (
            "echo 2 > /proc/sys/vm/drop_caches; ls /mnt; ls -l /mnt; ls -lR",
            [Action(Verb.DROP, "", 2), Action(Verb.UNKNOWN, "ls /mnt"), Action(Verb.UNKNOWN, "ls -l /mnt")],
        ),
        (
            "sync /a /b; du -s /mnt; find /tmp -name x",
            [Action(Verb.SYNC, "/a"), Action(Verb.SYNC, "/b"), Action(Verb.LOOK, "/mnt"), Action(Verb.LOOK, "/tmp")],
        ),
        ("touch /a/1 /a/2 /b/1; : > /b/2", [Action(Verb.FILES, "/a", 2), Action(Verb.FILES, "/b", 2)]),
        (
            "dd if=/dev/zero of=/mnt/x bs=2M count=3 conv=fsync; dd if=/dev/zero of=/dev/null count=9",
            [Action(Verb.FILL, "/mnt/x", 6)],
        ),
        ("dd if=/mnt/x of=/mnt/y bs=1G count=1", [Action(Verb.FILL, "/mnt/y", 1024)]),
        ("dd if=/mnt/x of=/mnt/y bs=4096 count=1024", [Action(Verb.FILL, "/mnt/y", 4)]),
        ("dd if=/mnt/x of=/dev/null count=8192", [Action(Verb.CACHE, "/mnt/x", 4)]),
        ("a=2; b=$((a*3 + 4 - 1)); load pt t $b", [Action(Verb.PAGE_TABLES, "t", 9)]),
        ("N=3; load pt t $((N*2))", [Action(Verb.PAGE_TABLES, "t", 6)]),
        (
            'names="a b"; for k in $names; do load pt $k 1; done',
            [Action(Verb.PAGE_TABLES, "a", 1), Action(Verb.PAGE_TABLES, "b", 1)],
        ),
        (
            "x=7; load pt \"t$x\" ${x}; load pt 't' 1",
            [Action(Verb.PAGE_TABLES, "t7", 7), Action(Verb.PAGE_TABLES, "t", 1)],
        ),
        (
            "for v in -lt -le -eq -ne -ge -gt; do [ 3 $v 3 ] && load pt $v 3; [ 2 $v 3 ] && load pt $v 2; done",
            [
                Action(Verb.PAGE_TABLES, name, amount)
                for name, amount in (("-lt", 2), ("-le", 3), ("-le", 2), ("-eq", 3), ("-ne", 2), ("-ge", 3))
            ],
        ),
        (
            "[ a = a ] && load pt a 1; test a = b || load pt b 1; test a = a && load pt c 1",
            [Action(Verb.PAGE_TABLES, "a", 1), Action(Verb.PAGE_TABLES, "b", 1), Action(Verb.PAGE_TABLES, "c", 1)],
        ),
        (
            "for i in 1 2; do for j in 1 2; do load pt $i$j 1; done; done; load pt end 1",
            [Action(Verb.PAGE_TABLES, name, 1) for name in ("11", "12", "21", "22", "end")],
        ),
        ("false && for i in 1 2; do load pt $i 1; done; load pt end 1", [Action(Verb.PAGE_TABLES, "end", 1)]),
        (
            "load pt a 1 >/dev/null 2>&1 & load pt b 2 | cat",
            [Action(Verb.PAGE_TABLES, "a", 1), Action(Verb.PAGE_TABLES, "b", 2), Action(Verb.UNKNOWN, "cat")],
        ),
        ("echo > /proc/sys/vm/drop_caches; echo x >/proc/sys/vm/drop_caches", [Action(Verb.DROP, "", 3)] * 2),
        ("echo 1 2>/proc/sys/vm/drop_caches; : 2>/mnt/x; : >&2; true >", []),
        (
            "> /mnt/x; load pt a 1\nload pt b 2",
            [Action(Verb.FILES, "/mnt", 1), Action(Verb.PAGE_TABLES, "a", 1), Action(Verb.PAGE_TABLES, "b", 2)],
        ),
        ("[ 3 -like 3 ] && load pt a 1; [ 1 -lt b ] && load pt b 1; [ a -lt 3 ] && load pt c 1", []),
        ("load socks s 5", [Action(Verb.UNKNOWN, "load socks s 5")]),
        ("load files /mnt/f 5", [Action(Verb.UNKNOWN, "load files /mnt/f 5")]),
        ("load kill", [Action(Verb.UNKNOWN, "load kill")]),
        ("frobnicate 7", [Action(Verb.UNKNOWN, "frobnicate 7")]),
        ("load anon a", [Action(Verb.UNKNOWN, "load anon a")]),
    ],
)
def test_lines(line: str, expected: list[Action]) -> None:
    assert parse_command(line) == expected


@pytest.mark.parametrize(
    "line", ["for k in 1 2; do load pt t 1", "while [ 1 -lt 2 ]; do true; done", "while true; do load pt t 1; done"]
)
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
        "p": "workers",
        "t": "page tables",
        "q": "pipes",
        "s": "sockets",
    }
    line = "load kill a; load kill p; load kill t; load kill q; load kill s; rm -f /mnt/s* /tmp/?; rm -rf /mnt"
    apply(model, parse_command(line))
    assert [load.name for load in model.demands.named_loads()] == []


@pytest.mark.parametrize(("number", "cache", "inodes"), [(1, 0, 434), (2, 5120, 0), (3, 0, 0)])
def test_drop_caches_1_is_page_cache_2_is_slab(number: int, cache: int, inodes: int) -> None:
    model = guest(4096)
    line = f"load cache /mnt/c 20; load files /mnt/d 1000 0; echo {number} > /proc/sys/vm/drop_caches"
    assert ooms(apply(model, parse_command(line))) == ()
    assert model.loads["/mnt/c"].user_pages() == cache
    assert model.loads["/mnt/d"].kernel_pages() == pytest.approx(inodes, abs=1)


def test_amounts_reach_the_guest() -> None:
    model = guest(4096)
    done = apply(
        model,
        parse_command(
            "load anon a 10 huge; load cache /mnt/s 20; load fill /tmp/d 30; load fill /mnt/w 40;"
            "load files /mnt/f 100 4096; load files /tmp/g 100 5000; load procs p 5; load pt t 6; load pipes q 7;"
            "load socks s 8 9; frobnicate; load anon b 3 small"
        ),
    )
    assert [item.action.name for item in done][-2:] == ["frobnicate", "b"]
    assert {name: (load.units, load.user_pages(), load.kernel_pages()) for name, load in model.loads.items()} == {
        "a": (10 * MIB, 10 * MIB, 6),  # 2.2 KiB a MiB
        "/mnt/s": (20 * MIB, 20 * MIB, 12),  # 2.3 KiB
        "/tmp/d": (30 * MIB, 30 * MIB, 15),  # 2 KiB
        "/mnt/w": (40 * MIB, 40 * MIB, 23),
        "/mnt/f": (100, 100, 48),  # 1,964 bytes
        "/tmp/g": (100, 200, 26),  # 1,048 bytes
        "p": (5, 20, 86),  # 69 KiB
        "t": (6 * MIB, 0, 1541),  # 3 in 1,000 more
        "q": (7, 0, 117),  # 68,370 bytes
        "s": (8, 0, 31),  # 4,899 bytes, and 9 KiB of data with 1.1883 for each byte
        "b": (3 * MIB, 3 * MIB, 2),
    }
    assert [item.demand.pages for item in done][:3] == [10 * MIB + 6, 20 * MIB + 12, 30 * MIB + 15]
    assert done[-2].demand.pages == 0
    assert [name for name, load in model.loads.items() if load.huge] == ["a"]
    assert model.loads["/mnt/w"].dirty == 40 * MIB
    assert [item.demand.pages for item in apply(model, parse_command("sync; rm /mnt/w"))] == [0, 0]
    assert "/mnt/w" not in model.loads
    assert sum(load.dirty for load in model.loads.values()) == 0


def test_a_line_acts_on_one_node_and_stops_when_the_guest_dies() -> None:
    model = guest(1024)
    model.online(ZONE_NORMAL, 1, 4096, 8, 32768)
    apply(model, parse_command("load anon a 10; load pt t 5; load pipes q 1; load socks s 1 1; load procs p 1"), 1)
    apply(
        model, parse_command("load files /tmp/f 9 0; load files /mnt/f 9 0; load fill /tmp/d 1; load cache /mnt/c 1"), 1
    )
    assert {load.node for load in model.loads.values()} == {1}
    apply(model, parse_command("load anon c 1"))
    assert model.loads["c"].node == 0
    done = apply(model, parse_command("load files /tmp/g 9000000 0; load anon b 1"))
    assert model.killer.guest_died
    assert len(done) == 1
    assert "b" not in model.loads


def test_wildcards_and_looks_reach_what_they_name() -> None:
    model = guest(4096)
    apply(model, parse_command("load files /mnt/a1 300 0; load files /mnt/a2 300 0; load files /mnt/b 300 0"))
    apply(model, parse_command("echo 2 > /proc/sys/vm/drop_caches"))
    assert [load.kernel_pages() for load in model.loads.values()] == [0, 0, 0]
    done = apply(model, parse_command("ls -lR /mnt/a1"))
    assert done[0].demand.pages == 130
    assert [load.kernel_pages() for load in model.loads.values()] == [130, 0, 0]
    apply(model, parse_command("rm -rf /mnt/a*"))
    assert list(model.loads) == ["/mnt/b"]
    apply(model, parse_command("rm -rf /mnt/[bc]"))
    assert not model.loads


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


def test_a_group_in_the_background_keeps_its_pauses_and_others_do_not() -> None:
    line = "(i=0; while [ $i -lt 2 ]; do load pt r$i 12; sleep 0.5; i=$((i+1)); done) > /dev/null &"
    assert parse_command(line) == [
        Action(Verb.PAGE_TABLES, "r0", 12, background=True),
        Action(Verb.SLEEP, amount=500, background=True),
        Action(Verb.PAGE_TABLES, "r1", 12, background=True),
        Action(Verb.SLEEP, amount=500, background=True),
    ]
    assert parse_command("(sleep 3; load kill a); sleep 2; load kill b") == [
        Action(Verb.KILL, "a"), Action(Verb.KILL, "b"),
    ]  # fmt: skip
    assert parse_command("(sleep 1m; sleep $x) &") == [Action(Verb.SLEEP, background=True)] * 2
    with pytest.raises(ValueError, match=r"'\(' without"):
        parse_command("(load kill a")


def test_programs_are_ended_by_the_names_of_their_files() -> None:
    model = guest(4096)
    apply(model, parse_command("load pt r0 1; load pt r1 1; load pt s 1"))
    apply(model, parse_command("for p in /run/load/r*; do load kill $(basename $p); done"))
    assert list(model.loads) == ["s"]
