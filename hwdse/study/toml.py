"""Nested mappings to TOML: the standard library only reads it."""

import json
from collections.abc import Iterator, Mapping


def frozen(value: object) -> object:
    """`value` with tuples in place of lists."""
    if isinstance(value, Mapping):
        return {key: frozen(item) for key, item in value.items()}
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def write(content: Mapping[str, object]) -> str:
    """`content` as TOML: its values, then its tables, then its lists of tables."""
    lines: dict[bool, list[str]] = {False: [], True: []}
    for key, value in content.items():
        lines[_is_table(value)] += _lines(key, value)
    return "\n".join(lines[False] + lines[True]) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, tuple) and any(isinstance(v, Mapping) for v in value))


def _lines(key: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from ("", f"[{key}]", *(f"{inner} = {_inline(item)}" for inner, item in value.items()))
    elif isinstance(value, tuple) and _is_table(value):
        for item in value:
            yield from ("", f"[[{key}]]", *(f"{inner} = {_inline(part)}" for inner, part in item.items()))
    else:
        yield f"{key} = {_inline(value)}"


def _inline(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
