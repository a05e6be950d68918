"""Which designs a search may propose: one choice per layer with weights and one per activation site.

Layers and sites share a menu of quantisers, but the first and the last layer may have their own. A
choice is the text form of a quantiser, so a trial reads as what it is, and a design is a pure
function of its choices.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from hwdse.design import Design, Folding, Quantizer, Step
from hwdse.workload import Layer, Workload

QuantizerPair = tuple[Quantizer, Quantizer]  # of weights and of activations
Menu = tuple[Quantizer, ...]  # what one layer or site may choose


@dataclass(frozen=True, slots=True)
class Dimension:
    """One choice: `weights.conv1` or `activations.input`, among the names of quantisers."""

    name: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """The designs of one network; activations are written signed and lose the sign where no value is negative."""

    workload: Workload
    weights: Menu  # that a free layer may choose
    activations: Menu  # that a free site may choose
    uniform: tuple[QuantizerPair, ...]  # designs with one choice everywhere, in the order they are tried
    nonnegative: frozenset[str]  # sites that never see a negative value
    folding: tuple[tuple[str, Folding], ...]
    recipe: tuple[Step, ...] = ()
    first: tuple[QuantizerPair, ...] = ()  # the menu of the first layer with weights and of the sites that it reads
    last: tuple[QuantizerPair, ...] = ()  # the same for the last one; empty is no menu of its own

    def __post_init__(self) -> None:
        if not self.workload.weighted:
            raise ValueError(f"network {self.workload.name!r} has no layer with weights")
        for step in self.recipe:
            for name in step.scope or ():
                self.workload.layer(name)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What a search chooses, layers first, in the order they run; where there is one choice there is none."""
        return tuple(
            Dimension(f"{kind}.{name}", tuple(quantizer.name for quantizer in menu))
            for kind, menus in (("weights", self._layers), ("activations", self._sites))
            for name, menu in menus.items()
            if len(menu) > 1
        )

    def choices(self, pair: QuantizerPair) -> dict[str, str]:
        """The choices of the uniform design of `pair`; where it is not on the menu, the first of its kind there."""
        wanted = {"weights": pair[0], "activations": pair[1]}
        return {d.name: _nearest(wanted[d.name.partition(".")[0]], d.choices) for d in self.dimensions}

    def design(self, choices: Mapping[str, str]) -> Design:
        """The design of `choices`, one for each dimension."""
        weights = {name: _chosen(f"weights.{name}", menu, choices) for name, menu in self._layers.items()}
        activations = {name: _chosen(f"activations.{name}", menu, choices) for name, menu in self._sites.items()}
        fitted = {site: self._fitted(site, quantizer) for site, quantizer in activations.items()}
        return Design.of(weights, fitted, dict(self.folding), self.recipe, hardware=self.workload.hardware)

    @cached_property
    def _layers(self) -> dict[str, Menu]:
        """What each layer with weights may choose."""
        free = {layer.name: self.weights for layer in self.workload.weighted}
        return free | {layer.name: _unique(pair[0] for pair in pairs) for layer, pairs in self._ends}

    @cached_property
    def _sites(self) -> dict[str, Menu]:
        """What each site may choose."""
        free = {site.name: self.activations for site in self.workload.sites}
        ends = [(site, pairs) for layer, pairs in self._ends for site in layer.inputs]
        return free | {site: _unique(pair[1] for pair in pairs) for site, pairs in ends}

    @property
    def _ends(self) -> list[tuple[Layer, tuple[QuantizerPair, ...]]]:
        """The outer layers that have a menu of their own; where they meet, the first goes before the last."""
        weighted = self.workload.weighted
        return [(layer, pairs) for layer, pairs in ((weighted[-1], self.last), (weighted[0], self.first)) if pairs]

    def _fitted(self, site: str, quantizer: Quantizer) -> Quantizer:
        """`quantizer` with its unsigned twin's format where a sign would be wasted; MX has signed formats alone."""
        if site not in self.nonnegative or quantizer.group is not None:
            return quantizer
        return replace(quantizer, format=quantizer.format.unsigned, narrow=True)


def _unique(quantizers: Iterable[Quantizer]) -> Menu:
    return tuple(dict.fromkeys(quantizers))


def _chosen(dimension: str, menu: Menu, choices: Mapping[str, str]) -> Quantizer:
    return menu[0] if len(menu) == 1 else Quantizer.parse(choices[dimension])


def _nearest(wanted: Quantizer, names: tuple[str, ...]) -> str:
    """`wanted` if it is there, else the first integer for an integer and the first minifloat for a minifloat."""
    if wanted.name in names:
        return wanted.name
    minifloat = wanted.format.exponent > 0
    alike = (name for name in names if (Quantizer.parse(name).format.exponent > 0) == minifloat)
    return next(alike, names[0])
