"""What pydantic finds wrong, said for people: the key as TOML writes it, what stands there, what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from sim.faults import Fault, key_path, shown, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


def faults_of(error: ValidationError, model: type[BaseModel], *, below: str = "") -> list[Fault]:
    """Return the faults in ``error``, which checking something against ``model`` at the key ``below`` has raised."""
    return [_fault(details, model, below) for details in error.errors(include_url=False) if not _repeats(details)]


def _repeats(details: ErrorDetails) -> bool:
    """Whether an error says that a list is too short only because its faulty elements do not count."""
    return details["type"] == "too_short" and bool(details["input"])


def _fault(details: ErrorDetails, model: type[BaseModel], below: str) -> Fault:
    location = details["loc"]
    place = key_path(*location, below=below)
    value = details["input"]
    match details["type"]:
        case "missing":
            return Fault(place, f"is missing{_description(model, location)}")
        case "extra_forbidden":
            parent = key_path(*location[:-1], below=below)
            what = f"key of {parent}" if parent else "key"
            return Fault(place, unknown_name(what, str(location[-1]), _keys_at(model, location[:-1])))
        case "tuple_type":
            return Fault(place, f"{shown(value)} is not a list")
        case "model_type" | "dict_type" | "model_attributes_type":
            return Fault(place, f"{shown(value)} is not a table")
        case "too_short":
            return Fault(place, "is empty; at least one is needed")
        case "literal_error":
            return Fault(place, f"{shown(value)} is not known; valid: {details['ctx']['expected']}")
        case "value_error":
            return Fault(place, str(details["ctx"]["error"]))
    return Fault(place, f"{shown(value)}: {details['msg'][0].lower()}{details['msg'][1:]}")


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    found = _model_at(model, location)
    return list(found.model_fields) if found else []


def _description(model: type[BaseModel], location: Sequence[str | int]) -> str:
    found = _model_at(model, location[:-1])
    field = found.model_fields.get(str(location[-1])) if found else None
    return f": {field.description}" if field and field.description else ""


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the model that checks the table at ``location`` below ``model``."""
    here: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            continue
        field = here.model_fields.get(part) if here else None
        here = _model_in(field.annotation) if field else None
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  annotations are of every type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument))), None)
