"""The manifest of an experiment: what it takes to know where results come from, and to compute them again.

Everything that may differ between two runs of the same experiment on the same machine (times, number of workers) is in
the part ``timings``; the rest is the same bytes every time.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
import tomllib
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim import __version__
from sim.faults import shown
from sim.opening import UnreadableError, read_json
from sim.results.atomic import write_atomically
from sim.results.identity import canonical_json, code_version, sha256
from sim.results.layout import EXPERIMENT_NAME, LAYOUT, MANIFEST_NAME, of_first_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT: Final = 1
_LARGEST: Final = 64 << 20
TIMING_FIELD: Final = "timings"
"""The only part of a manifest that differs between two runs of one experiment on one machine."""

_PROGRAM: Final = "memhp-sim"
_CHECKSUM: Final = "sha256"
_CHECKED: Final = "# Written by memhp-sim, with every default filled in. SHA-256 of the lines below: "
_WITHOUT_CHECKSUM: Final = (None, 1, 2)
"""Layouts in whose manifests there was none."""

RECOMMENDATION: Final = "recommendation"
"""The part that only the manifest of a recommendation has: ``config`` and ``asked``, which give it again, and
``machines``: by the labels of policies that change something of the machine, what."""

LIBRARIES: Final = ("matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "scipy", "simpy")
"""Distributions whose version may change results, files or plots."""


def build_manifest(  # noqa: PLR0913  one argument for each part
    experiment: str,
    config: Mapping[str, Any],
    *,
    seeds: Mapping[str, Any],
    cells: Mapping[str, int],
    single: Sequence[Mapping[str, str]] = (),
    until: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    timings: Mapping[str, Any],
    code: str | None = None,
) -> dict[str, Any]:
    """Return the manifest of a run.

    ``config`` is the effective configuration (JSON types), which runs again as it is; ``seeds`` the master seed and the
    replications; ``single`` the machines and workloads in which nothing is random, so that they have one run for each
    policy; ``until`` how replications were added (None: not at all); ``notes`` what of the machines' command lines is
    not as written; ``settings`` what was given beside the experiment file by key, which is part of ``config`` too (the
    key ``set``); ``cells`` how many were ``planned``, ``completed`` and ``failed``; ``timings`` everything that
    another run would have otherwise (when, how long, how many workers); ``code`` what identifies the code (see
    :func:`sim.results.identity.code_version`, the default).
    """
    return {
        "format": FORMAT,
        "layout": LAYOUT,
        "experiment": experiment,
        "program": {
            "name": _PROGRAM,
            "version": __version__,
            "code": code_version() if code is None else code,
            "git": git_state(Path(__file__).resolve().parent),
        },
        "python": python_build(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "machine": machine(),
        "seeds": dict(seeds),
        "nothing_random": [dict(pair) for pair in single],
        "until": None if until is None else dict(until),
        "notes": list(notes),
        "set": dict(settings or {}),
        "config": dict(config),
        "config_sha256": sha256(canonical_json(dict(config))),
        "cells": dict(cells),
        TIMING_FIELD: dict(timings),
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write ``manifest`` into the results folder, with its checksum among the times, and return its path."""
    path = folder / MANIFEST_NAME
    sealed = {**manifest, TIMING_FIELD: {**manifest[TIMING_FIELD], _CHECKSUM: _checksum(manifest)}}
    write_atomically(path, (json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
    return path


def _checksum(manifest: Mapping[str, Any]) -> str:
    """Return the checksum of all that a manifest says but for itself."""
    timings = {name: value for name, value in manifest[TIMING_FIELD].items() if name != _CHECKSUM}
    said = json.loads(json.dumps({**manifest, TIMING_FIELD: timings}))
    return sha256(canonical_json(said))


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest in ``path`` (or in that folder). Raises ValueError, saying why, where it is none.

    That is also raised where it is not as it was written, by the checksum that :func:`write_manifest` adds.
    """
    if path.is_dir():
        path /= MANIFEST_NAME
    try:
        manifest = read_json(path, _LARGEST)
    except UnreadableError as error:
        raise ValueError(f"{path} is no manifest: it {error}") from error
    if not isinstance(manifest, dict) or "config" not in manifest or "format" not in manifest:
        raise ValueError(f"{path} is not a manifest: it has no 'format' and 'config'")
    if manifest["format"] != FORMAT:
        raise ValueError(f"{path} has format {manifest['format']!r}, this program reads format {FORMAT}")
    program = manifest.get("program")
    name = program.get("name") if isinstance(program, dict) else None
    if name != _PROGRAM:
        another = "none" if name is None else shown(name)
        raise ValueError(f"{path} was written by another program, {another}; this one is {_PROGRAM!r}")
    if manifest.get("config_sha256") != sha256(canonical_json(manifest["config"])):
        raise ValueError(
            f"{path}: its configuration is not the one that was run: config_sha256 is not the hash of config. To change"
            f" it, change {EXPERIMENT_NAME} beside it, and run that"
        )
    if not _as_written(manifest):
        raise ValueError(f"{path} is not as it was written: its checksum, timings.{_CHECKSUM}, is not that of the rest")
    if isinstance(manifest.get(TIMING_FIELD), dict):
        manifest[TIMING_FIELD].pop(_CHECKSUM, None)
    return manifest


def write_experiment(folder: Path, tables: Mapping[str, Any]) -> None:
    """Write the effective configuration ``tables`` of an experiment into its results folder, as TOML that runs again.

    The first line is a comment with the checksum of the others.
    """
    import tomli_w

    text = tomli_w.dumps(tables)
    write_atomically(folder / EXPERIMENT_NAME, f"{_CHECKED}{sha256(text)}\n{text}".encode())


def read_experiment(folder: Path) -> dict[str, Any]:
    """Return what :func:`write_experiment` wrote. Raises ValueError, saying why, where it is not there as written."""
    return tomllib.loads(checked_experiment(folder))


def checked_experiment(folder: Path) -> str:
    """Return the text of what :func:`write_experiment` wrote. Raises ValueError as :func:`read_experiment` does."""
    path = folder / EXPERIMENT_NAME
    try:
        first, _, text = path.read_text("utf-8").partition("\n")
        if first != f"{_CHECKED}{sha256(text)}":
            raise ValueError(f"{path} is not as it was written: its checksum, in line 1, is not that of the rest")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return text


def stored_layout(store: Path) -> int | None:
    """Return the number of the layout that the results in ``store`` are in; None where nothing says it."""
    if of_first_layout(store):
        return 1
    path = store / MANIFEST_NAME
    try:
        now = path.stat()
    except OSError:
        return None
    return _layout_said(path, now.st_ino, now.st_size, now.st_mtime_ns)


@lru_cache(maxsize=64)
def _layout_said(path: Path, *_: int) -> int | None:
    """Return the layout that a manifest says, which is asked before every look at results; it is read once."""
    try:
        manifest = json.loads(path.read_text("utf-8"))
        return int(manifest["layout"]) if _as_written(manifest) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _as_written(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest has the checksum of what it says; those of layouts before this one have none."""
    timings = manifest.get(TIMING_FIELD)
    said = timings.get(_CHECKSUM) if isinstance(timings, dict) else None
    if said is None:
        return manifest.get("layout") in _WITHOUT_CHECKSUM
    return bool(said == _checksum(manifest))


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit that ``folder`` is a checkout of and whether files differ from it; None if it is none."""

    def ask(*arguments: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603  a fixed command on our own folder
                ["git", "-C", str(folder), *arguments],  # noqa: S607  whichever git the user has
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A file that some other repository ignores (an environment inside a checkout) is no part of that checkout.
    if ask("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    commit = ask("rev-parse", "HEAD")
    changes = ask("status", "--porcelain", "--untracked-files=no", "--", ":/")
    return None if commit is None else {"commit": commit, "modified": bool(changes)}


def python_build() -> dict[str, Any]:
    """Return which interpreter this is, and how it was compiled, on which its speed depends."""
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "compiler": platform.python_compiler(),
        "optimised": "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
    }


def machine() -> dict[str, Any]:
    """Return what computer this is, without its name: system, processor, logical CPUs, memory (bytes)."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if sys.platform == "linux" else None,
    }


def _processor() -> str:
    """Return the processor's name as Linux tells it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
