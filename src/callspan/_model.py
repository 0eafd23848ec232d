"""The base of the plain-data classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_model(value: Any) -> TypeGuard[type[BaseModel]]:
    """Return whether a value is a class of pydantic models."""
    return isinstance(value, type) and issubclass(value, BaseModel)


class DataModel(BaseModel):
    """A pydantic model whose repr leaves out fields that still have their default."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        fields = type(self).model_fields
        for name, value in super().__repr_args__():
            field = fields.get(name or "")
            # A default is a constant: comparing types first keeps foreign __eq__ methods out of it.
            if field is None or type(value) is not type(field.default) or value != field.default:
                yield name, value
