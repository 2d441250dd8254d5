"""The tables and the figure of the page "A month of VMs", from the results of its recipe.

``python -m tests.support.month results/bitbrains-month [figure.svg]`` prints the tables as the page has them, of the
VMs that have run under every policy. Several folders are taken together, as of runs of some replications each.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from memhp_sim import open_results
from sim.units import GIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

CLASSES: Final = ((-1.0, "nothing"), (0.0, "up to 1 GiB"), (1.0, "1 to 4 GiB"), (4.0, "4 to 16 GiB"), (16.0, "more"))
"""VMs by the most that the host ever asked for beside the 1 GiB at boot, under debian-13: from so many GiB on."""

ORDER: Final = ("debian-12", "debian-13", "rhel-10", "neonvm", "firecracker")
BASELINE: Final = "debian-13"
PAIRS: Final = (
    ("rhel-10", "debian-13"),
    ("neonvm", "debian-13"),
    ("firecracker", "debian-13"),
    ("firecracker", "neonvm"),
)
"""Policies that are compared VM by VM."""
_FAILS: Final = ("died", "kernel_ooms", "failed_adds")


def tables(runs: pd.DataFrame) -> Iterator[str]:
    """Yield the page's lines: tables by policy, of two policies each, and by policy and size of the VM."""
    sizes = asked(runs)
    yield f"{len(sizes)} VMs; the host ever asks for more than the boot memory in {int((sizes > 0).sum())} of them.\n"
    yield "| policy | kernel out of memory or an add failed | guest died | programs killed | not served, GiB h a VM |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for policy, each in _by_policy(runs):
        fails = (each[list(_FAILS)] > 0).any(axis=1)
        fields = [_share(fails), _share(each.died > 0), _share(each.guest_full_ooms > 0)]
        yield f"| `{policy}` | {' | '.join(fields)} | {_mean(each.unserved_byte_seconds / GIB / 3600)} |"
    yield "\n| policy | came back of what was asked back, % | VMs in which less than 90 % came back | arrived, % |"
    yield "| --- | ---: | ---: | ---: |"
    for policy, each in _by_policy(runs):
        back = each.returned_share.dropna()
        fields = [_mean(back), _share(back < 90), _mean(each.arrived_share.dropna())]
        yield f"| `{policy}` | {' | '.join(fields)} |"
    yield "\n| policy | kernel out of memory | an add failed | both |"
    yield "| --- | ---: | ---: | ---: |"
    for policy, each in _by_policy(runs):
        ooms, adds = each.kernel_ooms > 0, each.failed_adds > 0
        yield f"| `{policy}` | {int(ooms.sum())} | {int(adds.sum())} | {int((ooms & adds).sum())} |"
    yield "\n| VM by VM | fails with it alone | with the other alone | p | came back, points | not served, GiB h |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    policies = [name for name in ORDER if name in set(runs.policy)]
    yield from (_compared(runs, one, other) for one, other in PAIRS if one in policies and other in policies)
    yield f"\n| VMs that ask for | VMs | {' | '.join(f'`{policy}`' for policy in policies)} |"
    yield f"| --- | ---: |{' ---: |' * len(policies)}"
    for name, members in classes(sizes):
        of_class = runs[runs.replication.isin(members)]
        fields = []
        for policy in policies:
            each = of_class[of_class.policy == policy]
            failed = int((each[list(_FAILS)] > 0).any(axis=1).sum())
            back = each.returned_share.dropna()
            fields.append(f"{failed} fail" + (f", {back.mean():.1f} % back" if len(back) else ""))
        yield f"| {name} | {len(members)} | {' | '.join(fields)} |"


