"""Loading matplotlib for a command, which only writes figures: without what takes time and nobody looks at there."""

from __future__ import annotations

import sys
import warnings
from typing import Final

_THREE_DIMENSIONS: Final = "mpl_toolkits.mplot3d"


def load_matplotlib() -> None:
    """Import what draws figures, without lists of parameters in docstrings and without axes in three dimensions.

    These are a third of the time that it takes. Where matplotlib is loaded already, nothing is left out of it.
    """
    if "matplotlib.artist" in sys.modules:
        return
    from matplotlib import artist

    documented = artist.kwdoc
    artist.kwdoc = lambda artist: ""  # noqa: ARG005  called by name, too
    # So Python is told that there is none.
    sys.modules[_THREE_DIMENSIONS] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is none
            import matplotlib.backends.backend_agg
            import matplotlib.figure  # noqa: F401
    finally:
        artist.kwdoc = documented
        del sys.modules[_THREE_DIMENSIONS]
