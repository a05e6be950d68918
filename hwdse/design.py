"""A design as a value: the quantisers, the folding and the recipe that make one network one accelerator.

Everything downstream (quantised model, cost, build) is a function of a `Design`, and its
digest names every result that was paid for.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from hashlib import blake2b
from typing import Self

from hwdse.formats import Format, HalfFormat, IntFormat, as_integer, parse


@dataclass(frozen=True, slots=True)
class Quantizer:
    """How one tensor becomes codes: `int4`, `int4:channel`, `e2m1:channel:po2:mse`, `int8:full`."""

    format: Format
    granularity: str = "tensor"  # what shares a scale: tensor, channel, or group<n> along the inputs
    scale: str = "float"  # float, or po2 for a power of two
    calibration: str = "absmax"  # absmax, mse, or percentile<p>
    narrow: bool = True  # leave out a signed integer's lone -2**(b-1)

    def __post_init__(self) -> None:
        for field, pattern, known in _RULES:
            if not re.fullmatch(pattern, getattr(self, field)):
                raise ValueError(f"a quantizer's {field} is {known}, not {getattr(self, field)!r}")
        if self.percentile is not None and not 0 < self.percentile <= 100:
            raise ValueError(f"a percentile is above 0 and at most 100, not {self.percentile}")
        if not self.narrow and not (isinstance(self.format, IntFormat) and self.format.signed):
            raise ValueError(f"only a signed integer has a full range beside its narrow one, not {self.format.name}")
        if (self.granularity, self.scale, self.calibration) != ("tensor", "float", "absmax"):
            _check_scaled(self.format, self.name)

    @property
    def percentile(self) -> float | None:
        """The percentile of |x| that becomes the largest value, if the calibration is one."""
        return float(self.calibration.removeprefix("percentile")) if self.calibration[0] == "p" else None

    @property
    def group(self) -> int | None:
        """How many inputs share a scale, if the granularity is a group."""
        return int(self.granularity.removeprefix("group")) if self.granularity[0] == "g" else None

    @property
    def numerics(self) -> "Quantizer":
        """The quantizer with equal outputs that stands for all that have them: an integer for `e1mK`.

        Not where a power of two is searched for the least squared error: Brevitas starts at the
        largest value of the format, which is a power of two away from the integer's, and stops elsewhere.
        """
        return _numerics(self)

    @property
    def name(self) -> str:
        """The text form, defaults left out: `Quantizer.parse(q.name) == q`."""
        return _name(self)

    @classmethod
    @cache
    def parse(cls, name: str) -> "Quantizer":
        """The quantizer called `name`: a format, then options in any order."""
        fmt, *options = name.split(":")
        fields: dict[str, str] = {}
        for option in options:
            field = next((field for field, pattern in _OPTIONS.items() if re.fullmatch(pattern, option)), None)
            if field is None:
                known = "tensor, channel, group<n>, float, po2, absmax, mse, percentile<p>, narrow, full"
                raise ValueError(f"no quantizer option {option!r} in {name!r}; known: {known}")
            if field in fields:
                raise ValueError(f"a quantizer has one {field}, not {fields[field]} and {option}, in {name!r}")
            fields[field] = option
        if fields:
            _check_scaled(parse(fmt), name)
        narrow = fields.pop("range", "narrow") == "narrow"
        return cls(parse(fmt), narrow=narrow, **fields)


def _check_scaled(fmt: Format, name: str) -> None:
    """ValueError for the options of a format that has no scale."""
    if isinstance(fmt, HalfFormat):
        raise ValueError(f"{fmt.name} is a cast, without a scale to choose, so that it has no options, unlike {name!r}")


_RULES = (  # what a field of a quantizer is
    ("granularity", r"tensor|channel|group[1-9]\d*", "tensor, channel or group<n>"),
    ("scale", r"float|po2", "float or po2"),
    ("calibration", r"absmax|mse|percentile\d+(\.\d+)?", "absmax, mse or percentile<p>"),
)
_OPTIONS = {  # what an option of a quantizer's name sets; `Quantizer` then checks the number
    "granularity": r"tensor|channel|group.*",
    "scale": r"float|po2",
    "calibration": r"absmax|mse|percentile.*",
    "range": r"narrow|full",
}


@cache  # a search asks for those of a few quantizers, thousands of times
def _name(quantizer: Quantizer) -> str:
    parts = [quantizer.format.name]
    parts += [quantizer.granularity] * (quantizer.granularity != "tensor")
    parts += [quantizer.scale] * (quantizer.scale != "float")
    parts += [quantizer.calibration] * (quantizer.calibration != "absmax")
    return ":".join(parts + ["full"] * (not quantizer.narrow))


@cache
def _numerics(quantizer: Quantizer) -> Quantizer:
    if (quantizer.scale, quantizer.calibration) == ("po2", "mse"):
        return quantizer
    return replace(quantizer, format=as_integer(quantizer.format))


@dataclass(frozen=True, slots=True, order=True)
class Folding:
    """`pe` outputs and `simd` inputs of a layer are worked on in one cycle; `4x8` is PE 4, SIMD 8."""

    pe: int = 1
    simd: int = 1

    def __post_init__(self) -> None:
        if self.pe < 1 or self.simd < 1:
            raise ValueError(f"a folding is at least 1x1, not {self.name}")

    @property
    def name(self) -> str:
        """The text form: `Folding.parse(f.name) == f`."""
        return f"{self.pe}x{self.simd}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The folding called `name`."""
        if not (m := re.fullmatch(r"(\d+)x(\d+)", name)):
            raise ValueError(f"a folding is written PExSIMD, e.g. '4x8', not {name!r}")
        return cls(int(m[1]), int(m[2]))


