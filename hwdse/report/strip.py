"""The formats of the chosen designs, layer by layer, as cells that differ in colour by family and width."""

from collections.abc import Callable
from dataclasses import dataclass

from hwdse.design import Design, Quantizer
from hwdse.formats import family
from hwdse.report.describe import consumers_in_words, roles
from hwdse.result import Result


@dataclass(frozen=True, slots=True)
class Swatch:
    """The format of one tensor in one design."""

    format: str
    quantizer: str  # with its options
    family: str
    bits: int


@dataclass(frozen=True, slots=True)
class Line:
    """One layer or site, and its format in every chosen design; None where a design leaves it as it is."""

    name: str
    detail: str
    swatches: tuple[Swatch | None, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A column: one design, under all its names."""

    roles: str
    trial: int


@dataclass(frozen=True, slots=True)
class Strip:
    """Weights by layer, activations by site; the columns are designs."""

    columns: tuple[Heading, ...]
    weights: tuple[Line, ...]
    activations: tuple[Line, ...]

    @property
    def floats(self) -> bool:
        """Whether a design leaves activations in 16 bits."""
        return any(one is not None and one.family == "float" for line in self.activations for one in line.swatches)


def strip(result: Result) -> Strip:
    """The formats of best, knee and most accurate, each design once."""
    names: dict[int, list[str]] = {}
    for role, trial in roles(result):
        if role != "baseline":
            names.setdefault(trial.number, []).append(role)
    designs = [result.trial(number).evaluation.design for number in names]
    layers, sites = result.workload.weighted, result.workload.sites
    return Strip(
        tuple(Heading(", ".join(found), number) for number, found in names.items()),
        tuple(_line(layer.name, f"{layer.kind}, {layer.weights:,} weights", designs, _weights) for layer in layers),
        tuple(_line(site.name, consumers_in_words(site), designs, _activations) for site in sites),
    )


def _weights(design: Design) -> tuple[tuple[str, Quantizer], ...]:
    return design.weights


def _activations(design: Design) -> tuple[tuple[str, Quantizer], ...]:
    return design.activations


_Pairs = Callable[[Design], tuple[tuple[str, Quantizer], ...]]


def _line(name: str, detail: str, designs: list[Design], pairs: _Pairs) -> Line:
    return Line(name, detail, tuple(_swatch(dict(pairs(design)).get(name)) for design in designs))


def _swatch(quantizer: Quantizer | None) -> Swatch | None:
    if quantizer is None:
        return None
    fmt = quantizer.format
    return Swatch(fmt.name, quantizer.name, family(fmt), fmt.bits)
