"""Relations of kernel memory: their curves by hand, and the fit to the measured series where these are at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sim.traces.samples import QUANTITIES
from sim.units import GIB, MIB
from tests.support import kernel_relations as fits
from tests.support.places import ROOT
from workloads.parts.traces.kernel_relations import NO_RELATION, RELATIONS, Curve

if TYPE_CHECKING:
    from pathlib import Path


def test_a_curve_gives_bytes() -> None:
    assert [Curve(10.0, 2.5).bytes_beside(gib * GIB) for gib in (0, 1, 4)] == [10 * MIB, 12.5 * MIB, 20 * MIB]
    assert [Curve(0.0, 3.0, 0.5).bytes_beside(gib * GIB) for gib in (0, 1, 4)] == [0, 3 * MIB, 6 * MIB]


def test_every_relation_is_of_kernel_memory_and_never_falls() -> None:
    for name, relation in RELATIONS.items():
        assert name != NO_RELATION
        assert relation.curves.keys() <= QUANTITIES.keys() & fits.PARTS.keys()
        for curve in relation.curves.values():
            amounts = [curve.bytes_beside(size * GIB // 8) for size in range(200)]
            assert amounts == sorted(amounts)


@pytest.mark.parametrize("name", RELATIONS)
def test_a_relation_is_the_one_that_was_measured(name: str, shared_dir: Path) -> None:
    for part, fit in fits.fitted(name, shared_dir).items():
        shipped = RELATIONS[name].curves[part]
        assert shipped == pytest.approx(fit.curve, rel=0.01, abs=0.05), part


def test_a_machine_that_is_left_out_is_told_within_a_factor_of_two(shared_dir: Path) -> None:
    ratios = fits.left_out(shared_dir)
    assert len(ratios) == 7
    assert all(1 / 2.02 < ratio < 2 for ratio in ratios.values())
    assert fits.off_by(ratios) < 1.4
    # No line through a single machine tells the others as well.
    assert all(fits.off_by(fits.said_of(name, shared_dir)) > fits.off_by(ratios) for name in fits.SOURCES)


def test_the_page_shows_the_fits(shared_dir: Path) -> None:
    page = (ROOT / "docs" / "demand-traces.md").read_text("utf-8")
    for row in fits.table(shared_dir):
        assert row in page
