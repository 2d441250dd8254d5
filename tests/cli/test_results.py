"""What ``memhp-sim run`` prints and draws in the end: tables against the baseline and the bound, and where all is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sim.cli.main import main
from sim.plots import files
from sim.plots.fonts import missing
from sim.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DIMMS = "t_s,op,device,kind,size_bytes\n0,plug,d0,dimm,256MiB\n5,demand,k,kernel,128MiB\n10,plug,d1,dimm,512MiB\n"
EXPERIMENT = """
baseline = "online-movable"
machines = [{ boot_memory = "1GiB" }]
workloads = [{ name = "request-replay", label = "grow", path = "dimms.csv" }]
guest.model = "linux"
policies = [{ name = "online-movable" }, { name = "clairvoyant", label = "bound" }, { name = "online-kernel" }]
"""

CUNEIFORM = "\U00012000\U00012001"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], object]]:
    """Put in place of drawing, which takes long, what only takes down the policies, in the order that gives colours."""
    found = []

    def save_all(_: ResultStore, folder: Path, policies: Sequence[str], *of: object) -> list[Path]:
        bound, baseline, kinds = of[:3]
        assert (baseline, kinds) == ("online-movable", ())
        found.append((list(policies), bound))
        return [folder / f"{number}.png" for number in range(6)]

    monkeypatch.setattr(files, "save_all", save_all)
    return found


def test_tables_against_the_baseline_and_the_bound_and_plots_keep_the_order_of_the_experiment(
    tmp_path: Path, drawn: list[tuple[list[str], object]]
) -> None:
    (tmp_path / "dimms.csv").write_text(DIMMS, "utf-8")
    (tmp_path / "tiny.toml").write_text(EXPERIMENT, "utf-8")
    out = tmp_path / "out[a]"  # which is no markup
    result = CliRunner().invoke(
        main, ["run", str(tmp_path / "tiny.toml"), "--out", str(out), "--workers", "1"], catch_exceptions=False
    )

    assert result.exit_code == 0
    assert drawn == [(["online-movable", "bound", "online-kernel"], "bound")]
    assert f"Plots     {out}/tiny/plots/ (6 plots, as PNG; --draw all draws every kind)\n" in result.stdout
    assert f"Tables    {out}/tiny/ (" in result.stdout
    assert f"Manifest  {out}/tiny/manifest.json;" in result.stdout
    first, regret = result.stdout.split("Regret: what is lost against bound, which knows what comes\n")
    for table, baseline in ((first, "online-movable"), (regret, "bound")):
        lines = [line.rstrip() for line in table.splitlines()]
        assert lines[0] == "grow on 1GiB: nothing is random here, so one run of each policy"
        labels = [line.split()[0] for line in lines if line.startswith(("online-", "bound "))]
        pieces = lines.count("(baseline)")
        assert labels == ["online-movable", "bound", "online-kernel"] * pieces
        above = [lines[number - 1].split()[0] for number, line in enumerate(lines) if line == "(baseline)"]
        assert above == [baseline] * pieces
        assert f"\nBaseline: {baseline}." in table
    # Of 768 MiB that came, online-movable makes all MOVABLE and online-kernel nothing.
    runs = ResultStore(out / "tiny").runs().set_index("policy")
    assert runs.loc["online-kernel", "movable_share_mean"] == 0
    assert runs.loc["online-movable", "movable_share_mean"] == 100
    assert "47.5" in first.split()  # 256 MiB for 70 and 512 MiB for 60 seconds, in GiB s


def test_letters_that_no_font_has_are_named_in_one_sentence_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "dimms.csv").write_text(DIMMS, "utf-8")
    (tmp_path / "tiny.toml").write_text(EXPERIMENT.replace('"grow"', f'"grow {CUNEIFORM} $x$ _a_"'), "utf-8")
    result = CliRunner().invoke(
        main, ["run", str(tmp_path / "tiny.toml"), "--out", str(tmp_path), "--workers", "1"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    if not missing([CUNEIFORM]):
        pytest.skip("a font with these letters is installed here")
    assert f"\nNo installed font has {' '.join(CUNEIFORM)}: plots have a box for each.\n" in result.stdout
    assert "Warning" not in result.output
    assert "Glyph" not in result.output
