"""What all tests share: Hypothesis profiles, the recorded kernels, data kept outside of the repository."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.internal.constants_ast import Constants

from tests.support.places import DATA, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

KERNEL_TRACES = tuple(sorted((DATA / "kernel-traces").glob("*.json")))
NEWER_KERNEL_TRACES = tuple(sorted((DATA / "kernel-traces-2").glob("*.json")))


def _shared() -> Path:
    """Return the folder with data that is too large or not ours to ship: ``shared`` beside the checkout.

    MEMHP_SIM_SHARED names another.
    """
    return Path(os.environ.get("MEMHP_SIM_SHARED") or ROOT.parent / "shared")


def _recordings() -> dict[str, Path]:
    """Return all recordings that there are, by name: ours, and those in the shared folder that are not ours."""
    found = {path.stem: path for path in (*KERNEL_TRACES, *NEWER_KERNEL_TRACES)}
    for path in sorted(_shared().glob("kernel-traces*/**/*.json")):
        found.setdefault(path.stem, path)
    return found


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Shells start what runs in the background of a script so, and all processes that tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Short and the same on every run: a failure is a change of the code, never luck.
settings.register_profile(
    "default",
    derandomize=True,
    max_examples=50,
    stateful_step_count=40,
    deadline=None,  # the machine's other work must not fail a test
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
if os.environ.get("HYPOTHESIS_PROFILE", "default") == "default":
    # Private, and there is no other way: Hypothesis also draws from the constants of whatever local modules happen to
    # be imported, so that other tests in the same process would change the examples.
    HypothesisProvider._local_constants = property(lambda _: Constants())  # type: ignore[assignment]  # noqa: SLF001
# Long and random: HYPOTHESIS_PROFILE=long, as "make test-long" sets it. Failures are kept and tried first.
settings.register_profile(
    "long",
    derandomize=False,
    max_examples=2500,
    stateful_step_count=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect the tests without looking for garbage again and again among modules and tests, which all stay.

    Later, too, garbage is looked for only among what tests leave.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each recording that it asks for.

    ``kernel_trace`` is one in tests/data/kernel-traces, ``our_recording`` one there or in kernel-traces-2;
    ``recording`` is any, those of the shared folder too, under load too.
    """
    if "kernel_trace" in metafunc.fixturenames:
        metafunc.parametrize("kernel_trace", KERNEL_TRACES, ids=[path.stem for path in KERNEL_TRACES])
    if "our_recording" in metafunc.fixturenames:
        ours = (*KERNEL_TRACES, *NEWER_KERNEL_TRACES)
        metafunc.parametrize("our_recording", ours, ids=[path.stem for path in ours])
    if "recording" in metafunc.fixturenames:
        found = _recordings()
        metafunc.parametrize("recording", found.values(), ids=list(found))


@pytest.fixture(scope="session")
def kernel_traces() -> tuple[Path, ...]:
    """All recordings in tests/data/kernel-traces, by name."""
    return KERNEL_TRACES


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with data that is too large or not ours to ship; without it, the test is skipped."""
    folder = _shared()
    if not folder.is_dir():
        pytest.skip(f"no folder {folder} (MEMHP_SIM_SHARED names another)")
    return folder
