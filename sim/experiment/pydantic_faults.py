"""What pydantic finds wrong, said for people: the key as TOML writes it, what stands there, what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from sim.faults import key_path, shown, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from sim.faults import Faults


def include_faults(error: ValidationError, model: type[BaseModel], faults: Faults) -> None:
    """Add to ``faults`` what checking a table against ``model`` has found, which has raised ``error``."""
    for details in error.errors(include_url=False):
        if not _repeats(details):
            parts = details["loc"]
            faults.below(*parts).add(_what(details, model, key_path(*parts[:-1], below=faults.key)))


def _repeats(details: ErrorDetails) -> bool:
    """Whether an error says that a list is too short only because its faulty elements do not count."""
    return details["type"] == "too_short" and bool(details["input"])


def _what(details: ErrorDetails, model: type[BaseModel], table: str) -> str:
    """Return what is wrong, for people; ``table`` is the key of the table that the value in question stands in."""
    location = details["loc"]
    value = details["input"]
    match details["type"]:
        case "missing":
            return f"is missing{_description(model, location)}"
        case "extra_forbidden":
            name = f"key of {table}" if table else "key"
            return unknown_name(name, str(location[-1]), _keys_at(model, location[:-1]))
        case "tuple_type":
            return f"{shown(value)} is not a list"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"{shown(value)} is not a table"
        case "too_short":
            return "is empty; at least one is needed"
        case "literal_error":
            return f"{shown(value)} is not known; valid: {details['ctx']['expected']}"
        case "value_error":
            return str(details["ctx"]["error"])
    return f"{shown(value)}: {details['msg'][0].lower()}{details['msg'][1:]}"


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    table = _model_at(model, location)
    return [field.alias or name for name, field in table.model_fields.items()] if table else []


def _description(model: type[BaseModel], location: Sequence[str | int]) -> str:
    table = _model_at(model, location[:-1])
    field = _field(table, location[-1])
    return f": {field.description}" if field and field.description else ""


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the model that checks the table at ``location`` below ``model``."""
    table: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):  # the elements of a list have the list's model
            continue
        field = _field(table, part)
        table = _model_in(field.annotation) if field else None
    return table


def _field(model: type[BaseModel] | None, key: str | int) -> FieldInfo | None:
    """Return the field that a key of a table stands for."""
    fields = {} if model is None else {field.alias or name: field for name, field in model.model_fields.items()}
    return fields.get(str(key))


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  annotations are of every type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for argument in get_args(annotation) if (model := _model_in(argument))), None)
