"""Inputs for readers of files, most of them damaged, foreign or hostile; each by its number, the same every time."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.places import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LSMEM: Final = """\
RANGE                                 SIZE   STATE REMOVABLE BLOCK NODE   ZONES
0x0000000000000000-0x000000007fffffff   2G  online       yes  0-15    0   DMA32
0x0000000100000000-0x000000017fffffff   2G  online        no 32-47    0  Normal
0x0000000180000000-0x0000000187ffffff 128M offline              48    1 Movable

Memory block size:       128M
Total online memory:       4G
Total offline memory:    128M
"""
JSON: Final = json.dumps(
    {
        "memory": [
            {"range": "0x0000000000000000-0x0000000007ffffff", "size": "128M", "state": "online", "removable": True,
             "block": "0", "node": 0, "zones": "None"},
            {"range": "0x0000000008000000-0x000000000fffffff", "size": 134217728, "state": "offline", "removable": None,
             "block": "1", "node": "0", "zones": "Normal/Movable"},
        ]
    },
    indent=1,
)  # fmt: skip
PAIRS: Final = 'RANGE="0x0000000000000000-0x0000000007ffffff" SIZE="128M" STATE="online" BLOCK="0" ZONES="DMA"\n'
ZONEINFO: Final = (
    "Node 0, zone   Normal\n  per-node stats\n      nr_inactive_anon 5\n  pages free     3840\n        min      18\n"
    "        low      22\n        high     26\n        spanned  4095\n        present  3998\n        managed  3840\n"
    "        cma      0\n        protection: (0, 2999)\n  start_pfn:           1048576\n"
)
MEMINFO: Final = (
    "MemTotal:         995416 kB\nMemFree:          700000 kB\nHugePages_Total:       0\nNode 0 MemTotal: 5 kB\n"
)
FREE: Final = (
    "$ free -m\n              total        used        free      shared  buff/cache   available\n"
    "Mem:            3944         512        2606           9         826        3195\nSwap:  979  0  979\n"
)
CMDLINE: Final = "BOOT_IMAGE=/boot/vmlinuz root=UUID=1-2 ro quiet memhp_default_state=online movable_node\n"
LOG: Final = (
    "[    0.000000] Linux version 6.12.1-amd64 (x86_64-linux-gnu-gcc-14) #1 SMP\n"
    "[    0.000000] Command line: root=/dev/vda1 quiet\n"
    "[    0.000000]   node   0: [mem 0x0000000000100000-0x000000003fffffff]\n"
    "[    0.038992] Memory: 3015092K/3145332K available (16384K kernel code, 129980K reserved, 0K cma-reserved)\n"
)
REPORT: Final = (
    "[ 5.1] stress invoked oom-killer: gfp_mask=0x140cca, order=0\n[ 5.1] Mem-Info:\n"
    "[ 5.1] Node 0 Normal free:1024kB boost:0kB min:276kB low:344kB high:412kB present:15988kB managed:15904kB\n"
    "[ 5.1] lowmem_reserve[]: 0 0\n[ 5.1] Node 0 Normal: 0*4kB 1*8kB (U) = 1024kB\n"
    "[ 5.1] Out of memory: Killed process 1822 (stress) total-vm:742748kB\n"
)
GETCONF: Final = "$ getconf PAGESIZE\n4096\n"
UNAME: Final = "Linux vm 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 x86_64 GNU/Linux\n"
XML: Final = (
    "<?xml version='1.0'?>\n<domain type='kvm'><name>g</name><maxMemory slots='16' unit='GiB'>64</maxMemory>"
    "<memory unit='GiB'>2</memory><cpu><numa><cell id='0' cpus='0-3' memory='1' unit='GiB'/></numa></cpu><devices>"
    "<memory model='virtio-mem'><target><size unit='GiB'>8</size><node>0</node><block unit='MiB'>2</block>"
    "<requested unit='GiB'>1</requested></target></memory></devices></domain>\n"
)
QEMU: Final = (
    'Memory device [dimm]: "dimm0"\n  addr: 0x140000000\n  slot: 0\n  node: 1\n  size: 1073741824\n'
    "  memdev: /objects/mem1\n  hotplugged: true\n"
)
QMP: Final = (
    '{"return": [{"type": "virtio-mem", "data": {"id": "v", "memaddr": 8589934592, "size": 0, "max-size": 8589934592, '
    '"node": 0, "requested-size": 0, "block-size": 2097152, "memdev": "/objects/m"}}]}\n'
)
LISTING: Final = (
    "/sys/devices/system/memory/block_size_bytes:8000000\n/sys/devices/system/memory/memory0/state:online\n"
    "/sys/devices/system/memory/memory0/valid_zones:none\n/sys/devices/system/memory/memory32/state:offline\n"
)
COMMAND: Final = (
    "/usr/bin/qemu-system-x86_64 -machine q35,accel=kvm -m size=4G,slots=16,maxmem=64G \\\n"
    " -object memory-backend-ram,id=m0,size=4G -numa node,nodeid=0,cpus=0-3,memdev=m0 \\\n"
    " -object memory-backend-ram,id=v0,size=8G -device virtio-mem-pci,id=vm0,memdev=v0,node=0,requested-size=1G\n"
)
TEXTS: Final = tuple(
    text.encode()
    for text in (
        LSMEM, JSON, PAIRS, LISTING, ZONEINFO, MEMINFO, FREE, CMDLINE, UNAME, LOG, REPORT, XML, QEMU, QMP, COMMAND,
        GETCONF,
    )
)  # fmt: skip
BOMB: Final = (
    b'<!DOCTYPE domain [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(12))
    + b"]><domain type='kvm'><name>&l;</name></domain>"
)
OUTSIDE: Final = (
    b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY % y SYSTEM "http://127.0.0.1:1/x.dtd"> %y;]>'
    b"<domain type='kvm'><name>&x;</name></domain>"
)
_ODD: Final = (
    b"\0",
    b"\xff\xfe",
    b"\x1b[31m",
    b"\r",
    b"-",
    b"0x",
    b"9" * 40,
    b"1" * 5000,
    b"\n\n",
    b"{",
    b"<",
    b"&",
    b"'",
)


def tar(members: Sequence[tuple[str, bytes, dict[str, object]]]) -> bytes:
    """Return an archive: names, contents, and what else their headers say."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, header in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in header.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def sysfs_tar(draw: random.Random) -> bytes:
    """Return an archive of a small copy of sysfs, with one or two things in it that should not be."""
    top = draw.choice(("", "./", "/", "../", "a/b/", "x" * 200 + "/", "../../", "d/" * 40))
    members: list[tuple[str, bytes, dict[str, object]]] = [
        (
            top + "memory/block_size_bytes",
            draw.choice((b"8000000\n", b"8000000", b"0", b"x", b"8" * 99, b"", bytes(4096))),
            {},
        )
    ]
    for number in draw.sample(range(64), 3):
        block = f"{top}memory/memory{number}"
        members += [
            (
                f"{block}/state",
                draw.choice((b"online\n", b"offline" + bytes(4000), b"going-offline", b"?", b"\xff", b"")),
                {},
            ),
            (f"{block}/valid_zones", draw.choice((b"Normal\n", b"none", b"Normal Movable", b"../x", b"")), {}),
            (
                f"{block}/node0",
                b"",
                {"type": tarfile.SYMTYPE, "linkname": draw.choice(("../../node/node0", "/etc", ".."))},
            ),
        ]
    kinds = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, b"Z", b"S", b"7")
    for _ in range(draw.randrange(3)):
        kind = draw.choice(kinds)
        name = draw.choice(
            (
                "memory/memory7/state",
                "../../evil",
                "/tmp/evil",  # noqa: S108
                "memory/memory" + "9" * 30 + "/state",
                "\n",
            )
        )
        members.append(
            (name, b"", {"type": kind, "linkname": draw.choice(("/etc/passwd", "../..", name)), "devmajor": 1})
        )
    draw.shuffle(members)
    return tar(members)


