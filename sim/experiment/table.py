"""What all tables of an experiment file have in common, and the types of single values in them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from sim.plugins import parameter_addresses, parameter_types, values

Size = Annotated[int, BeforeValidator(values.size), WithJsonSchema(parameter_types.Size(zero=True).json_schema())]
Integer = Annotated[int, BeforeValidator(values.integer)]
Flag = Annotated[bool, BeforeValidator(values.boolean)]
Text = Annotated[str, BeforeValidator(values.string)]
Address = Annotated[int, BeforeValidator(values.address), WithJsonSchema(parameter_addresses.Address().json_schema())]


class Table(BaseModel):
    """A table of the file: unknown keys are faults, values are not bent into shape, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
