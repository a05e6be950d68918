"""What pydantic finds wrong with a study file, as one sentence with the key, the rule and the known names."""

from collections.abc import Sequence
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

RULES = {  # pydantic's name of a rule -> the rule in words
    "string_type": "is a text",
    "int_type": "is a whole number",
    "float_type": "is a number",
    "bool_type": "is true or false",
    "tuple_type": "is a list",
    "dict_type": "is a table",
    "model_type": "is a table",
    "literal_error": "is one of {expected}",
    "greater_than": "is above {gt:g}",
    "greater_than_equal": "is at least {ge:g}",
    "less_than_equal": "is at most {le:g}",
    "finite_number": "is a finite number",
    "too_short": "is a list of at least {min_length}",
}


def worst(errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """The one to report: the first unknown key, which may be why another is missing, or else the first."""
    return min(errors, key=lambda error: error["type"] != "extra_forbidden")


def sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    """What is wrong, of a `model` that was read from a file."""
    path = tuple(part for part in error["loc"] if isinstance(part, str))
    key, context = ".".join(path), error.get("ctx", {})
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    if error["type"] == "extra_forbidden":
        return f"no key {key!r}; known: {', '.join(_known(path[:-1], model))}"
    if error["type"] == "value_error":
        return f"{key}: {context['error']}" if key else str(context["error"])
    rule = RULES[error["type"]].format(**context) if error["type"] in RULES else error["msg"]
    return f"{key!r} {rule}, not {_shown(error['input'])}"


def _known(path: Sequence[str], model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of the section at `path`."""
    for name in path:
        model = _section(model.model_fields[name].annotation) or model
    return tuple(model.model_fields)


def _section(annotation: object) -> type[BaseModel] | None:
    """The section inside `X`, `tuple[X, ...]` or `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, tuple) else repr(value)
