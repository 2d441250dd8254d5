"""Command lines of kernels: words as the kernel splits them, values as each word's function reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.machine import cmdline, memparse, swiotlb
from sim.machine.architecture import ARM64, S390X
from sim.machine.cmdline_words import split
from sim.units import GIB, KIB, MIB, TIB
from tests.plain.command_line import words_of


def pairs(text: str) -> list[tuple[str, str | None]]:
    return [(word.name, word.value) for word in split(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  quiet\t ro  ", [("quiet", None), ("ro", None)]),
        ("root=/dev/vda1 console=ttyS0,115200", [("root", "/dev/vda1"), ("console", "ttyS0,115200")]),
        ("memory-hotplug.online-policy=auto-movable", [("memory_hotplug.online_policy", "auto-movable")]),
        ('dyndbg="file a.c +p" ro', [("dyndbg", "file a.c +p"), ("ro", None)]),
        ('"dyndbg=file a.c +p" ro', [("dyndbg", "file a.c +p"), ("ro", None)]),
        ("mem=1G -- mem=2G single", [("mem", "1G")]),
        ("a=b=c =x cma=", [("a", "b=c"), ("=x", None), ("cma", "")]),
        ('open="never closed', [("open", "never closed")]),
        ("__ ro", [("__", None), ("ro", None)]),
        ('a "--" b', [("a", None)]),
        ('"x="y""', [("x", 'y"')]),
        ("BOOT_IMAGE=/vmlinuz\u00a0ro\nquiet", [("BOOT_IMAGE", "/vmlinuz"), ("ro", None), ("quiet", None)]),
    ],
)
def test_words_are_split_as_the_kernel_splits_them(text: str, words: list[tuple[str, str | None]]) -> None:
    assert pairs(text) == words


@given(st.text(alphabet='ab="- \t', max_size=60))
def test_splitting_ends_and_keeps_every_character_that_is_no_blank(text: str) -> None:
    words = split(text)
    kept = "".join(word.text for word in words)
    without = "".join(text.split())
    if "--" not in text.split():
        assert "".join(kept.split()) == without
    assert all(word.text for word in words)


@given(st.text(alphabet='ab="- \t', max_size=40))
def test_words_are_those_of_a_plain_reading_character_by_character(text: str) -> None:
    assert pairs(text) == words_of(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("4096", (4096, "")),
        ("0x1000", (4096, "")),
        ("010", (8, "")),
        ("08", (0, "8")),
        ("64M@0-4G", (64 * MIB, "@0-4G")),
        ("2g", (2 * GIB, "")),
        ("1T", (TIB, "")),
        ("1P", (1 << 50, "")),
        ("1E", (1 << 60, "")),
        ("0x40M", (64 * MIB, "")),
        ("0xG", (0, "xG")),
        ("4GiB", (4 * GIB, "iB")),
        ("1.5G", (1, ".5G")),
        ("G", (0, "")),
        ("-5", (0, "-5")),
        ("16E", (0, "")),
    ],
)
def test_a_size_is_what_memparse_makes_of_it(text: str, read: tuple[int, str]) -> None:
    assert memparse.size(text) == read


def test_whole_numbers_and_booleans_are_read_as_kstrtox_reads_them() -> None:
    assert [memparse.whole(text) for text in ("401", "0x191", "+401", "0", "4294967295")] == [
        401,
        401,
        401,
        0,
        (1 << 32) - 1,
    ]
    assert [memparse.whole(text) for text in ("", "-1", "401%", "4294967296", " 1", "9" * 9999)] == [None] * 6
    true, false = ["y", "Yes", "1", "on", "On"], ["n", "No", "0", "off", "oF"]
    assert [memparse.boolean(text, (6, 1)) for text in true] == [True] * 5
    assert [memparse.boolean(text, (6, 1)) for text in false] == [False] * 5
    assert [memparse.boolean(text, (6, 1)) for text in ("", "maybe", "o", "2")] == [None] * 4
    assert memparse.boolean("true", (6, 1))
    assert memparse.boolean("true", (5, 15)) is None


NEON = "memhp_default_state=online memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=401"


def test_a_deployed_command_line_says_machine_and_policy() -> None:
    said = cmdline.read(f"panic=-1 init=/bin/init {NEON} swiotlb=noforce movable_node quiet", boot_memory=GIB)
    assert said.machine == {"swiotlb": "noforce", "movable_node": True}
    assert said.policy == {"default_state": "online", "online_policy": "auto-movable", "auto_movable_ratio": 401}
    assert said.words["auto_movable_ratio"] == "memory_hotplug.auto_movable_ratio=401"
    assert said.remarks == ()
    assert said.notes() == ["3 other words: no matter to memory here"]


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("kernelcore=2G kernelcore=512M", {"kernelcore": 512 * MIB}),
        ("kernelcore=2G kernelcore=25%", {"kernelcore_percent": 25}),
        ("kernelcore=25% kernelcore=2G", {"kernelcore": 2 * GIB}),
        ("movablecore=0x40000000", {"movablecore": GIB}),
        ("movable-node", {"movable_node": True}),
        ("kernelcore=6000", {"kernelcore": 4096}),
        ("mem=8G mem=4G mem=6G", {"mem": 4 * GIB}),
        ("memmap=4G mem=6G", {"mem": 4 * GIB}),
        ("mem=nopentium", {}),
        ("mem=200T", {}),
        ("cma=64M", {"cma": 64 * MIB}),
        ("cma=64M cma=0", {"cma": 0}),
        ("cma=64M@0-4G", {"cma": 64 * MIB, "cma_base": 0, "cma_limit": 4 * GIB}),
        ("cma=64M@1G", {"cma": 64 * MIB, "cma_base": GIB, "cma_limit": GIB + 64 * MIB}),
        ("memmap=4G!12G", {"soft_reserved": ((12 * GIB, 4 * GIB),)}),
        ("memmap=2M$0x18690000", {"reserved": ((0x18690000, 2 * MIB),)}),
        ("memmap=4G\\$8G", {"mem": 4 * GIB}),
        ("memmap=64K#1M,1M$2M", {"reserved": ((MIB, 64 * KIB), (2 * MIB, MIB))}),
        ("memmap=2G%4G-1+0xefffffff", {"soft_reserved": ((4 * GIB, 2 * GIB),)}),
        ("memmap=2G%4G-1+2", {"reserved": ((4 * GIB, 2 * GIB),)}),
        ("memmap=2G%4G-1", {"reserved": ((4 * GIB, 2 * GIB),)}),
        ("crashkernel=256M", {"crashkernel": 256 * MIB}),
        ("crashkernel=256M@16M", {"crashkernel": 256 * MIB}),
        ("crashkernel=2G-64G:128M,64G-:512M", {"crashkernel": 128 * MIB}),
        ("crashkernel=1G-4G:128M,4G-8G:160M,8G-:192M@16M", {"crashkernel": 192 * MIB}),
        ("crashkernel=32G-:512M", {}),
        ("crashkernel=512M,high", {"crashkernel": 768 * MIB}),
        ("crashkernel=512M,high crashkernel=72M,low", {"crashkernel": 584 * MIB}),
        ("crashkernel=512M,high crashkernel=128M", {"crashkernel": 128 * MIB}),
        ("log_buf_len=4M", {"log_buf_len": 4 * MIB}),
        ("log_buf_len=4M log_buf_len=64K log-buf-len=1M", {"log_buf_len": 4 * MIB}),
        ("swiotlb=65536,4,force", {"swiotlb": "65536,4,force"}),
        ("efi_fake_mem=2G@4G:0x40000", {"soft_reserved": ((4 * GIB, 2 * GIB),)}),
        ("memory_hotplug.memmap_on_memory", {"memmap_on_memory": True}),
        ("memory_hotplug.memmap_on_memory=Y", {"memmap_on_memory": True}),
        (
            "virtio_mem.unplug_online=0 virtio-mem.force-bbm=1",
            {"virtio_mem_unplug_online": False, "virtio_mem_force_bbm": True},
        ),
        ("virtio_mem.bbm_block_size=0x10000000", {"virtio_mem_bbm_block_size": 256 * MIB}),
    ],
)
def test_what_words_say_of_a_machine_of_16_gib(text: str, machine: dict[str, Any]) -> None:
    said = cmdline.read(text, boot_memory=16 * GIB)
    assert said.machine == machine
    assert set(said.words) >= set(machine)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("kernelcore=mirror", "mirrored"),
        ("kernelcore=16G", "no ZONE_MOVABLE"),
        ("kernelcore=200%", "more than all memory"),
        ("kernelcore=1.5G", "no fractions"),
        ("kernelcore=4GiB", "4GiB and no further than 'iB'"),
        ("mem=much", "cannot read it"),
        ("cma=900G", "cannot reserve it"),
        ("memmap=exactmap", "only what other memmap="),
        ("memmap=1G@16G", "firmware does not tell"),
        ("memmap=1G*2G", "takes it for memmap=1GiB, and uses no memory from there on"),
        ("memmap=4G\\$8G", "the kernel does not"),
        ("memmap=64K$1Mx", "no further than 'x'"),
        ("crashkernel=auto", "reserves nothing"),
        ("crashkernel=1G-:20G", "reserves nothing"),
        ("crashkernel=64M,cma", "CMA that the crash kernel"),
        ("swiotlb=some", "cannot read it"),
        ("log_buf_len=64G", "keeps the buffer"),
        ("memhp_default_state=movable", "online_movable"),
        ("memory_hotplug.online_policy=auto_movable", "auto-movable"),
        ("memory_hotplug.auto_movable_ratio=many", "cannot read it"),
        ("memory_hotplug.memmap_on_memory=force", "do not know force"),
        ("memory_hotplug.other=1", "no parameter that is known"),
        ("virtio_mem.bbm_safe_unplug=0", "in safety"),
        ("hugepages=512", "huge pages"),
        ("hugetlb_cma=4G", "gigantic"),
        ("cma_pernuma=64M", "every node"),
        ("numa_cma=0:64M", "on the nodes"),
        ("numa=off", "node 0"),
        ("numa_balancing=enable", "between nodes"),
        ("acpi_no_memhotplug", "DIMM"),
        ("efi=debug,nosoftreserve", "ordinary memory"),
        ("sysctl.vm.min_free_kbytes=65536", "/proc/sys/vm"),
    ],
)
def test_what_is_not_modelled_or_not_read_is_told_with_its_word(text: str, what: str) -> None:
    said = cmdline.read(text, boot_memory=16 * GIB)
    assert [remark.word for remark in said.remarks] == [text]
    assert what in said.remarks[0].what
    assert said.others == 0


def test_words_that_do_not_matter_to_memory_are_counted() -> None:
    text = "BOOT_IMAGE=/vmlinuz root=UUID=1 ro quiet splash nr_cpus=4 maxcpus=4 numa_balancing=disable efi=runtime numa"
    said = cmdline.read(text.removesuffix(" numa"))
    assert (said.remarks, said.others, said.machine) == ((), 9, {})


def test_a_later_word_that_cannot_be_read_leaves_the_earlier_one() -> None:
    said = cmdline.read(f"{NEON} memory_hotplug.auto_movable_ratio=x memhp_default_state=yes")
    assert said.policy["auto_movable_ratio"] == 401
    assert said.policy["default_state"] == "online"
    assert len(said.remarks) == 2


def test_ranges_of_the_crash_kernel_need_the_boot_memory() -> None:
    said = cmdline.read("crashkernel=2G-64G:128M,64G-:512M")
    assert said.machine == {}
    assert "not known" in said.remarks[0].what
    # Firmware keeps a little: the kernel counts in steps of 128 MiB.
    assert cmdline.read("crashkernel=4G-:128M", boot_memory=4 * GIB - MIB).machine == {"crashkernel": 128 * MIB}
    # Taken away before: with 8 of 16 GiB left the lower range counts.
    low = cmdline.read("crashkernel=1G-9G:128M,9G-:512M mem=8G", boot_memory=16 * GIB)
    assert low.machine["crashkernel"] == 128 * MIB


def test_mem_is_an_amount_on_arm64_whose_memory_begins_at_1_gib() -> None:
    said = cmdline.read("mem=8G mem=2G mem=4G memmap=1G$2G", boot_memory=16 * GIB, architecture=ARM64)
    assert said.machine == {"mem": 5 * GIB}
    assert "arm64" in said.remarks[0].what


def test_a_crash_kernel_in_two_parts_is_known_where_memory_has_a_low_part() -> None:
    text = "crashkernel=512M,high"
    assert cmdline.read(text, boot_memory=16 * GIB, architecture=ARM64).machine == {"crashkernel": 640 * MIB}
    assert cmdline.read(text, boot_memory=2 * GIB).machine == {"crashkernel": 512 * MIB}, "it lies below itself"
    said = cmdline.read(text, boot_memory=16 * GIB, architecture=S390X)
    assert said.machine == {}
    assert [remark.what for remark in said.remarks] == ["kernels of s390x do not know high and low"]


def test_kernels_differ_in_what_they_know() -> None:
    force = "memory_hotplug.memmap_on_memory=force"
    assert cmdline.read(force, series=(6, 12)).machine == {"memmap_on_memory": "force"}
    assert cmdline.read("efi_fake_mem=2G@4G:0x40000", series=(6, 12)).machine == {}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("noforce", swiotlb.Swiotlb(off=True)),
        ("force", swiotlb.Swiotlb(force=True)),
        ("65536", swiotlb.Swiotlb(128 * MIB)),
        ("65536,8,force", swiotlb.Swiotlb(128 * MIB, force=True)),
        ("129", swiotlb.Swiotlb(512 * KIB)),
        ("0", swiotlb.Swiotlb(0, off=True)),
        ("", None),
        ("1,2,3", None),
        ("1,no", None),
    ],
)
def test_swiotlb_is_slots_of_2_kib_areas_and_a_word(word: str, said: swiotlb.Swiotlb | None) -> None:
    assert swiotlb.parse(word) == said


@given(
    st.lists(st.sampled_from([*cmdline.MACHINE_FIELDS, "memmap", "memory_hotplug.online_policy"])),
    st.text(alphabet="0123456789xKMGT@-+%$!#:,.nforce ", max_size=30),
)
def test_no_line_is_too_odd_to_be_read(names: list[str], value: str) -> None:
    said = cmdline.read(" ".join(f"{name}={value}" for name in names), boot_memory=4 * GIB)
    assert set(said.machine) <= set(cmdline.MACHINE_FIELDS)
    assert set(said.machine) | set(said.policy) <= set(said.words)
