"""What one frame costs in energy, and by which model: a stated one, which is said wherever a value is shown."""

from dataclasses import dataclass
from typing import Self

PICO = 1e-12


@dataclass(frozen=True, slots=True)
class Energy:
    """Of switching in one frame, by what it is spent on, in pJ. It adds up; `Energy()` is none."""

    products_pj: float = 0.0  # multiplications, shifts by exponents, tables of products
    sums_pj: float = 0.0  # adder trees, accumulators, residual adds, pools
    comparisons_pj: float = 0.0  # with thresholds, and of pools
    memory_pj: float = 0.0  # reads and writes: weights, windows, vectors, thresholds, FIFOs

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.products_pj + other.products_pj,
            self.sums_pj + other.sums_pj,
            self.comparisons_pj + other.comparisons_pj,
            self.memory_pj + other.memory_pj,
        )

    @property
    def dynamic_pj(self) -> float:
        """All of it."""
        return self.products_pj + self.sums_pj + self.comparisons_pj + self.memory_pj

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """What it is spent on, in words, and the pJ of each."""
        names = "products", "sums", "comparisons", "memory"
        return tuple(zip(names, (self.products_pj, self.sums_pj, self.comparisons_pj, self.memory_pj), strict=True))


@dataclass(frozen=True, slots=True)
class Stated:
    """The model that an energy is by: its label and sources in words, and what the device draws at rest."""

    source: str
    static_watts: float | None = None  # None: no figure with a source is known, so that the part is missing


@dataclass(frozen=True, slots=True)
class FrameEnergy:
    """Of one frame of an accelerator that runs flat out."""

    dynamic: Energy
    static_pj: float | None = None  # static power over the time between two frames; None: not known

    @property
    def total_pj(self) -> float:
        """All that is known: `label` says what that is."""
        return self.dynamic.dynamic_pj + (0.0 if self.static_pj is None else self.static_pj)

    @property
    def joules(self) -> float:
        """`total_pj` in J."""
        return self.total_pj * PICO

    @property
    def label(self) -> str:
        """What the total holds."""
        return "dynamic only" if self.static_pj is None else "dynamic and static"


def energy_unit(value: float) -> tuple[str, float]:
    """The unit that suits an energy of `value` J, and its size in J."""
    units = (("J", 1.0), ("mJ", 1e-3), ("uJ", 1e-6), ("nJ", 1e-9))
    return next(((unit, size) for unit, size in units if value >= size), ("pJ", PICO))


def joules(value: float) -> str:
    """An energy in the unit that suits it: `3.142 uJ`."""
    unit, size = energy_unit(value)
    return f"{value / size:.4g} {unit}"
