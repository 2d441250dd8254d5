"""Public reports of programs that were killed while memory was on its way: it shows in the scores and on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.guest import OomKind
from tests.reports.told import LINUX, experiment, log, runs, scores, screen

if TYPE_CHECKING:
    from pathlib import Path


def test_a_job_that_outgrows_its_guest_is_killed_as_its_hot_add_fails(tmp_path: Path) -> None:
    """Nix 1276, minikube 1403, home-assistant 1241: Hyper-V, 512 MiB at start, a job of 1.5 GiB.

    The host adds a block of 128 MiB at a time as the guest fills, and none goes online in time: each takes its memmap
    from what is left, until an add fails and the killer is called.
    """
    rows = ["t_s,op,device,kind,size_bytes", "10,demand,job,anonymous,350MiB"]
    rows += [f"{20 + number},plug,block{number},dimm,128MiB" for number in range(12)]
    rows.append("40,demand,job,anonymous,1.5GiB")
    tables = experiment(
        {"boot_memory": "512MiB"}, log(tmp_path, "\n".join(rows) + "\n"), policies=("offline",), guest=LINUX
    )
    run = runs(tables, tmp_path).one
    assert [oom.kind for oom in run.ooms] == [OomKind.KERNEL]
    assert run.first_failed_add is not None
    assert run.ooms[0].at == run.first_failed_add.at
    found = scores(run)
    assert (found["kernel_ooms"], found["failed_adds"], found["died"]) == (1, 1, 0)
    assert found["unserved_max"] > 0
    assert "✗ offline: failed: kernel out of memory at 25 s; memory could not be added." in screen(tables, tmp_path)


PRESSURE: dict[str, Any] = {
    "label": "pressure",
    "together": [
        {"name": "watermark", "label": "host", "low": "300MiB", "target": "1GiB", "step": "128MiB",
         "maximum": "8GiB", "duration": 120},
        {"name": "guest-load", "label": "program", "shape": "ramp", "size": "4GiB", "rate": "64MiB", "duration": 120},
    ],
}  # fmt: skip


def test_a_late_udev_rule_kills_a_program_and_ranks_behind_the_kernel(tmp_path: Path) -> None:
    """home-assistant PR 1158, kata packaging PR 335: distributions moved onlining into the kernel for this."""
    policies = ({"name": "contig-zones", "label": "kernel"}, {"name": "udev", "label": "late", "delay": 20.0})
    tables = experiment({"boot_memory": "1GiB"}, PRESSURE, policies=policies, baseline="kernel", guest=LINUX)
    both = runs(tables, tmp_path)
    kernel, late = (scores(both.of(label)) for label in ("kernel", "late"))
    assert (kernel["guest_full_ooms"], late["guest_full_ooms"]) == (0, 1)
    assert kernel["unserved_byte_seconds"] == 0 < late["unserved_byte_seconds"]
    assert late["arrived_share"] < kernel["arrived_share"]
    shown = screen(tables, tmp_path)
    assert "Did anything die?" in shown
    assert "kernel 0 0 99.9 " in shown
    assert "late 1 347 76.3 " in shown, "a program killed, GiB s not served, what arrived"
