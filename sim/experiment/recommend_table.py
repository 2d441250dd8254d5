"""The table ``[recommend]`` of an experiment file: what a recommendation may choose from, and what it has to keep.

What limits and scores say in words is read where they are understood (:mod:`sim.recommend`); which values of which
policy are to be searched is checked here, beside the policies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, WithJsonSchema

from sim.experiment.table import Flag, Integer, Table, Text
from sim.faults import shown, unknown_name
from sim.plugins import lookup, values
from sim.plugins.parameter_search import Between, OneOf, Search, Spacing, is_number

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from pathlib import Path

    from sim.experiment.variants import Entry
    from sim.faults import Faults
    from sim.plugins.parameters import Parameter

DEFAULT_LIMIT: Final = "nothing fails in 95 % of replications"
"""What has to hold where nobody says anything, in words that :mod:`sim.recommend.limits` reads."""

MOST_VALUES: Final = 1000
"""Values of one parameter; more are taken for a slip."""

_RANGE_KEYS: Final = ("from", "to", "steps", "spacing")

_MEMMAP: Final[dict[str, Any]] = {"enum": [True, False, "force"]}

MemmapOnMemory = bool | Literal["force"]


def how_sure(value: object) -> float:
    """Return how sure a choice has to be, as it is written. Raises ValueError for what is no such share."""
    number = values.number(value)
    if not 0.5 < number < 1:  # noqa: PLR2004  half is a guess
        raise ValueError(f"{shown(value)} is not more than 0.5 and less than 1, such as 0.95")
    return number


def _replications(value: int) -> int:
    if not 2 <= value <= 100_000:  # noqa: PLR2004  two tell how much they differ
        raise ValueError(f"{value} is not between 2 and 100000")
    return value


def _indifference(value: object) -> float | str:
    return values.string(value) if isinstance(value, str) else values.number(value)


def _memmap(value: object) -> tuple[MemmapOnMemory, ...]:
    listed = value if isinstance(value, (list, tuple)) else (value,)
    if not listed or not all(isinstance(each, bool) or each == "force" for each in listed):
        what = ", ".join(map(shown, listed)) or "an empty list"
        raise ValueError(f"{what} is not true, false or 'force', nor a list of them")
    return tuple(dict.fromkeys(listed))


class RecommendTable(Table):
    """What ``memhp-sim recommend`` may choose from, and what the choice has to keep."""

    limits: tuple[Text, ...] = Field((), description='What has to hold, in words: "no death in 99 % of replications".')
    maximise: Text | None = Field(None, description="The score of which the best candidate has most.")
    minimise: Text | None = Field(None, description="The score of which the best candidate has least.")
    indifference: Annotated[
        float | str | None,
        PlainValidator(_indifference),
        WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]}),
    ] = Field(None, description="How much of that score makes no difference.")
    confidence: Annotated[
        float,
        BeforeValidator(how_sure),
        WithJsonSchema({"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1}),
    ] = Field(0.95, description="How sure the pick shall be.")
    replications: (
        Annotated[
            Integer,
            AfterValidator(_replications),
            WithJsonSchema({"type": "integer", "minimum": 2, "maximum": 100_000}),
        ]
        | None
    ) = Field(None, description="Most replications of one candidate.")
    policies: tuple[Text, ...] | None = Field(
        None, min_length=1, description="Labels of the experiment's policies to choose from. Default: all."
    )
    add_linux_policies: Flag = Field(
        default=True,
        description="Whether contig-zones, online-movable and auto-movable, which every Linux has, are candidates too.",
    )
    memmap_on_memory: Annotated[
        tuple[MemmapOnMemory, ...] | None,
        PlainValidator(_memmap),
        WithJsonSchema({"anyOf": [_MEMMAP, {"type": "array", "items": _MEMMAP, "minItems": 1}]}),
    ] = Field(None, description="Values of the module parameter to try. Default: both, where it changes anything.")
    search: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Values of parameters to try, by policy: auto-movable.ratio = [50, 100] or"
        " { from = 50, to = 1200, steps = 12 }.",
    )


@dataclass(frozen=True, slots=True)
class RecommendSettings:
    """``[recommend]``, checked. ``search`` holds what is to be tried, by a policy's label or name and a parameter.

    Everything else is as in :class:`RecommendTable`: ``policies`` and ``memmap_on_memory`` are None where not given.
    """

    limits: tuple[str, ...] = ()
    maximise: str | None = None
    minimise: str | None = None
    indifference: float | str | None = None
    confidence: float = 0.95
    replications: int | None = None
    policies: tuple[str, ...] | None = None
    add_linux_policies: bool = True
    memmap_on_memory: tuple[MemmapOnMemory, ...] | None = None
    search: Mapping[str, Mapping[str, Search]] = field(default_factory=dict)


def from_anywhere(table: Mapping[str, Any], labels: Container[str], folder: Path) -> dict[str, Any]:
    """Return ``[recommend]`` with the names of policies in files, relative to ``folder``, made absolute."""
    if "search" not in table:
        return dict(table)
    search = {
        name if name in labels or ".py:" not in name else str(folder / name): of_policy
        for name, of_policy in table["search"].items()
    }
    return {**table, "search": search}


def searches(
    table: object, policies: Mapping[str, Entry], folder: Path, faults: Faults
) -> Mapping[str, Mapping[str, Search]]:
    """Return what the ``[recommend]`` ``table``, which may be wrong in any way, says is to be tried of each policy.

    ``policies`` are the experiment's by the label in the file. What is wrong with a policy, a parameter or a value is
    added to ``faults``; what is wrong with the table's shape the model finds.
    """
    given = table.get("search") if isinstance(table, Mapping) else None
    if not isinstance(given, Mapping):
        return {}
    return {
        name: _of_policy(name, of_policy, policies.get(name), folder, faults.below("search", name))
        for name, of_policy in given.items()
        if isinstance(of_policy, Mapping)
    }


def settings(
    table: RecommendTable | None,
    search: Mapping[str, Mapping[str, Search]],
    policies: Mapping[str, Entry],
    labels: Sequence[str],
    faults: Faults,
) -> RecommendSettings:
    """Return what ``table`` says, with what :func:`searches` made of it; what is wrong is added to ``faults``.

    ``policies`` are the experiment's by the label in the file, ``labels`` what they are called once swept values are
    put in.
    """
    if table is None:
        return RecommendSettings()
    if table.maximise is not None and table.minimise is not None:
        faults.below("minimise").add("is given beside maximise; keep one")
    for number, label in enumerate(table.policies or ()):
        if label not in labels and label not in policies:
            faults.below("policies", number).add(unknown_name("policy", label, labels))
    others = {name: getattr(table, name) for name in RecommendTable.model_fields if name != "search"}
    return RecommendSettings(**others, search=search)


def _of_policy(
    name: str, given: Mapping[str, Any], entry: Entry | None, folder: Path, faults: Faults
) -> dict[str, Search]:
    """Return what is to be tried of the policy called ``name``: a label of the file, or a policy's own name."""
    plugin_name = name if entry is None else entry.table.get("name")
    try:
        plugin = lookup.find(lookup.POLICY, str(plugin_name), folder)
    except lookup.PluginError as error:
        faults.add(f"is no label of a policy here, and {error}" if entry is None else str(error))
        return {}
    parameters = {parameter.name: parameter for parameter in plugin.parameters}
    searches = {}
    for key, value in given.items():
        if key not in parameters:
            faults.below(key).add(unknown_name(f"parameter of {plugin.name}", key, parameters))
        elif (search := _search(value, parameters[key], faults.below(key))) is not None:
            searches[key] = search
    return searches


