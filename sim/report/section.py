"""A part of the page, and what every part of it must keep to so that nothing in it is taken for markup or script.

Text of users (labels, descriptions, errors, plug-ins' words) reaches HTML in two ways only: through a template of
``sim/report/templates``, in which everything is escaped that is not :class:`markupsafe.Markup`, or as ``data``, which a
script puts into the page with ``textContent``. Never with ``innerHTML``, and never formatted into Markup by hand, but
for ``Markup("<p>{}</p>").format(text)``, which escapes. The page's Content-Security-Policy allows the scripts and
styles of ``sim/report/assets`` by their hashes and nothing else: no ``style=`` attributes, no ``onclick=``, no
addresses elsewhere. Attributes of SVG (``fill=``) and ``element.style`` in scripts are no such styles.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Mapping

_IN_SCRIPT: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under a heading.

    ``anchor`` is its id (letters, digits and dashes; ids inside begin with it), ``title`` its heading in plain text and
    ``html`` what stands below, whose own headings are one level deeper than the section's. ``data`` holds what scripts
    read, JSON values by the id of the element they are in: ``JSON.parse(document.getElementById(id).textContent)``.
    ``scripts`` and ``styles`` are files of ``sim/report/assets`` that it needs, each of which is put in once. Without
    JavaScript ``html`` must still say what matters.
    """

    anchor: str
    title: str
    html: Markup
    data: Mapping[str, Any] = field(default_factory=dict)
    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()


def json_text(value: Any) -> Markup:  # noqa: ANN401  whatever JSON can hold
    """Return ``value`` as JSON that can stand in a ``<script>``: nothing in it can end that, or be markup.

    Raises ValueError for NaN and infinities, which no JSON has: a missing number is None.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_IN_SCRIPT))  # noqa: S704  no markup is left in it
