"""The seal of a pack: no bit of the file can change, and no byte go, without being noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from sim.results import seal
from sim.results.pack_sets import flawless
from sim.results.store import ResultStore
from tests.results.test_packing import fill

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    fill(ResultStore(tmp_path), range(2))
    ResultStore(tmp_path).pack()
    return tmp_path / "series" / "series-00-of-01.parquet"


def test_any_bit_that_changes_is_noticed(pack: Path) -> None:
    flawless(pack, "series")
    content = bytearray(pack.read_bytes())
    near_the_end = range(len(content) - 300, len(content))  # where the seal's own words and the lengths stand
    for place in sorted({*range(0, len(content), 31), *near_the_end}):
        content[place] ^= 1 << place % 8
        pack.write_bytes(content)
        with pytest.raises(ValueError, match=r"^is (damaged|no file of this program)"):
            flawless(pack, "series")
        content[place] ^= 1 << place % 8


def test_any_byte_that_is_missing_or_too_much_is_noticed(pack: Path) -> None:
    content = pack.read_bytes()
    for length in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 1):
        for cut in (
            content[:length],
            content[:length] + content[length + 1 :],
            content[:length] + b"x" + content[length:],
        ):
            pack.write_bytes(cut)
            with pytest.raises(ValueError, match=r"^is "):
                flawless(pack, "series")


def test_its_data_are_checked_only_where_they_are_read(pack: Path) -> None:
    content = bytearray(pack.read_bytes())
    content[10] ^= 1
    pack.write_bytes(content)
    found = flawless(pack, "series", data=False)
    assert len(found.entries) == 2
    with pytest.raises(ValueError, match="is damaged"):
        found.check_data()


def test_another_pack_in_its_place_is_noticed(pack: Path) -> None:
    other = pack.with_name("series-01-of-02.parquet")
    pack.rename(other)
    with pytest.raises(ValueError, match=r"^is series-00-of-01\.parquet under another name$"):
        flawless(other, "series")


def test_the_seal_of_another_version_is_told_from_damage(pack: Path) -> None:
    for said, what in (
        ({"pack": "series-00-of-01", "layout": 99, "data": 1, "footer": 2}, r"^has the layout 99"),
        ({"pack": "series-00-of-01", "layout": 99, "more": "x"}, r"^has the layout 99"),
    ):
        whole = pq.read_table(pack)
        with pack.open("w+b") as file, pytest.MonkeyPatch.context() as patch:
            pq.write_table(whole, file)
            patch.setattr(seal.Seal, "_asdict", lambda _, said=said: said)
            seal.write_seal(file, "series-00-of-01")
        with pytest.raises(ValueError, match=what):
            flawless(pack, "series", data=False)
        assert pq.read_table(pack).equals(whole)  # who reads Parquet does not see a seal
