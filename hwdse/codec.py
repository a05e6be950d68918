"""Values of the core as JSON text, and back: `decode(type(x), encode(x)) == x`, every float to the last bit.

A value that was paid for outlives the process, and JSON outlives the version of a pickle.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from hwdse.design import Design

T = TypeVar("T")


def encode(value: object) -> str:
    """`value`, built of dataclasses, tuples, enumerations, numbers and text, as one line of JSON."""
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)


def decode(cls: type[T], text: str) -> T:
    """The value of type `cls` that `encode` wrote; ValueError where `text` is something else."""
    try:
        return cast(T, _build(cls, json.loads(text)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"no {cls.__name__} in this JSON: {error}") from None


def _plain(value: object) -> object:
    if isinstance(value, Design):
        return value.text
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _build(hint: object, data: object) -> object:
    """`data` as a value of the annotated type `hint`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if data is None else _build(_member(arguments, data), data)
    if origin is Literal:
        return _one_of(arguments, data)
    if origin is tuple:
        return _build_tuple(arguments, _checked(list, data))
    return _build_value(cast(type, hint), data)


def _member(arguments: tuple[object, ...], data: object) -> object:
    """The type of a union that `data` is of: of several, the one with its fields."""
    some = [argument for argument in arguments if argument is not type(None)]
    if len(some) == 1:
        return some[0]
    fields_of = _checked(dict, data)
    found = [cls for cls in some if is_dataclass(cls) and _fits(cast(type, cls), fields_of)]
    if len(found) != 1:
        names = " or ".join(getattr(cls, "__name__", str(cls)) for cls in some)
        raise ValueError(f"no {names} has {', '.join(fields_of)}")
    return found[0]


def _one_of(known: tuple[object, ...], data: object) -> object:
    if data not in known:
        raise ValueError(f"{data!r} is none of {', '.join(map(repr, known))}")
    return data


def _build_tuple(arguments: tuple[object, ...], data: list[object]) -> tuple[object, ...]:
    if arguments[1:] == (...,):
        return tuple(_build(arguments[0], item) for item in data)
    return tuple(_build(hint, item) for hint, item in zip(arguments, data, strict=True))


def _build_value(cls: type, data: object) -> object:
    if cls is Design:
        return Design.parse(_checked(str, data))
    if is_dataclass(cls):
        return _build_fields(cls, _checked(dict, data))
    if issubclass(cls, Enum):
        return cls(data)
    return float(_checked((int, float), data)) if cls is float else _checked(cls, data)


def _build_fields(cls: type, data: Mapping[str, object]) -> object:
    hints = _hints(cls)
    if not _fits(cls, data):
        raise ValueError(f"a {cls.__name__} has {', '.join(hints)}, not {', '.join(data)}")
    return cls(**{name: _build(hint, data[name]) for name, hint in hints.items() if name in data})


def _fits(cls: type, data: Mapping[str, object]) -> bool:
    """Whether `data` has the fields of a dataclass, but perhaps those that came later."""
    hints = set(_hints(cls))
    return hints - _later(cls) <= set(data) <= hints


@cache
def _hints(cls: type) -> dict[str, object]:
    """The annotations of the fields of a dataclass, in their order."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


@cache
def _later(cls: type) -> set[str]:
    """The fields that came after values had been kept, so that old ones lack them: `LATER` of `hwdse.cost`."""
    return {f.name for f in fields(cls) if f.metadata.get("later")}


def _checked(cls: type[T] | tuple[type[T], ...], data: object) -> T:
    if not isinstance(data, cls):
        name = cls.__name__ if isinstance(cls, type) else cls[-1].__name__
        raise ValueError(f"{data!r} is no {name}")
    return data