def mutated(draw: random.Random, data: bytes) -> bytes:
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(data) + 1)
        to = min(len(data), at + draw.choice((1, 1, 4, 50, 1000)))
        way = draw.randrange(9)
        if way == 0:
            data = data[:at]
        elif way == 1 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
        elif way == 2:
            data = data[:at] + data[to:]
        elif way == 3:
            data = data[:to] + data[at:]
        elif way == 4:
            data = data[:at] + draw.choice(_ODD) + data[at:]
        elif way == 5:
            data = data[:at] + draw.randbytes(draw.randrange(30)) + data[to:]
        elif way == 6:
            lines = data.split(b"\n")
            draw.shuffle(lines)
            data = b"\n".join(lines)
        elif way == 7:
            data += draw.choice((b"", b"\n", b"$ cat x\n")) + draw.choice(TEXTS)
        else:
            digits = bytes(str(draw.choice((0, -1, 7, 1 << 31, 1 << 63, 10**30, 10**300))), "ascii")
            data = data[:at].rstrip(b"0123456789") + digits + data[at:].lstrip(b"0123456789")
    return data


def _foreign(draw: random.Random) -> bytes:
    """Return something that no reader knows, or that is made to hurt one."""
    deep = draw.choice((100, 5000))
    makers: tuple[Callable[[], bytes], ...] = (
        lambda: draw.randbytes(draw.randrange(3000)),
        lambda: b"\x89PNG\r\n\x1a\n" + zlib.compress(draw.randbytes(500)),
        lambda: _sources(draw)[: draw.randrange(1, 9000)],
        lambda: b'{"memory": ' + b'[{"range": ' * deep + b"1",
        lambda: b'{"return": ' + b"[" * deep + b"]" * deep,
        lambda: b"<domain type='kvm'>" + b"<memory>" * deep,
        lambda: json.dumps({"memory": {"block": draw.randrange(9)}, "memdev": [1, {"a": None}]}).encode(),
        lambda: b'{"memory": [{"block": "0", "range": %d, "state": "online"}]}' % 10**4000,
        lambda: draw.choice((BOMB, OUTSIDE)),
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><memory unit='GiB'>3</memory></svg>",
        lambda: b"a,b,c\n" + b"1,2,3\n" * draw.randrange(100),
        lambda: b"0x0-0x1 " * draw.randrange(2000),
        lambda: b"0x%016x-0x%016x %dG online yes 0-%d\n" % tuple(draw.getrandbits(60) for _ in range(4)),
        lambda: (b" " * 3000 + b"x\n") * 3 + b"\t" * 3000 + b":" * 3000,
        lambda: (
            draw.choice((b"$ ", b"# ", b"> ", b"root@a:~# ", b"==> ", b"(qemu) ", b'A="', b"Node 0, zone x\n")) * 400
        ),
        lambda: draw.choice(_ODD) * draw.randrange(1, 60),
        lambda: draw.choice((b"", b"\n", b" ", b"\0" * 5000, b"\xef\xbb\xbf", b"\xff\xfe", b"\xff\xfe<\0")),
        lambda: b"PK\x03\x04" + draw.randbytes(50),
        lambda: b"\xfd7zXZ\0" + draw.randbytes(90),
    )
    return draw.choice(makers)()


