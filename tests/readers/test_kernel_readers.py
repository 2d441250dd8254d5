"""What kernels say of themselves: command line, release, boot log, Mem-Info, plain and through every kind of log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.faults import InputError
from sim.readers.facts import ZoneView
from sim.readers.reading import read_facts

if TYPE_CHECKING:
    from pathlib import Path

    from sim.readers.facts import Facts

KIB, MIB = 1 << 10, 1 << 20


def read(text: str, folder: Path) -> list[Facts]:
    file = folder / "text"
    file.write_text(text)
    return read_facts([file])


@pytest.mark.parametrize(
    "line",
    [
        "BOOT_IMAGE=/boot/vmlinuz-6.12.1-amd64 root=UUID=0-1 ro quiet",
        "memhp_default_state=online memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=401",
        'console=ttyS0 dyndbg="file drivers/usb/* +p" movable_node $vt_handoff',
        "console=ttyS0 quiet -- --for-init 0.0.0.0:2024 {}",
    ],
)
def test_a_command_line(tmp_path: Path, line: str) -> None:
    (facts,) = read(f"\n{line} \n", tmp_path)
    assert (facts.kind, facts.cmdline, facts.places) == ("cmdline", line, {"cmdline": "line 2"})


@pytest.mark.parametrize(
    "text", ["quietly now", "import os, sys", "root = 3", "<a root=b>", "a quiet day [ok]", '{"quiet": 1}', ""]
)
def test_what_is_no_command_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="is not recognised; what is read: lsmem, "):
        read(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "kernel", "architecture"),
    [
        ("6.12.117-amd64\n", "6.12.117-amd64", "x86_64"),
        ("6.12.117\n", "6.12.117", None),
        ("Linux 6.8.0-31-generic\n", "6.8.0-31-generic", None),
        ("$ uname -rm\n6.17.12-400.asahi.fc42.aarch64+16k aarch64\n", "6.17.12-400.asahi.fc42.aarch64+16k", "aarch64"),
        ("5.14.0-503.el9.ppc64le\n", "5.14.0-503.el9.ppc64le", "ppc64le"),
        ("Linux vm 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76 x86_64 GNU/Linux\n", "6.1.0-18-amd64", "x86_64"),
        ("$ uname -a\nLinux a 5.14.0-70.el9 #1 SMP Thu Feb 24 aarch64 GNU/Linux\n", "5.14.0-70.el9", "aarch64"),
    ],
)
def test_a_release(tmp_path: Path, text: str, kernel: str, architecture: str | None) -> None:
    (facts,) = read(text, tmp_path)
    assert (facts.kind, facts.kernel, facts.architecture) == ("uname", kernel, architecture)


def test_the_answer_of_getconf_is_the_page_size(tmp_path: Path) -> None:
    text = "me@mac:~$ uname -r\n6.17.12\nme@mac:~$ getconf PAGE_SIZE\n16384\nme@mac:~$ cat /proc/cmdline\nquiet\n"
    found = read(text, tmp_path)
    assert [(facts.kind, facts.page_size, facts.places.get("page_size")) for facts in found][1] == (
        "getconf",
        16 * KIB,
        "line 4",
    )


@pytest.mark.parametrize(
    ("line", "architecture"),
    [
        ("[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable", "x86_64"),
        ("[    0.000000] Linux version 6.1.0-18-arm64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP", "aarch64"),
        ("[    0.000000] Detected PIPT I-cache on CPU0", "aarch64"),
        ("[    0.000000] CPU: ARMv7 Processor [410fd034] revision 4 (ARMv7), cr=10c5383d", "armv7l"),
        ("[    0.000000] CPU: ARMv7-M [410fc241] revision 1 (ARMv7M), cr=00000000", "armv7l"),
        ("  CPU0 revision is: 00019300 (MIPS 24Kc)", "mips"),
        ("[    0.000000] elf_hwcap is 0x112d", "riscv64"),
        ("firmware_features = 0x0000000000000000", "ppc64"),
        ("[    0.013] setup: Linux is running under KVM in 64-bit mode", "s390x"),
        ("[    0.000000] Policy zone: Normal", None),
    ],
)
def test_a_boot_log_shows_what_the_kernel_is_built_for(tmp_path: Path, line: str, architecture: str | None) -> None:
    (facts,) = read(f"{line}\n[    0.10] Memory: 989984K/1048056K available (18432K kernel code)\n", tmp_path)
    assert facts.architecture == architecture


BOOT = (
    "Linux version 6.12.1-amd64 (b@d) (x86_64-linux-gnu-gcc-14 (Debian 14) 14.2.0) #1 SMP",
    "Command line: root=/dev/vda1 memhp_default_state=online_movable",
    "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable",
    "Early memory node ranges",
    "  node   0: [mem 0x0000000000001000-0x000000000009efff]",
    "  node   0: [mem 0x0000000000100000-0x000000003fffffff]",
    "  node   1: [mem 0x0000000100000000-0x000000013fffffff]",
    "Booting paravirtualized kernel on KVM",
    "Kernel command line: root=/dev/vda1 memhp_default_state=online_movable",
    (
        "Memory: 3015092K/3145332K available (16384K kernel code, 4218K rwdata, 9892K rodata, 4148K init, 5316K bss, "
        "129980K reserved, 260K cma-reserved)"
    ),
)
PREFIXES = (
    "",
    "[    0.038992] ",
    "Jan 01 00:00:12 vm kernel: ",
    "<6>[    0.000000][    T0] ",
    "2026-01-02T03:04:05.678901+00:00 vm kernel: ",
)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_boot_log(tmp_path: Path, prefix: str) -> None:
    (facts,) = read("".join(f"{prefix}{line}\n" for line in BOOT), tmp_path)
    assert (facts.kind, facts.kernel, facts.architecture, facts.bare_metal) == (
        "boot log", "6.12.1-amd64", "x86_64", False,
    )  # fmt: skip
    assert facts.cmdline == "root=/dev/vda1 memhp_default_state=online_movable"
    assert (facts.memory_available, facts.memory_known) == (3015092 * KIB, 3145332 * KIB)
    assert (facts.reserved, facts.cma_reserved) == (129980 * KIB, 260 * KIB)
    assert [(node.node, node.listed) for node in facts.nodes] == [(0, 0x9E000 + 0x3FF00000), (1, 0x40000000)]
    assert facts.places == {
        "kernel": "line 1", "architecture": "line 1", "cmdline": "line 2", "nodes": "line 5", "bare_metal": "line 8",
        "memory_available": "line 10", "memory_known": "line 10", "reserved": "line 10", "cma_reserved": "line 10",
        "freed": "line 10", "ranges": "line 5",
    }  # fmt: skip


def test_a_boot_log_has_the_ranges_of_zones_and_of_memory(tmp_path: Path) -> None:
    zones = (
        "Zone ranges:",
        "  DMA      [mem 0x0000000000001000-0x0000000000ffffff]",
        "  DMA32    [mem 0x0000000001000000-0x00000000ffffffff]",
        "  Normal   [mem 0x0000000100000000-0x000000013fffffff]",
        "  Device   empty",
        "Movable zone start for each node",
    )
    (facts,) = read("\n".join((*zones, *BOOT[3:7], BOOT[-1])), tmp_path)
    assert facts.zone_ranges == (
        ("DMA", 0x1000, 1 << 24),
        ("DMA32", 1 << 24, 1 << 32),
        ("Normal", 1 << 32, 5 << 30),
    )
    assert facts.ranges == ((0, 0x1000, 0x9F000), (0, 0x100000, 1 << 30), (1, 1 << 32, 5 << 30))
    (facts,) = read("\n".join((*zones, "  Node 0: 0x0000000130000000", *BOOT[3:7], BOOT[-1])), tmp_path)
    assert facts.zone_ranges == ()


@pytest.mark.parametrize(
    ("later", "freed"),
    [
        ((), 4148),
        (("Freeing initrd memory: 20000K", "Freeing unused kernel image (initmem) memory: 2628K"), 22628),
        (("Freeing SMP alternatives memory: 32K",), 4180),
        (("Freeing initrd memory: 200000K",), None),
    ],
)
def test_what_a_kernel_frees_before_init(tmp_path: Path, later: tuple[str, ...], freed: int | None) -> None:
    (facts,) = read("\n".join((*BOOT, *later)) + "\n", tmp_path)
    assert facts.freed == (None if freed is None else freed * KIB)


def test_the_memory_line_of_other_kernels(tmp_path: Path) -> None:
    (facts,) = read(
        "Memory: 2033372k/3145728k available (5795k kernel code, 1048576k absent, 63780k reserved, 1k init)", tmp_path
    )
    assert (facts.memory_available, facts.memory_known, facts.reserved) == (2033372 * KIB, 2097152 * KIB, 63780 * KIB)
    assert facts.remarks == [("line 1", "1048576K absent are not counted as memory")]
    (facts,) = read("[0.0] Memory: 3015092K/3145332K available (16384K kernel code)", tmp_path)
    assert (facts.memory_available, facts.reserved, facts.cma_reserved) == (3015092 * KIB, None, None)
    with pytest.raises(InputError, match="line 1: the first figure is what the second has free"):
        read("Memory: 5K/4K available", tmp_path)


def test_of_several_starts_the_last_is_taken(tmp_path: Path) -> None:
    (facts,) = read("\n".join((*BOOT, *(line.replace("6.12.1", "7.3.4") for line in BOOT[:2]))), tmp_path)
    assert (facts.kernel, facts.memory_known) == ("7.3.4-amd64", None)
    assert facts.remarks == [("line 1", "the kernel starts 2 times; the last is taken")]


REPORT = (
    "stress invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0",
    "Mem-Info:",
    "active_anon:72784 inactive_anon:736 isolated_anon:0",
    " free:4008 free_pcp:316 free_cma:0",
    "Node 0 active_anon:291136kB inactive_anon:2944kB shmem_thp: 0kB all_unreclaimable? no",
    (
        "Node 0 DMA free:1024kB boost:0kB min:276kB low:344kB high:412kB reserved_highatomic:0KB active_anon:0kB "
        "present:15988kB managed:15904kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB"
    ),
    "lowmem_reserve[]: 0 2823 3763 3763 3763",
    "Node 1 Movable free:2048kB min:20kB low:24kB high:28kB present:1048576kB managed:1048576kB mlocked:0kB",
    "lowmem_reserve[]: 0 0 0 0 0",
    "Node 0 DMA: 0*4kB 0*8kB 1*16kB (U) = 1024kB",
    "266141 pages RAM",
    "Out of memory: Killed process 1822 (stress) total-vm:742748kB, anon-rss:397884kB",
)


@pytest.mark.parametrize(
    ("line", "kernel", "architecture"),
    [
        ("CPU: 1 PID: 12 Comm: a Not tainted 6.16.9+deb14-amd64 #1 PREEMPT(lazy)", "6.16.9+deb14-amd64", "x86_64"),
        ("CPU: 0 PID: 9 Comm: b Kdump: loaded Tainted: G        W       4.9.0+ #102", "4.9.0+", None),
    ],
)
def test_an_out_of_memory_report_names_the_kernel(
    tmp_path: Path, line: str, kernel: str, architecture: str | None
) -> None:
    (facts,) = read("\n".join((line, *REPORT)), tmp_path)
    assert (facts.kernel, facts.architecture, facts.places["kernel"]) == (kernel, architecture, "line 1")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_out_of_memory_report(tmp_path: Path, prefix: str) -> None:
    (facts,) = read("".join(f"{prefix}{line}\n" for line in REPORT), tmp_path)
    assert (facts.kind, facts.page_size) == ("Mem-Info", 4096)
    assert facts.zones == (
        ZoneView(0, "DMA", 256, 69, 86, 103, present=3997, managed=3976),
        ZoneView(1, "Movable", 512, 5, 6, 7, present=262144, managed=262144),
    )
    assert facts.places == {"page_size": "line 10", "zones": "line 6 onwards"}
    assert facts.remarks == [
        ("line 1", "stress ran out of memory, asking for order 0"),
        ("line 12", "process 1822 (stress) was killed"),
    ]


def test_a_report_of_pages_of_64_kib_without_nodes_wrapped_by_a_mail(tmp_path: Path) -> None:
    (facts,) = read(
        "> Mem-Info:\n> DMA free:640kB min:64kB\n> low:128kB high:192kB present:6400kB\n> managed:6400kB\n"
        "> lowmem_reserve[]: 0\n> DMA: 1*64kB (U) 2*128kB = 640kB\n",
        tmp_path,
    )
    assert facts.page_size == 64 * KIB
    assert facts.zones == (ZoneView(0, "DMA", 10, 1, 2, 3, present=100, managed=100),)


def test_of_several_reports_the_last_is_taken(tmp_path: Path) -> None:
    (facts,) = read("\n".join((*REPORT, *(line.replace("free:1024kB", "free:512kB") for line in REPORT))), tmp_path)
    assert facts.zones[0].free == 128
    assert facts.remarks[0] == ("line 18", "the last that is whole of 2 reports is taken")


def test_a_report_that_is_cut_short_gives_way_to_the_one_before(tmp_path: Path) -> None:
    (facts,) = read("\n".join((*REPORT, *REPORT[:5], REPORT[5][:60])), tmp_path)
    assert facts.zones[0].free == 256
    assert facts.remarks[0] == ("line 6", "the last that is whole of 2 reports is taken")


def test_a_report_that_cannot_be_right(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: a zone stands here without min: or present:; give the whole report"):
        read("Mem-Info:\nNode 0 Normal free:1kB min:1kB\n", tmp_path)
    with pytest.raises(InputError, match="line 1: zone Normal has more managed than present"):
        read("Normal free:1kB min:1kB present:5kB managed:90kB\n", tmp_path)


def test_a_terminal_with_several_outputs(tmp_path: Path) -> None:
    text = (
        "[root@vm ~]# uname -r\n6.12.1\n[root@vm ~]# cat /proc/cmdline\nroot=/dev/vda1 quiet\n"
        "[root@vm ~]# dmesg | grep Memory:\n[    0.0] Memory: 300K/400K available (1K kernel code)\n"
        "[root@vm ~]# lsmem -o RANGE,STATE\nRANGE STATE\n0x0000000000000000-0x0000000007ffffff online\n\n"
        "Memory block size:       128M\nTotal online memory:     128M\nTotal offline memory:      0B\n"
        "[root@vm ~]# free -m\n total used free\nMem: 100 50 50\n"
        "==> /proc/meminfo <==\nMemTotal: 100 kB\n"
    )
    found = read(text, tmp_path)
    assert [facts.kind for facts in found] == ["uname", "cmdline", "boot log", "lsmem", "free", "meminfo"]
    assert [facts.places for facts in found] == [
        {"kernel": "line 2"},
        {"cmdline": "line 4"},
        {"memory_available": "line 6", "memory_known": "line 6"},
        {"block_size": "line 11", "blocks": "line 9", "online_total": "line 9", "offline_total": "line 9"},
        {"free": "line 16"},
        {"meminfo": "line 18"},
    ]
