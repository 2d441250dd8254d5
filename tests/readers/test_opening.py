"""Opening what a user names: every form that is read, and every one that must not be."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from sim.faults import InputError
from sim.readers.dumps import Dump
from sim.readers.opening import open_input
from sim.readers.pasted import Piece, clean, pieces

if TYPE_CHECKING:
    from pathlib import Path


def refused(path: str | Path) -> str:
    """Return the one line with which ``path`` is refused, at once."""
    start = time.process_time()
    with pytest.raises(InputError) as error:
        open_input(path)
    assert time.process_time() - start < 3
    assert "\n" not in str(error.value)
    return str(error.value)


Member = tuple[str, "bytes | None", "dict[str, object]"]


def tar_of(*members: Member) -> bytes:
    """Return a tar archive: names, contents, and what else their headers say."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content, more in members:
            member = tarfile.TarInfo(name)
            member.size = len(content or b"")
            for key, value in more.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content) if content is not None else None)
    return data.getvalue()


SYS = "d/sys/devices/system/"
SMALL_TREE: tuple[Member, ...] = (
    (SYS + "memory/block_size_bytes", b"8000000\n", {}),
    (SYS + "memory/memory0/state", b"online\n", {}),
    (SYS + "memory/memory0/node0", None, {"type": tarfile.SYMTYPE, "linkname": "../../node/node0"}),
    (SYS + "node/node0/memory0", None, {"type": tarfile.SYMTYPE, "linkname": "../../memory/memory0"}),
    (SYS + "memory/memory0/power/control", b"auto\n", {}),
)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gz", "bz2", "xz"])
def test_a_text_and_an_archive_are_opened_through_each_compression(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    file = tmp_path / "any.name"
    file.write_bytes(pack(b"a\nb\n"))
    assert open_input(file) == Piece(str(file), "a\nb\n")
    file.write_bytes(pack(tar_of(*SMALL_TREE)))
    dump = open_input(file)
    assert isinstance(dump, Dump)
    assert dump.attributes == {SYS + "memory/block_size_bytes": "8000000", SYS + "memory/memory0/state": "online"}
    assert dump.names == (SYS + "memory/memory0/node0", SYS + "node/node0/memory0")


def test_compressed_parts_behind_each_other_are_one_text(tmp_path: Path) -> None:
    file = tmp_path / "log.gz"
    file.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n") + bytes(20))
    assert open_input(file) == Piece(str(file), "one\ntwo\n")


def test_a_part_that_begins_where_a_chunk_of_the_file_ends_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "log.gz"
    for short in range(3):
        first = io.BytesIO()
        with gzip.GzipFile(fileobj=first, mode="wb", compresslevel=0) as packed:
            packed.write(b"x" * (65536 - 28 - short))
        assert len(first.getvalue()) == 65536 - short
        file.write_bytes(first.getvalue() + gzip.compress(b"end"))
        opened = open_input(file)
        assert isinstance(opened, Piece)
        assert opened.text.endswith("xend")


def test_a_file_of_countless_compressed_parts_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.gz"
    file.write_bytes(gzip.compress(b"") * 100_000)
    assert refused(file) == f"{file}: is compressed in over 20,000 parts"


def test_a_folder_gives_the_same_as_its_archive(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    for name, content, more in SMALL_TREE:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.symlink_to(str(more["linkname"]))
        else:
            path.write_bytes(content)
    (folder / "lsmem.txt").write_text("RANGE")
    dump = open_input(folder)
    assert isinstance(dump, Dump)
    assert dump.attributes == {SYS + "memory/block_size_bytes": "8000000", SYS + "memory/memory0/state": "online"}
    assert set(dump.names) == {SYS + "memory/memory0/node0", SYS + "node/node0/memory0"}
    assert [(piece.file, piece.text) for piece in dump.others] == [(f"{folder}:lsmem.txt", "RANGE")]


def test_of_a_live_machine_only_what_is_about_memory_is_read(tmp_path: Path) -> None:
    for name in ("sys/devices/system/memory/block_size_bytes", "proc/meminfo", "proc/kmsg", "etc/shadow", "note.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    dump = open_input(tmp_path)
    assert isinstance(dump, Dump)
    assert list(dump.attributes) == ["sys/devices/system/memory/block_size_bytes"]
    assert [piece.text for piece in dump.others] == ["proc/meminfo", "note.txt"]


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/random", "/dev/null", "/dev/full"])
def test_devices_are_not_read(name: str) -> None:
    if not os.path.exists(name):  # noqa: PTH110 - a device
        pytest.skip("there is none here")
    assert refused(name) == f"{name}: is a character device, not a file"


def test_pipes_sockets_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert "is a socket" in refused(tmp_path / "socket")
    assert "is a pipe, not a file; give - and the pipe as standard input" in refused(tmp_path / "pipe")
    assert "cannot be read: No such file" in refused(tmp_path / "none")
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read: Too many levels of symbolic links" in refused(tmp_path / "loop")
    assert "cannot be read" in refused("a\0b")


def test_nothing_but_files_is_read_in_a_folder_and_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("secret")
    folder = tmp_path / "folder"
    (folder / "memory/memory0").mkdir(parents=True)
    (folder / "link.txt").symlink_to(outside)
    (folder / "memory/memory0/state").symlink_to(outside)
    (folder / "again").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    dump = open_input(folder)
    assert isinstance(dump, Dump)
    assert (dump.attributes, dump.names, dump.others) == ({}, (), ())


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_a_bomb_ends_at_once(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    file = tmp_path / "bomb"
    file.write_bytes(pack(bytes(8 << 20)) * 1280)  # 10 GiB
    assert "is over 16MiB unpacked" in refused(file)


def test_an_archive_with_a_member_of_10_gib_of_zeros_ends_at_once(tmp_path: Path) -> None:
    header = tarfile.TarInfo("memory/memory0/state")
    header.size = 10 << 30
    file = tmp_path / "bomb.tar.gz"
    file.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT)) + gzip.compress(bytes(8 << 20)) * 1280)
    assert "holds over 1GiB" in refused(file)


def test_members_that_lead_outside_links_and_devices_are_told_and_not_made(tmp_path: Path) -> None:
    file = tmp_path / "evil.tar"
    file.write_bytes(
        tar_of(
            ("../../memory/memory0/state", b"online", {}),
            ("/memory/memory1/state", b"online", {}),
            ("memory/memory2/state", None, {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
            ("memory/memory3/state", None, {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"}),
            ("memory/memory4/state", None, {"type": tarfile.LNKTYPE, "linkname": "/memory/memory1/state"}),
            ("memory/memory5/state", None, {"type": tarfile.CHRTYPE}),
            ("memory/memory6/state", None, {"type": tarfile.FIFOTYPE}),
        )
    )
    dump = open_input(file)
    assert isinstance(dump, Dump)
    assert dump.attributes == {"memory/memory1/state": "online", "memory/memory4/state": "online"}
    assert [remark.where for remark in dump.remarks] == [
        "../../memory/memory0/state, ../../etc/passwd",
        "memory/memory5/state, memory/memory6/state",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.tar"]


def test_a_damaged_archive_or_stream_is_refused(tmp_path: Path) -> None:
    archive = tar_of(*SMALL_TREE, ("other.txt", bytes(range(256)) * 40, {}))
    file = tmp_path / "cut"
    data = len(archive.rstrip(b"\0"))
    for damaged in (archive[: data - 9000], archive[:1900], archive[:1124] + b"x" + archive[1125:]):
        file.write_bytes(damaged)
        assert refused(file) == f"{file}: is an archive of tar that is damaged or cut short"
    file.write_bytes(archive[:1024])
    dump = open_input(file)
    assert isinstance(dump, Dump)
    assert dump.remarks == (("the end", "the archive has no end mark: it may be cut short"),)
    file.write_bytes(gzip.compress(os.urandom(9000))[:5000])
    assert refused(file) == f"{file}: is compressed with gzip, but its data are damaged"
    for start, what in ((b"PK\x03\x04", "a ZIP archive"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x7fELF", "a program")):
        file.write_bytes(start + bytes(100))
        assert what in refused(file)


def test_text_is_cleaned_and_keeps_its_lines() -> None:
    assert clean(b"\xef\xbb\xbfa\r\nb\rc\n") == "a\nb\nc\n"
    assert clean("RANGE\r\n0x0\n".encode("utf-16")) == "RANGE\n0x0\n"
    assert clean(b"\x1b[1;32monline\x1b[0m\x1b]0;title\x07 \xff\x00\x00") == "online �"
    assert clean(b"> > a\n> b\n>\n") == "a\nb\n\n"


def test_a_terminals_text_is_cut_where_commands_were_typed() -> None:
    text = (
        "$ uname -r\n6.12.1\nme@vm:~$ cat /proc/cmdline\nquiet\n[root@vm ~]# sudo lsmem -J\n{}\n"
        "(qemu) info memory-devices\nx\n==> a <==\nb"
    )
    assert [(piece.line, piece.text.strip()) for piece in pieces(Piece("f", text))] == [
        (2, "6.12.1"),
        (4, "quiet"),
        (6, "{}"),
        (8, "x"),
        (10, "b"),
    ]
    whole = Piece("f", "# a comment\nMem: 3 $ \n<a> b </a>\n")
    assert pieces(whole) == [whole]


def test_standard_input_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"a\nb\n"))))
    assert open_input("-") == Piece("standard input", "a\nb\n")
    monkeypatch.setattr("sys.stdin", None)
    assert refused("-") == "standard input: is closed"


def test_standard_input_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/zero") as zeros:  # noqa: PTH123 - a device
        monkeypatch.setattr("sys.stdin", zeros)
        assert "is over 16MiB" in refused("-")


def test_a_folder_that_is_a_link_leads_nowhere(tmp_path: Path) -> None:
    other = tmp_path / "other/devices/system/memory/memory0"
    other.mkdir(parents=True)
    (other / "state").write_text("online")
    (tmp_path / "other/meminfo").write_text("MemTotal: 5 kB")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "sys").symlink_to("../other")
    (folder / "proc").symlink_to("../other")
    (folder / "note").write_text("mine")
    dump = open_input(folder)
    assert isinstance(dump, Dump)
    assert (dump.attributes, dump.names) == ({}, ())
    assert [piece.text for piece in dump.others] == ["mine"]


def test_of_a_folder_with_too_much_in_it_a_part_is_read(tmp_path: Path) -> None:
    for number in range(10, 20):
        (tmp_path / f"{number}.txt").write_bytes(b"x" * (4 << 20))
    (tmp_path / "20.txt").write_bytes(b"x" * (5 << 20))
    dump = open_input(tmp_path)
    assert isinstance(dump, Dump)
    assert len(dump.others) == 8
    assert dump.remarks == (
        ("18.txt, 19.txt", "not read: more than 32MiB in all"),
        ("20.txt", "not read: not a file, too large, or not readable"),
    )
