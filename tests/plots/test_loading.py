"""Loading matplotlib for a command: what is left out is only what no figure needs, and only there."""

from __future__ import annotations

import subprocess
import sys

_LOOKS = """
import sys, warnings
warnings.simplefilter("error")
from sim.plots.loading import load_matplotlib
load_matplotlib()
from matplotlib.artist import kwdoc
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
three = "mpl_toolkits.mplot3d" in sys.modules
axes = Figure().subplots()
axes.plot([1, 2], linewidth=3)
from mpl_toolkits.mplot3d import Axes3D
print(three, "dash_capstyle" in Line2D.set.__doc__, "dash_capstyle" in kwdoc(Line2D))
"""


def _printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return done.stdout.strip()


def test_a_command_loads_neither_lists_of_parameters_nor_three_dimensions_but_both_are_to_be_had() -> None:
    assert _printed(_LOOKS) == "False False True"


def test_what_is_loaded_already_stays_whole() -> None:
    assert _printed(f"import matplotlib.figure\n{_LOOKS}") == "True True True"