@dataclass(frozen=True, slots=True)
class Step:
    """One technique of a recipe: `bias_correction`, `smooth_quant(alpha=0.5) @ conv1 fc2`.

    The settings are kept sorted, so that equal steps are equal whatever the order they were written in.
    """

    technique: str
    settings: tuple[tuple[str, int | float | str | bool], ...] = ()
    scope: tuple[str, ...] | None = None  # layers; None is every layer it supports

    def __post_init__(self) -> None:
        if self.scope == ():
            raise ValueError(f"the scope of step {self.technique!r} is at least one layer, or None for every layer")
        for key, value in self.settings:
            if not isinstance(value, int | float | str):
                raise ValueError(f"setting {key!r} of step {self.technique!r} is a number, text or bool, not {value!r}")
        object.__setattr__(self, "settings", tuple(sorted(self.settings, key=lambda pair: pair[0])))

    @property
    def name(self) -> str:
        """The text form: `Step.parse(s.name) == s`."""
        inside = ", ".join(f"{key}={_toml(value)}" for key, value in self.settings)
        scope = "" if self.scope is None else f" @ {' '.join(self.scope)}"
        return self.technique + f"({inside})" * bool(inside) + scope

    @classmethod
    def parse(cls, name: str) -> Self:
        """The step called `name`."""
        if not (m := re.fullmatch(r"(\w+)(?:\((.*)\))?(?: @ (.+))?", name)):
            raise ValueError(f"a step is written 'technique(setting=value) @ layers', not {name!r}")
        try:
            settings = tuple(tomllib.loads(f"x = {{{m[2] or ''}}}")["x"].items())
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"the settings of step {name!r} are no TOML: {error}") from None
        return cls(m[1], settings, tuple(m[3].split()) if m[3] else None)


