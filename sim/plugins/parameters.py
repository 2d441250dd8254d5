"""The parameters of a plug-in, read from the signature that it has anyway, and judged by it.

The keyword arguments of a plug-in's ``__init__`` are its parameters. Each is annotated with its Python type, one word
of :mod:`sim.plugins.parameter_types` (none is needed for a plain number, flag or string), and one line that says what
it means::

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        slots: Annotated[int, Whole(1, 256, unit="slots"), "number of DIMM slots"] = 16,
        ask_again: Annotated[bool, "each request repeats a refused one as well"] = False,
    ) -> None:
        check.done()

Names, types, defaults, units, bounds, the JSON Schema, listings and all checks follow from that. Which values are worth
trying may stand beside, see :mod:`sim.plugins.parameter_search`. Without
:func:`checked` all of this holds as well, but nothing is checked where the plug-in is made in Python.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Concatenate,
    Final,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from sim.faults import MemhpSimError
from sim.plugins.description_flaws import flaws
from sim.plugins.parameter_search import Search
from sim.plugins.parameter_types import Flag, Number, ParameterType, Text, Whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_Arguments = ParamSpec("_Arguments")
_Value = TypeVar("_Value")
_PLAIN: Final[dict[object, ParameterType]] = {int: Whole(), float: Number(), bool: Flag(), str: Text()}


class DescriptionError(MemhpSimError, TypeError):
    """A plug-in's parameters are annotated in a way that says too little, or something that cannot be."""


class ParameterError(MemhpSimError, ValueError):
    """A plug-in cannot be made from what it was given.

    ``faults`` holds one sentence for each thing that is wrong: the parameter's name, a colon, and what is wrong.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))

    def __reduce__(self) -> tuple[type[ParameterError], tuple[tuple[str, ...]]]:
        # The default would hand the joined text back as the list of faults when the error crosses processes.
        return type(self), (self.faults,)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its ``name`` is the key in an experiment file, ``meaning`` one line.

    ``default`` is what the plug-in gets where the key is missing; None stands for "not given", which a ``required`` one
    has to be. ``search`` says which values are worth trying, None where nobody said.
    """

    name: str
    type: ParameterType
    meaning: str
    default: object
    required: bool
    search: Search | None = None

    @property
    def written(self) -> object:
        """The default as one would write it in a file; None where there is none."""
        return None if self.default is None else self.type.written(self.default)

    def paths(self, value: object) -> list[str]:
        """Return the paths in the converted ``value``."""
        paths: list[str] = []

        def note(path: str) -> str:
            paths.append(path)
            return path

        self.type.with_paths(value, note)
        return paths

    def complaints(self, value: object) -> list[str]:
        """Return what is wrong with ``value``."""
        return [] if value is None and self.default is None and not self.required else list(self.type.complaints(value))


