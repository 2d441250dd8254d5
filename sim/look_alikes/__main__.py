"""Write the look-alikes and the page of their fit: ``python -m sim.look_alikes experiments/data docs``."""

from __future__ import annotations

import sys
from pathlib import Path

from sim.look_alikes.page import write_page
from sim.look_alikes.writing import write_look_alikes

if __name__ == "__main__":
    data, docs = map(Path, sys.argv[1:])
    write_look_alikes(data)
    write_page(docs)