@dataclass(frozen=True)
class Design:
    """Weight quantiser of every layer, activation quantiser of every site, folding, recipe.

    The mappings are sorted pairs, so that equal designs are equal and hash alike whatever the
    order they were written in; `Design.of` takes mappings.
    Not slotted, unlike other values: a search asks for its digest again and again, so it is kept.
    """

    weights: tuple[tuple[str, Quantizer], ...] = ()  # layer -> quantiser
    activations: tuple[tuple[str, Quantizer], ...] = ()  # site (see `workload.Site`) -> quantiser
    folding: tuple[tuple[str, Folding], ...] = ()  # layer -> folding
    recipe: tuple[Step, ...] = ()  # applied in this order
    hardware: bool = True  # every tensor quantised once, at its producer

    def __post_init__(self) -> None:
        for field in (self.weights, self.activations, self.folding):
            names = [name for name, _ in field]
            if names != sorted(set(names)):
                raise ValueError(f"the names of a design are sorted and unique, not {', '.join(names)}")
        for layer, quantizer in self.weights:
            if quantizer.format.bits > 8:
                raise ValueError(f"{quantizer.name} is a format of activations, not of the weights of {layer!r}")

    @classmethod
    def of(
        cls,
        weights: Mapping[str, Quantizer],
        activations: Mapping[str, Quantizer],
        folding: Mapping[str, Folding] | None = None,
        recipe: tuple[Step, ...] = (),
        *,
        hardware: bool = True,
    ) -> Self:
        """The design with these mappings."""
        folded = tuple(sorted((folding or {}).items()))
        return cls(tuple(sorted(weights.items())), tuple(sorted(activations.items())), folded, recipe, hardware)

    @property
    def text(self) -> str:
        """The text form, TOML: `Design.parse(d.text) == d`."""
        lines = [
            f"hardware = {_toml(self.hardware)}",
            f"recipe = {_toml([step.name for step in self.recipe])}",
        ]
        for title in ("weights", "activations", "folding"):
            lines += ["", f"[{title}]"]
            lines += [f"{_toml(key)} = {_toml(value.name)}" for key, value in getattr(self, title)]
        return "\n".join(lines) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The design that `text` writes down; ValueError says which part is wrong."""
        data = _read(text)
        return cls.of(
            {key: Quantizer.parse(name) for key, name in _table(data, "weights").items()},
            {key: Quantizer.parse(name) for key, name in _table(data, "activations").items()},
            {key: Folding.parse(name) for key, name in _table(data, "folding").items()},
            tuple(Step.parse(name) for name in _recipe(data)),
            hardware=_hardware(data),
        )

    @cached_property
    def numerics(self) -> "Design":
        """The design with equal logits that stands for all that have them: no folding, and integers for `e1mK`."""
        weights = tuple((name, quantizer.numerics) for name, quantizer in self.weights)
        activations = tuple((name, quantizer.numerics) for name, quantizer in self.activations)
        return replace(self, weights=weights, activations=activations, folding=())

    @cached_property
    def digest(self) -> str:
        """16 hex digits that name this design, of its text form."""
        return blake2b(self.text.encode(), digest_size=8).hexdigest()


def _toml(value: float | str | list[str]) -> str:
    """`value` in TOML, which writes numbers, text and lists as JSON does; only JSON's surrogate pairs are no TOML."""
    return json.dumps(value, ensure_ascii=False)


def _read(text: str) -> dict[str, object]:
    """The keys of a design's text, none unknown."""
    try:
        data: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"a design is written in TOML: {error}") from None
    known = ("hardware", "recipe", "weights", "activations", "folding")
    if unknown := sorted(set(data) - set(known)):
        raise ValueError(f"no design key {unknown[0]!r}; known: {', '.join(known)}")
    return data


def _hardware(data: Mapping[str, object]) -> bool:
    hardware = data.get("hardware", True)
    if not isinstance(hardware, bool):
        raise ValueError(f"a design's hardware is true or false, not {hardware!r}")
    return hardware


def _recipe(data: Mapping[str, object]) -> list[str]:
    recipe = data.get("recipe", [])
    if not isinstance(recipe, list) or not all(isinstance(step, str) for step in recipe):
        raise ValueError(f"a design's recipe is a list of steps as text, not {recipe!r}")
    return recipe


def _table(data: Mapping[str, object], key: str) -> dict[str, str]:
    """The table `key` of a design's text."""
    table = data.get(key, {})
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise ValueError(f'a design\'s {key} are lines of "name" = "text", both quoted, not {table!r}')
    return table