def _search(value: object, parameter: Parameter, faults: Faults) -> Search | None:
    """Return the values that a file asks to try: one, a list, or a range."""
    search: Search | None
    if isinstance(value, Mapping):
        search = _range(value, parameter, faults)
    else:
        listed = value if isinstance(value, (list, tuple)) else (value,)
        if not listed or len(listed) > MOST_VALUES:
            faults.add(f"has {len(listed)} values to try; 1 to {MOST_VALUES} can be")
            return None
        before = len(faults)
        several = isinstance(value, (list, tuple))
        tried = [
            parameter.type.convert(each, faults.below(number) if several else faults)
            for number, each in enumerate(listed)
        ]
        search = None if len(faults) > before else OneOf(tuple(tried))
    if search is not None:
        for flaw in search.flaws(parameter.type):
            faults.add(flaw)
    return None if faults else search


def _range(given: Mapping[str, object], parameter: Parameter, faults: Faults) -> Between | None:
    """Return the range in a table of ``from``, ``to``, ``steps`` and ``spacing``."""
    if not is_number(parameter.type):
        faults.add(f"{parameter.name} has no values between two others: list those to try")
        return None
    for key in given:
        if key not in _RANGE_KEYS:
            faults.below(key).add(unknown_name("key", str(key), _RANGE_KEYS))
    for key in ("from", "to"):
        if key not in given:
            faults.below(key).add("is missing")
    steps, spacing = given.get("steps"), given.get("spacing", _usual_spacing(parameter))
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST_VALUES):
        faults.below("steps").add(f"{shown(steps)} is not a whole number from 1 to {MOST_VALUES}")
    if spacing not in get_args(Spacing):
        faults.below("spacing").add(f"{shown(spacing)} is none of {', '.join(get_args(Spacing))}")
    if faults:
        return None
    low, high = (parameter.type.convert(given[key], faults.below(key)) for key in ("from", "to"))
    return None if faults else Between(low, high, steps, spacing)  # type: ignore[arg-type]  # numbers, by is_number


def _usual_spacing(parameter: Parameter) -> Spacing:
    """Return the spacing of the range that the policy declares itself; even where it declares none."""
    return parameter.search.spacing if isinstance(parameter.search, Between) else "even"
