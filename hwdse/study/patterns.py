"""How a study writes formats, in few words."""

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from hwdse.formats import Format, known_formats, parse

PAIRS: Mapping[str, Callable[[Format, Format], bool]] = {  # which (weight, activation) formats are a uniform design
    "same": lambda weights, activations: weights == activations,
    "equal_bits": lambda weights, activations: weights.bits == activations.bits,
    "activations_at_least_weights": lambda weights, activations: weights.bits <= activations.bits,
    "same_kind": lambda weights, activations: (weights.exponent > 0) == (activations.exponent > 0),  # as written
    "all": lambda weights, activations: True,
}


def expand(pattern: str) -> tuple[Format, ...]:
    """The formats that a study writes as `pattern`, without their unsigned twins.

    A name (`int4`, `e4m3fn`, `float16` for activations) is one format. `int3..8` is every integer of these widths, and
    `minifloat3..8` every all-finite minifloat, `e1mK` and `eKm0` included. A name with `*`, `?` or
    `[...]` is every integer and all-finite minifloat that it matches, as file names do: `e*m[1-6]`.
    """
    if m := re.fullmatch(r"(int|minifloat)([0-9]+)\.\.([0-9]+)", pattern):
        return _of_widths(m[1], int(m[2]), int(m[3]))
    if set(pattern) & set("*?["):
        return _matching(pattern)
    if not parse(pattern).signed:
        raise ValueError(f"formats are written signed and lose the sign where no value is negative, not {pattern!r}")
    return (parse(pattern),)


def expand_all(patterns: tuple[str, ...]) -> tuple[Format, ...]:
    """The formats of all `patterns` in their order, each once."""
    return tuple(dict.fromkeys(fmt for pattern in patterns for fmt in expand(pattern)))


def _of_widths(kind: str, low: int, high: int) -> tuple[Format, ...]:
    least = 2 if kind == "int" else 3
    if not least <= low <= high <= 8:
        raise ValueError(f"a range of formats lies within {kind}{least}..8, not '{kind}{low}..{high}'")
    return tuple(fmt for fmt in known_formats(bits=range(low, high + 1)) if (fmt.exponent == 0) == (kind == "int"))


def _matching(pattern: str) -> tuple[Format, ...]:
    found = tuple(fmt for fmt in known_formats() if fnmatchcase(fmt.name, pattern))
    if not found:
        raise ValueError(f"no format matches {pattern!r}; known: {', '.join(fmt.name for fmt in known_formats())}")
    return found