_SOURCES: list[bytes] = []


def _sources(draw: random.Random) -> bytes:
    if not _SOURCES:
        _SOURCES.extend(path.read_bytes() for path in sorted((ROOT / "sim/readers").glob("*.py")))
        _SOURCES.extend(path.read_bytes() for path in sorted((ROOT / "experiments").glob("*.toml"))[:9])
    return draw.choice(_SOURCES)


def hostile(number: int) -> bytes:
    """Return the input of this number, as a file's content."""
    draw = random.Random(number)  # noqa: S311 - not for secrets
    way = draw.randrange(10)
    if way < 6:
        data = mutated(draw, draw.choice(TEXTS))
    elif way < 8:
        data = _foreign(draw)
    else:
        data = sysfs_tar(draw)
        if draw.random() < 0.5:
            data = mutated(draw, data)
    if draw.random() < 0.15:
        data = draw.choice((gzip.compress, bz2.compress, lzma.compress))(data)
        if draw.random() < 0.5:
            data = mutated(draw, data)
    if draw.random() < 0.05:
        data = tar([("some/file", data, {}), ("proc/cmdline", CMDLINE.encode(), {})])
    return data


def odd_places(folder: Path) -> list[Path]:
    """Make what is no plain file in ``folder``: pipes, links that lead nowhere or in circles, folders; and devices."""
    os.mkfifo(folder / "pipe")
    (folder / "broken").symlink_to("nowhere")
    (folder / "circle").symlink_to("circle")
    (folder / "empty").mkdir()
    loops = folder / "loops/memory/memory0"
    loops.mkdir(parents=True)
    for name in ("node0", "again"):
        (loops / name).symlink_to("../..")
    (loops / "state").symlink_to("/dev/zero")
    os.mkfifo(loops / "valid_zones")
    closed = folder / "closed"
    closed.mkdir(mode=0)
    deep = folder / "deep"
    deep.mkdir()
    for _ in range(60):
        deep /= "d"
        deep.mkdir()
    made = [folder / name for name in ("pipe", "broken", "circle", "empty", "loops", "closed", "deep", "none", "a\nb")]
    devices = [
        Path(name) for name in ("/dev/zero", "/dev/random", "/dev/null", "/dev/full", "/dev/tty", "/proc/self/mem")
    ]
    return made + devices
