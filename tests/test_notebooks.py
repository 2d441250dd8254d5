from __future__ import annotations

from typing import TYPE_CHECKING

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode

NOTEBOOKS = ROOT / "notebooks"
PAIRS = sorted(NOTEBOOKS.glob("*.ipynb"))


def cells_of(notebook: NotebookNode) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def test_there_is_a_notebook() -> None:
    assert [path.name for path in PAIRS] == ["tour.ipynb"]


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_a_notebook_and_its_script_are_one(path: Path) -> None:
    notebook = nbformat.reads(path.read_text("utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    assert cells_of(notebook) == cells_of(jupytext.read(path.with_suffix(".py")))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code), "its outputs are kept"
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)


@pytest.mark.filterwarnings("ignore:Proactor event loop|There is no current event loop:Warning")
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_results(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder of its own, with no results beside it: the notebook has to run its own experiment.
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "notebooks").mkdir()
    notebook = jupytext.read(path.with_suffix(".py"))
    resources = {"metadata": {"path": str(tmp_path / "notebooks")}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert not any(output.get("name") == "stderr" for output in outputs)
