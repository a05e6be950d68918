"""What pydantic finds wrong with a study file, as one sentence with the key, the rule and the known names."""

from collections.abc import Iterator, Sequence
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from hwdse.metrics import KINDS

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
    key, context = ".".join(part for part in path if part not in KINDS), error.get("ctx", {})
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
    inside: tuple[type[BaseModel], ...] = (model,)
    for name in path:
        if name in KINDS:
            inside = tuple(one for one in inside if getattr(one, "kind", None) == name)
        else:
            fields = {field.alias or own: field for own, field in inside[0].model_fields.items()}
            inside = tuple(_sections(fields[name].annotation)) or inside
    return tuple(field.alias or own for own, field in inside[0].model_fields.items())


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    """The sections inside `X`, `tuple[X, ...]`, `X | Y` or `X | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    return "a list" if isinstance(value, tuple) else repr(value)