def checked(
    init: Callable[Concatenate[Any, Checker, _Arguments], None],
) -> Callable[Concatenate[Any, _Arguments], None]:
    """Have an ``__init__`` handed a :class:`Checker` that has judged each argument by its annotation.

    The ``__init__`` judges them together where that is needed, calls :meth:`Checker.done`, which raises what is wrong,
    and then may rely on its arguments.
    """
    signature = inspect.signature(init)
    arguments = [argument for argument in signature.parameters.values() if argument.kind is argument.KEYWORD_ONLY]
    parameters: list[Parameter] = []

    @functools.wraps(init)
    def judging(self: Any, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:  # noqa: ANN401
        if not parameters:  # only now: on import, names that the annotations hold may not be there yet
            parameters.extend(_described(init, arguments))
        check = Checker(parameter.name for parameter in parameters)
        for parameter in parameters:
            for complaint in parameter.complaints(kwargs.get(parameter.name, parameter.default)):
                check.fault(parameter.name, complaint)
        init(self, check, *args, **kwargs)
        check.done()

    me = next(iter(signature.parameters.values()))
    judging.__signature__ = signature.replace(parameters=[me, *arguments])  # type: ignore[attr-defined]  # as inspect has it
    return judging


@cache
def parameters_of(cls: type) -> tuple[Parameter, ...]:
    """Return the parameters of a plug-in, in the order of its signature. Raises DescriptionError."""
    try:
        arguments = inspect.signature(cls).parameters.values()
    except ValueError:  # written in C
        return ()
    return tuple(_described(cls.__init__, arguments))  # type: ignore[misc]  # of this very class


def _described(init: Callable[..., None], arguments: Iterable[inspect.Parameter]) -> Iterator[Parameter]:
    """Yield the ``arguments`` of ``init`` as their annotations describe them. Raises DescriptionError."""
    for argument in arguments:
        if argument.kind in (argument.VAR_KEYWORD, argument.VAR_POSITIONAL):
            stars = "**" if argument.kind is argument.VAR_KEYWORD else "*"
            raise DescriptionError(f"takes {stars}{argument.name}; each parameter needs a name of its own")
        required = argument.default is argument.empty
        default = None if required else argument.default
        yield _parameter(argument.name, _annotation(init, argument.name), default=default, required=required)


def _annotation(init: Callable[..., None], name: str) -> object:
    function = inspect.unwrap(init)
    if name not in function.__annotations__:
        raise DescriptionError(f'parameter {name!r} has no annotation, such as Annotated[int, "what it means"]')
    # One by one: what else is annotated may be for type checkers alone.
    only = SimpleNamespace(__annotations__={name: function.__annotations__[name]})
    try:
        return get_type_hints(only, globalns=function.__globals__, include_extras=True)[name]
    except NameError as error:
        what = f"{error}; import it outside of TYPE_CHECKING"
        raise DescriptionError(f"the annotation of parameter {name!r} cannot be read: {what}") from error
    except (TypeError, SyntaxError) as error:
        raise DescriptionError(f"the annotation of parameter {name!r} cannot be read: {error}") from error


def _parameter(name: str, hint: object, *, default: object, required: bool) -> Parameter:
    if get_origin(hint) is not Annotated:
        raise DescriptionError(f'parameter {name!r} needs a line on what it means: Annotated[..., "what it means"]')
    base, *notes = get_args(hint)
    meanings = [note for note in notes if isinstance(note, str)]
    types = [note for note in notes if isinstance(note, ParameterType)]
    if len(meanings) != 1 or not meanings[0].strip() or "\n" in meanings[0]:
        has = repr(meanings[0]) if len(meanings) == 1 else len(meanings)
        raise DescriptionError(f"parameter {name!r} needs one line on what it means, but has {has}")
    if forgotten := [note for note in notes if inspect.isclass(note) and issubclass(note, ParameterType)]:
        raise DescriptionError(f"parameter {name!r} is described by a class: write {forgotten[0].__name__}()")
    plain = _without_none(base)
    if not types and plain in _PLAIN:
        types = [_PLAIN[plain]]
    if len(types) != 1:
        examples = "Size(), Seconds(), Word(...), ListOf(...)"
        raise DescriptionError(f"parameter {name!r} needs one description of its values, such as {examples}")
    if flaw := next(flaws(types[0]), ""):
        raise DescriptionError(f"parameter {name!r}: {flaw}")
    if not _fits(plain, types[0].takes):
        python, takes = getattr(plain, "__name__", plain), types[0].takes.__name__
        raise DescriptionError(
            f"parameter {name!r} is annotated as {python}, but {type(types[0]).__name__} is for {takes}"
        )
    parameter = Parameter(name, types[0], meanings[0], default, required, _search(name, notes, types[0]))
    if wrong := [] if required else parameter.complaints(default):
        raise DescriptionError(f"the default of parameter {name!r} {wrong[0]}")
    return parameter


def _search(name: str, notes: Iterable[object], of: ParameterType) -> Search | None:
    searches = [note for note in notes if isinstance(note, Search)]
    if len(searches) > 1:
        raise DescriptionError(f"parameter {name!r} says {len(searches)} times which values to try; once is enough")
    if searches and (flaw := next(searches[0].flaws(of), "")):
        raise DescriptionError(f"parameter {name!r}: {flaw}")
    return searches[0] if searches else None


def _without_none(base: object) -> object:
    if get_origin(base) in (Union, UnionType):
        others = [part for part in get_args(base) if part is not NoneType]
        return others[0] if len(others) == 1 else base
    return base


def _fits(annotated: object, takes: type) -> bool:
    """Whether Python's type of an annotation is the one that a parameter's type is for."""
    if takes is Sequence:
        return get_origin(annotated) in (Sequence, list, tuple)
    if takes is Mapping:
        return get_origin(annotated) in (Mapping, dict)
    return annotated is takes


class Checker:
    """Collects what is wrong with the parameters of a plug-in, or with named values from elsewhere."""

    def __init__(self, order: Iterable[str] = ()) -> None:
        self._order = {name: number for number, name in enumerate(order)}
        self._faults: list[tuple[str, str]] = []

    def fault(self, name: str, sentence: str) -> None:
        """Note that parameter ``name`` is wrong in the way that ``sentence`` says."""
        self._faults.append((name, sentence))

    def take(self, name: str, value: _Value, by: ParameterType, otherwise: _Value) -> _Value:
        """Return ``value`` if ``by`` takes it, else ``otherwise``, so that checks can go on; notes what is wrong."""
        complaints = [(name, complaint) for complaint in by.complaints(value)]
        self._faults += complaints
        return otherwise if complaints else value

    def good(self, *names: str) -> bool:
        """Whether nothing was wrong so far with the parameters ``names``, so that they can be judged together."""
        return not any(name in names for name, _ in self._faults)

    @property
    def faults(self) -> list[str]:
        """What was wrong so far, in the order of the parameters: name, colon, sentence."""
        ordered = sorted(self._faults, key=lambda fault: self._order.get(fault[0], 0))
        return [f"{name}: {sentence}" for name, sentence in ordered]

    def done(self) -> None:
        """Raise :class:`ParameterError` with everything that was wrong, if anything was."""
        if self._faults:
            raise ParameterError(self.faults)
