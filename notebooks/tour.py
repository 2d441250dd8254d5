# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A tour of results
#
# Memory that is plugged into a Linux guest goes to a kernel zone, where the kernel may use it but from where it may
# never come back, or to ZONE_MOVABLE, from where it can be taken back but which the kernel cannot use for itself. An
# *onlining policy* chooses. This notebook loads the results of an experiment, compares its policies and draws what
# they did.
#
# It takes the results of `memhp-sim run experiments/quickstart.toml`. If there are none, it runs a small experiment of
# its own into a temporary folder.

# %%
# %matplotlib inline
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd

from memhp_sim import SCORES, EventKind, open_results, run, side_by_side

pd.set_option("display.precision", 2)
pd.set_option("display.width", 120)

quickstart = next((path for path in (Path("results/quickstart"), Path("../results/quickstart")) if path.is_dir()), None)

SMALL = {
    "name": "small",
    "seed": 1,
    "replications": 3,
    "baseline": "contig-zones",
    "machines": [{"label": "small VM", "boot_memory": "4GiB"}],
    "policies": [
        {"name": "contig-zones"},
        {"name": "online-movable"},
        {"name": "auto-movable", "label": "auto-movable 301", "ratio": 301},
        {"name": "auto-movable", "label": "auto-movable 100", "ratio": 100},
    ],
    "workloads": [
        {
            "name": "virtio-mem-resize",
            "label": "bursts",
            "shape": "bursts",
            "maximum": "24GiB",
            "step": "512MiB",
            "duration": 3600,
        }
    ],
}

results = open_results(quickstart) if quickstart else run(SMALL, tempfile.mkdtemp(), workers=1)
results.policies

# %% [markdown]
# ## One row per run
#
# Every run is a policy on a workload on a machine, in one replication. Replications differ in their random traffic,
# which is the same for all policies. All scores are columns; `docs/scores.md` defines them.

# %%
runs = results.runs()
print(f"{len(runs)} runs, {(runs['status'] == 'completed').sum()} of them completed, {len(SCORES)} scores")
runs[["workload", "policy", "replication", "ratio_max", "movable_share_mean", "kernel_mean", "zone_changes_max"]].head(
    8
)

# %% [markdown]
# ## Policies compared
#
# Differences to the baseline are taken within each replication, where the host wants the same of both, and then
# averaged. From 15 replications on there is a 95 % confidence interval. Tables are in stored units (bytes, seconds,
# percent); `unit` says which.

# %%
workload = runs["workload"].iloc[0]
machine = runs["machine"].iloc[0]
comparison = results.compare()
of_workload = comparison[(comparison["workload"] == workload) & (comparison["machine"] == machine)]
of_workload[of_workload["score"] == "returned_share"][
    ["policy", "unit", "mean", "low", "high", "difference", "difference_low", "difference_high", "pairs"]
]

# %% [markdown]
# The same for people: scores down, policies across, in GiB and percent, with the difference to the baseline in
# brackets.

# %%
side_by_side(comparison, machine, workload)

# %% [markdown]
# ## Where the memory went
#
# KERNEL is what the kernel may use for itself. Memory that was plugged and went to MOVABLE can be taken back.

# %%
results.plot("memory", workload, machine)

# %% [markdown]
# How much MOVABLE there is for each page of KERNEL, with the ratio that auto-movable is configured to keep to.

# %%
results.plot("ratio", workload, machine)

# %% [markdown]
# Each memory block along the address axis. Stripes are zones that take turns: a MOVABLE block between two kernel ones
# can be taken back, but no huge contiguous range can.

# %%
results.plot("map", workload, machine)

# %%
results.plot("scores", workload, machine)

# %% [markdown]
# ## Down to the events
#
# A run's step series and its events are there as well, and the run itself as the engine gave it.

# %%
cell = runs[(runs["workload"] == workload) & (runs["policy"] == results.policies[-1])]["cell"].iloc[0]
series = results.series({cell})
gib = series.filter(like="_bytes") / 2**30
gib.insert(0, "seconds", series["t_us"] / 1e6)
gib[["seconds", "plugged_bytes", "requested_bytes", "movable_bytes", "kernel_bytes"]].tail()

# %%
Counter(EventKind(kind).name for kind in results.events({cell})["kind"])
