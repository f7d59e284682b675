"""From pydantic's errors to sentences that a person who edits TOML understands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.fields import NAME_HOW, Confidential
from gateway.config.tables import Table
from gateway.config.wording import MASK, bare, shown, suggestion

_SENTENCES: Final = {
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "finite_number": "must be a number, neither inf nor nan",
    "bool_type": "must be true or false, without quotes",
    "list_type": "must be an array, in brackets: [ ... ]",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "dict_type": "must be a table",
    "missing": "this key is needed",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty: leave the key out, or name at least one",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_pattern_mismatch": "must match {pattern}",
}


class Trouble(NamedTuple):
    """What is wrong with one key of an entry. `path` leads to it from the entry, without list positions."""

    path: tuple[str, ...]
    found: str | None
    expected: str

    @property
    def key(self) -> str:
        """The path as it would be written in the file: `health.interval`."""
        return ".".join(map(bare, self.path))


def marks(model: type[BaseModel], key: str) -> Iterator[object]:
    """The markers (`Confidential` and the like) of one field, also where it is `Field | None`."""
    field = model.model_fields.get(key)
    if field is not None:
        yield from field.metadata
        for part in get_args(field.annotation):
            if get_origin(part) is Annotated:
                yield from part.__metadata__


def troubles(error: ValidationError, model: type[BaseModel]) -> Iterator[Trouble]:
    """All that `error` says about an entry of shape `model`, in the order of the model's fields, unknown keys last."""
    for detail in error.errors(include_url=False):
        path = tuple(part for part in detail["loc"] if isinstance(part, str))
        found = None if detail["type"] in {"missing", "extra_forbidden"} else shown(detail["input"])
        if found is not None and _confidential(model, path):
            found = MASK
        yield Trouble(path, found, _expected(detail, path, model))


def _expected(detail: ErrorDetails, path: tuple[str, ...], model: type[BaseModel]) -> str:
    context = {key: _plain(value) for key, value in detail.get("ctx", {}).items()}
    match detail["type"]:
        case "value_error":  # our own parsers have said it already
            return str(context["error"])
        case "extra_forbidden":
            elsewhere = model.misplaced(path[0]) if len(path) == 1 and issubclass(model, Table) else None
            return elsewhere or f"unknown key: {suggestion(path[-1], _keys(model, path[:-1]))}"
        case "enum" | "literal_error":
            return f"must be {context['expected']}".replace("'", '"')
        case "string_pattern_mismatch" if path[-1] == "name":
            return NAME_HOW
        case kind:
            return _SENTENCES.get(kind, detail["msg"]).format_map(context)


def _plain(value: object) -> object:
    """A bound as its author would write it: 0, not 0.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# ---------------------------------------------------------------- what a model says about a path into it


def _keys(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    for part in path:
        (model,) = (t for t in _types(model.model_fields[part].annotation) if _is_model(t))
    return list(model.model_fields)


def _confidential(model: type[BaseModel], path: tuple[str, ...]) -> bool:
    return any(isinstance(mark, Confidential) for mark in marks(model, path[0])) if path else False


def _types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _types(part)


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
