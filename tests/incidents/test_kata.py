"""Kata's guests: of 256 MiB with the figures of its `free`, and what others would do in their place."""

from __future__ import annotations

from typing import Any

from sim.units import GIB
from tests.incidents.test_report import changed_runs


def test_a_kata_guest_lives_by_the_page_cache_of_its_own_programs() -> None:
    def without_files(given: dict[str, Any]) -> None:
        given["guest"]["system_cache_bytes"] = 0

    runs = changed_runs("kata-256m", without_files)
    assert [runs.of(label).died for label in ("12 GiB", "15 GiB")] == [False, True]


def test_the_guest_of_a_debian_kernel_has_no_room_for_12_gib_in_256_mib() -> None:
    runs = changed_runs("kata-256m", lambda given: given["guest"].pop("preset"))
    assert [runs.of(label).plugged_at_end for label in ("12 GiB", "15 GiB")] == [0, 0]


def test_a_guest_known_by_its_reserve_and_use_takes_13_gib_in_256_mib_and_lives() -> None:
    """Of 256 MiB 4 are memmap, 18 reserved and 22 used: 13 GiB need 208. No boost of a pageblock stays."""

    def change(given: dict[str, Any]) -> None:
        given["guest"] = {"model": "linux", "boot_reserved_bytes": "18MiB", "idle_use_bytes": "22MiB"}
        for workload, gib in zip(given["workloads"], (13, 14), strict=True):
            workload["sizes"] = [f"{gib}GiB"]

    runs = changed_runs("kata-256m", change)
    assert [runs.of(label).plugged_at_end for label in ("12 GiB", "15 GiB")] == [13 * GIB, 0]
    assert not any(run.died for run in runs)


def test_with_figures_of_another_release_a_memmap_of_120_gib_just_fits() -> None:
    run = changed_runs("kata-120g", lambda given: given["guest"].update(preset="kata")).one
    assert run.first_failed_add is None
    assert run.plugged_at_end == 120 * GIB