def _by_policy(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for policy in ORDER:
        if len(each := runs[runs.policy == policy]):
            yield policy, each


def _compared(runs: pd.DataFrame, one: str, other: str) -> str:
    """Return the row of two policies on the same VMs, with the p of the exact sign test where they differ."""
    from scipy.stats import binomtest

    first, second = (runs[runs.policy == policy].set_index("replication").sort_index() for policy in (one, other))
    fails, others = ((each[list(_FAILS)] > 0).any(axis=1) for each in (first, second))
    alone, other_alone = int((fails & ~others).sum()), int((others & ~fails).sum())
    p = binomtest(alone, alone + other_alone).pvalue if alone + other_alone else 1.0
    back = _mean((first.returned_share - second.returned_share).dropna())
    unserved = _mean((first.unserved_byte_seconds - second.unserved_byte_seconds) / GIB / 3600)
    return f"| `{one}` to `{other}` | {alone} | {other_alone} | {p:.2g} | {back} | {unserved} |"


def asked(runs: pd.DataFrame) -> pd.Series[float]:
    """Return the most that was asked for in each VM under the baseline, in GiB, by replication."""
    of_baseline = runs[runs.policy == BASELINE].set_index("replication")
    return of_baseline.asked_max / GIB


def classes(sizes: pd.Series[float]) -> Iterator[tuple[str, list[int]]]:
    """Yield the classes of VMs by name, with their replications."""
    edges = [*(low for low, _ in CLASSES), float("inf")]
    for (low, name), high in zip(CLASSES, edges[1:], strict=True):
        yield name, list(sizes[(sizes > low) & (sizes <= high)].index)


def _share(hits: pd.Series[bool]) -> str:
    """Return how many of how many, with the exact 95 % interval in percent."""
    from scipy.stats import binomtest

    count, total = int(hits.sum()), len(hits)
    interval = binomtest(count, max(total, 1)).proportion_ci(method="exact")
    return f"{count} of {total} ({100 * interval.low:.1f} to {100 * interval.high:.1f} %)"


def _mean(values: pd.Series[float]) -> str:
    """Return the mean over VMs with the 95 % interval of 2,000 resamplings of VMs."""
    rng = np.random.default_rng(1)
    kept = values.to_numpy(dtype=float)
    if not len(kept):
        return "nothing was asked back"
    means = rng.choice(kept, (2000, len(kept))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{kept.mean():.2f} ({low:.2f} to {high:.2f})"


def figure(runs: pd.DataFrame, path: Path) -> None:
    """Draw what came back of each VM by how much it asks for, a panel for each policy."""
    import matplotlib.pyplot as plt

    sizes = asked(runs)
    policies = [name for name in ORDER if name in set(runs.policy)]
    drawn, panels = plt.subplots(
        1, len(policies), figsize=(2.2 * len(policies), 2.6), sharey=True, layout="constrained"
    )
    for panel, policy in zip(np.atleast_1d(panels), policies, strict=True):
        each = runs[(runs.policy == policy) & (runs.replication.isin(sizes[sizes > 0].index))]
        fails = (each[list(_FAILS)] > 0).any(axis=1)
        x = sizes.loc[each.replication].to_numpy()
        panel.scatter(x[~fails], each.returned_share[~fails], s=6, alpha=0.6, label="lives")
        panel.scatter(x[fails], each.returned_share[fails], s=14, marker="x", color="tab:red", label="fails")
        panel.set_xscale("log", base=2)
        panel.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
        panel.set_title(policy, fontsize=9)
        panel.set_xlabel("most asked for, GiB", fontsize=8)
    np.atleast_1d(panels)[0].set_ylabel("came back, %", fontsize=8)
    np.atleast_1d(panels)[-1].legend(fontsize=7)
    drawn.savefig(path, metadata={"Date": None})
    plt.close(drawn)


if __name__ == "__main__":
    import pandas as pd

    folders = [path for path in sys.argv[1:] if not path.endswith(".svg")]
    read = pd.concat([open_results(folder).runs() for folder in folders])
    completed = read[read.status == "completed"].astype({"policy": str}).drop_duplicates(["policy", "replication"])
    # Whole VMs only: an interrupted run has some under some policies.
    whole = completed.groupby("replication").policy.transform("count") == completed.policy.nunique()
    print("\n".join(tables(completed[whole])))  # noqa: T201
    if len(sys.argv) > len(folders) + 1:
        figure(completed[whole], Path(sys.argv[-1]))
