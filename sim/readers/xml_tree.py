"""XML read into a tree, with nothing in it that could make it grow, reach for other files or never end.

The standard library's expat does it, with document types refused: no entity can be declared without one, so there is
nothing to expand and nothing to fetch, and libvirt writes none. No further library is needed for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

from sim.faults import Fault, InputError, shown

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DEEPEST: Final = 64
_SEPARATOR: Final = "|"
"""Between a name's namespace and the name: XML has it in neither."""


def parse_xml(text: str, file: str) -> Element:
    """Return the root of the document ``text``.

    Raises InputError, with the line, for what is no XML, declares a document type or is nested deeper than anybody
    writes by hand.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    depth = 0

    def refused(what: str) -> InputError:
        return InputError(file, [Fault(f"line {parser.CurrentLineNumber}", what)])

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise refused(f"elements are nested more than {_DEEPEST} deep")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(name: str, *_: object) -> None:
        raise refused(
            f"declares the document type {shown(name)}, through which entities can be made; libvirt writes none: remove"
            " the line <!DOCTYPE ...>"
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(text.encode(errors="replace"), True)  # noqa: FBT003  it takes no names
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]:
            what = "a second document begins here, or something else follows the first; give one alone"
        raise InputError(file, [Fault(f"line {error.lineno}", f"is no well-formed XML: {what}")]) from error
    return builder.close()
