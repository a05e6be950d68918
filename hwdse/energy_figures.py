"""The figures of the stated energy model, each with its source: `cost_models/energy.toml` as a value.

None is fitted, calibrated or measured by us. An addition is linear in its width and a product quadratic, each through
two published points; a memory access is in proportion to its word and to the square root of the capacity.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

FILE = "energy.toml"


@dataclass(frozen=True, slots=True)
class Operator:
    """The energy of an operation at two widths, the smaller one first."""

    bits: tuple[int, ...]
    pj: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if len(self.bits) != 2 or len(self.pj) != 2 or self.bits[0] >= self.bits[1]:
            raise ValueError(
                f"an operation has an energy at each of two ascending widths, not {list(self.pj)} at {list(self.bits)}"
            )

    def coefficients(self, power: int) -> tuple[float, float]:
        """(a, b) of `a n**power + b n**(power - 1)` through both points."""
        (low, high), (first, last) = self.bits, self.pj
        steps = first / low ** (power - 1), last / high ** (power - 1)
        a = (steps[1] - steps[0]) / (high - low)
        return a, steps[0] - a * low


@dataclass(frozen=True, slots=True)
class Sram:
    """The energy of reading or writing one word of a memory."""

    capacity_bytes: int
    bits: int
    pj: float
    source: str

    def word_pj(self, bits: int, capacity_bytes: float) -> float:
        """Of a word of `bits` bits: in proportion to them, and to the square root of the capacity."""
        return self.pj * bits / self.bits * math.sqrt(capacity_bytes / self.capacity_bytes)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Energy in an FPGA over that in an ASIC."""

    ratio: float
    source: str


@dataclass(frozen=True, slots=True)
class Static:
    """What a device draws while nothing switches."""

    watts: float
    cite: str  # a few words for people
    source: str


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of the model."""

    technology: str
    cite: str  # the main sources in a few words
    add: Operator
    multiply: Operator
    memory: Sram
    logic: Ratio  # LUTs
    blocks: Ratio  # DSP blocks and block RAM
    static: Mapping[str, Static]  # by device

    def __post_init__(self) -> None:
        for name, operator, power in (("add", self.add, 1), ("multiply", self.multiply, 2)):
            if min(operator.coefficients(power)) < 0:
                points = f"{list(operator.pj)} pJ at {list(operator.bits)} bits"
                raise ValueError(f"the energy of [{name}] is negative at no width, unlike through {points}")

    def add_pj(self, bits: int) -> float:
        """Of an addition in standard cells."""
        a, b = self.add.coefficients(1)
        return a * bits + b

    def multiply_pj(self, bits: tuple[int, int]) -> float:
        """Of a product in standard cells: `a n m + b (n + m) / 2`, quadratic where the widths are equal."""
        a, b = self.multiply.coefficients(2)
        return a * bits[0] * bits[1] + b * sum(bits) / 2


# ---- the file ------------------------------------------------------------------------------------


def content() -> str:
    """The file of the figures."""
    return (files("hwdse.cost_models") / FILE).read_text(encoding="utf-8")


@cache
def figures() -> Figures:
    """The figures in the file; ValueError that names it where it breaks a rule."""
    try:
        return parse(content())
    except (OSError, ValueError) as error:
        raise ValueError(f"{files('hwdse.cost_models') / FILE}: {error}") from None


def parse(text: str) -> Figures:
    """The figures in a file with this text."""
    try:
        file = _Table("the file", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"cannot be read as TOML: {error}") from None
    file.has(Figures)
    devices = file.table("static")
    return Figures(
        file.text("technology"),
        file.text("cite"),
        _operator(file.table("add")),
        _operator(file.table("multiply")),
        _sram(file.table("memory")),
        _ratio(file.table("logic")),
        _ratio(file.table("blocks")),
        {device: _static(devices.table(device)) for device in devices.values},
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file; what is asked of it is there and of its kind, or ValueError says so."""

    name: str
    values: Mapping[str, object]

    def has(self, cls: type) -> "_Table":
        """The table, which has the fields of `cls` and no other."""
        keys = [field.name for field in fields(cls)]
        for key in self.values:  # first: a misspelt key is why another one is missing
            if key not in keys:
                raise ValueError(f"{self.name} has no key {key!r}; known: {', '.join(keys)}")
        for key in keys:
            if key not in self.values:
                raise ValueError(f"key {key!r} of {self.name} is missing; known: {', '.join(keys)}")
        return self

    def table(self, key: str) -> "_Table":
        value = self.values[key]
        name = key if self.name == "the file" else f"{self.name[1:-1]}.{key}"
        if not isinstance(value, dict):
            raise ValueError(f"[{name}] is a table, not {value!r}")
        return _Table(f"[{name}]", value)

    def text(self, key: str) -> str:
        value = self.values[key]
        if not isinstance(value, str) or not value:
            raise ValueError(f"{key!r} of {self.name} is a text, not {value!r}")
        return value

    def figure(self, key: str) -> float:
        return _positive(self, key, self.values[key])

    def whole(self, key: str) -> int:
        return _whole(self, key, self.values[key])

    def listed(self, key: str) -> list[object]:
        value = self.values[key]
        if not isinstance(value, list):
            raise ValueError(f"{key!r} of {self.name} is a list, not {value!r}")
        return value


def _positive(table: _Table, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{key!r} of {table.name} is positive, unlike {value!r}")
    return float(value)


def _whole(table: _Table, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{key!r} of {table.name} is a positive whole number, not {value!r}")
    return value


def _operator(table: _Table) -> Operator:
    table.has(Operator)
    bits = tuple(_whole(table, "bits", value) for value in table.listed("bits"))
    pj = tuple(_positive(table, "pj", value) for value in table.listed("pj"))
    return Operator(bits, pj, table.text("source"))


def _sram(table: _Table) -> Sram:
    table.has(Sram)
    return Sram(table.whole("capacity_bytes"), table.whole("bits"), table.figure("pj"), table.text("source"))


def _ratio(table: _Table) -> Ratio:
    table.has(Ratio)
    return Ratio(table.figure("ratio"), table.text("source"))


def _static(table: _Table) -> Static:
    table.has(Static)
    return Static(table.figure("watts"), table.text("cite"), table.text("source"))
