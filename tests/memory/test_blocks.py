"""The table of blocks, asked about many at once, beside a look at one after the other."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sim.memory.blocks import BLOCK_ABSENT, BLOCK_MIXED, BLOCK_OFFLINE, FIRST_ZONE_CODE, BlockTable

CODES = st.sampled_from((BLOCK_ABSENT, BLOCK_ABSENT, BLOCK_OFFLINE, BLOCK_MIXED, FIRST_ZONE_CODE))


@given(st.lists(CODES, max_size=12), st.integers(0, 14), st.integers(0, 14))
def test_runs_hold_the_blocks_that_there_are(codes: list[int], first: int, end: int) -> None:
    table = BlockTable()
    table.where.extend(codes)
    there = [block for block in range(first, min(end, len(codes))) if codes[block] != BLOCK_ABSENT]
    runs = table.runs(first, end)
    assert [block for start, stop in runs for block in range(start, stop)] == there
    assert all(stop < start for (_, stop), (start, _) in pairwise(runs))
    assert table.none_online(first, end) == all(codes[block] == BLOCK_OFFLINE for block in there)
