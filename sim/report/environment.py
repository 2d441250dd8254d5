"""Where templates, styles and scripts of the page are, and the page's frame around its sections."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from sim.report.section import json_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jinja2 import Environment

    from sim.report.section import Section

_HERE: Final = Path(__file__).parent
_STYLES: Final = ("style.css",)
_SCRIPTS: Final = ("page.js", "tables.js")

_UNSHOWABLE: Final = dict.fromkeys(
    [
        *(code for code in range(0x20) if chr(code) not in "\t\n"),
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),  # bidirectional embeddings and overrides,
        *range(0x2066, 0x206A),  # and isolates: they would turn round what stands after a label
        *range(0xD800, 0xE000),
    ],
    "\N{REPLACEMENT CHARACTER}",
)


@cache
def environment() -> Environment:
    """Return the templates, all of which escape what they are given."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rendered(template: str, **values: Any) -> Markup:  # noqa: ANN401  whatever the template asks for
    """Return the ``template`` (its name without the ending) filled in with ``values``, which are escaped."""
    return Markup(environment().get_template(f"{template}.html.j2").render(values))  # noqa: S704  escaped by it


@cache
def asset(name: str) -> str:
    """Return the style or script ``name``."""
    return (_HERE / "assets" / name).read_text("utf-8")


def framed(title: str, sections: Sequence[Section], parts: Iterable[Section] = ()) -> str:
    """Return the whole page: ``sections`` under ``title``, and what ``parts`` inside of them need besides."""
    every = [*sections, *parts]
    styles = "".join(map(asset, dict.fromkeys((*_STYLES, *(name for each in every for name in each.styles)))))
    scripts = [asset(name) for name in dict.fromkeys((*_SCRIPTS, *(name for each in every for name in each.scripts)))]
    page = rendered(
        "page",
        title=title,
        sections=sections,
        allowed=_allowed(scripts, styles),
        style=Markup(styles),  # noqa: S704  our own file
        scripts=[Markup(text) for text in scripts],  # noqa: S704  our own files
        data={name: json_text(value) for each in every for name, value in each.data.items()},
    )
    return page.replace("\r\n", "\n").translate(_UNSHOWABLE)


def _allowed(scripts: Sequence[str], style: str) -> str:
    """Return the Content-Security-Policy: these scripts and this style, and nothing from anywhere."""
    own = " ".join(f"'sha256-{_digest(text)}'" for text in scripts)
    return (
        f"default-src 'none'; script-src {own}; style-src 'sha256-{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
