"""Whether a plug-in judges its parameters as it should: what it does not take is told under a parameter's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.faults import Faults, let_pass, shown, text_of
from sim.plugins.contained import without_exit
from sim.plugins.verdicts import FAILED, PASSED, Verdict
from sim.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sim.plugins.lookup import Plugin
    from sim.plugins.parameters import Parameter

TRIED: Final = "odd values of each parameter: taken, or refused under its name"

_ODD: Final[tuple[Any, ...]] = (
    *(0, 1, 2, 3, 7, 100, 4096, MIB, 3 * MIB, GIB, 1 << 40, 0.0, 0.001, 0.5, 1.0, 2.5, 1e6, True, False),
    *("", "x", "0", [0], [1], [1, 1], [GIB], [0.5], ["x"], {}),
)


def check_parameters(plugin: Plugin, configured: Mapping[str, Any]) -> Verdict:
    """Make ``plugin`` with one odd value after the other, each of which its annotation takes.

    ``configured`` are the values of all parameters that are given.
    """
    names = [parameter.name for parameter in plugin.parameters]
    tried = 0
    for parameter in plugin.parameters:
        for value in _taken(parameter):
            tried += 1
            if flaw := _flaw(plugin, {**configured, parameter.name: value}, names):
                what = f"{parameter.name} = {shown(value)}: {flaw}"
                return Verdict("parameters", TRIED, FAILED, what)
    return Verdict("parameters", TRIED, PASSED, f"{tried} values" if names else "it has none")


def _taken(parameter: Parameter) -> Iterator[object]:
    """Yield the odd values that the parameter's own description takes; no paths, of which none is there."""
    for value in _ODD:
        faults = Faults()
        converted = parameter.type.convert(value, faults)
        if not faults and not parameter.complaints(converted) and not parameter.paths(converted):
            yield converted


def _flaw(plugin: Plugin, values: Mapping[str, Any], names: list[str]) -> str:
    """Return what is wrong with how the plug-in takes ``values``, empty where nothing is."""
    try:
        with without_exit():
            plugin.cls(**values)
    except ValueError as error:
        sentences = getattr(error, "faults", None) or (text_of(error),)
        for each in map(str, sentences):
            if each.partition(":")[0].strip("`'\"") not in names:
                return f'__init__ raised {type(error).__name__}("{each}"); it should begin with a parameter and a colon'
    except BaseException as error:  # noqa: BLE001  whatever it does
        let_pass(error)
        return (
            f"__init__ raised {type(error).__name__}: {text_of(error)}; what it does not take should be a ValueError"
            f" or ParameterError that begins with the parameter's name and a colon"
        )
    return ""
