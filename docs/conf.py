"""Configuration of Sphinx: Markdown pages and docstrings become the documentation."""

from __future__ import annotations

from sim import __version__

project = "memhp-sim"
author = "the memhp-sim authors"
project_copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"

exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"memhp-sim {version}"
