"""Which designs a search may propose: a choice per layer with weights and per activation site, or one for both.

Layers and sites share a menu of quantisers, but the first and the last layer may have their own. A
choice is the text form of a quantiser, so a trial reads as what it is, and a design is a pure
function of its choices. With `pairs`, a layer and the sites that it reads are one choice, the text
forms of both with a `/` between: far fewer designs, and those that people think of.

Where there are several recipes, the choice among them is one too, named by its steps.

A site that several layers read belongs to the first of them with weights; the others choose their
weights alone, and so does a site that no layer with weights reads choose for itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from hwdse.design import Design, Folding, Quantizer, Step
from hwdse.workload import Layer, Workload

QuantizerPair = tuple[Quantizer, Quantizer]  # of weights and of activations
Menu = tuple[Quantizer, ...]  # what one layer or site may choose
RECIPE = "recipe"  # the dimension of that name


@dataclass(frozen=True, slots=True)
class Dimension:
    """One choice: `weights.conv1`, `activations.input` or `pair.conv1`, among the names of quantisers."""

    name: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps, and what they make of the network: what is paid for, which sites have a sign, how it is folded."""

    steps: tuple[Step, ...]
    workload: Workload
    nonnegative: frozenset[str]
    folding: tuple[tuple[str, Folding], ...]  # of all its designs; nothing where each has its own

    @property
    def name(self) -> str:
        """The choice of a trial: the steps, or `none`."""
        return " + ".join(step.name for step in self.steps) or "none"


@dataclass(frozen=True)
class Space:
    """The designs of one network; activations are written signed and lose the sign where no value is negative."""

    workload: Workload
    weights: Menu  # that a free layer may choose
    activations: Menu  # that a free site may choose
    uniform: tuple[QuantizerPair, ...]  # designs with one choice everywhere, in the order they are tried
    nonnegative: frozenset[str]  # sites that never see a negative value
    folding: tuple[tuple[str, Folding], ...]  # of all designs; nothing where each has its own
    recipe: tuple[Step, ...] = ()
    first: tuple[QuantizerPair, ...] = ()  # the menu of the first layer with weights and of the sites that it reads
    last: tuple[QuantizerPair, ...] = ()  # the same for the last one; empty is no menu of its own
    pairs: tuple[QuantizerPair, ...] = ()  # what a layer and the sites that it reads choose at once; empty is apart
    others: tuple[Recipe, ...] = ()  # that a search may choose instead of `recipe`

    def __post_init__(self) -> None:
        if not self.workload.weighted:
            raise ValueError(f"network {self.workload.name!r} has no layer with weights")
        for recipe in self.recipes.values():
            for step in recipe.steps:
                for name in step.scope or ():
                    self.workload.layer(name)

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """By name, that of uniform designs first."""
        first = Recipe(self.recipe, self.workload, self.nonnegative, self.folding)
        return {recipe.name: recipe for recipe in (first, *self.others)}

    def recipe_of(self, design: Design) -> Recipe:
        """What the steps of `design` make of the network."""
        return next(recipe for recipe in self.recipes.values() if recipe.steps == design.recipe)

    def charged(self, design: Design) -> Workload:
        """What has to be paid for after the recipe of `design`."""
        return next((r.workload for r in self.others if r.steps == design.recipe), self.workload)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What a search chooses, layers first, in the order they run; where there is one choice there is none."""
        owned = {site for sites in self._owned.values() for site in sites}
        layers = (self._of_layer(layer, menu) for layer, menu in self._layers.items())
        sites = (Dimension(f"activations.{site}", _names(menu)) for site, menu in self._sites.items())
        free = (dimension for dimension in sites if dimension.name.partition(".")[2] not in owned)
        recipes = Dimension(RECIPE, tuple(self.recipes))
        return tuple(dimension for dimension in (*layers, *free, recipes) if len(dimension.choices) > 1)

    def choices(self, pair: QuantizerPair) -> dict[str, str]:
        """The choices of the uniform design of `pair`; where it is not on the menu, the first of its kind there."""
        return {d.name: d.choices[0] if d.name == RECIPE else _nearest(pair, d) for d in self.dimensions}

    def design(self, choices: Mapping[str, str]) -> Design:
        """The design of `choices`, one for each dimension."""
        apart = self._apart(choices)
        weights = {name: _chosen(f"weights.{name}", menu, apart) for name, menu in self._layers.items()}
        activations = {name: _chosen(f"activations.{name}", menu, apart) for name, menu in self._sites.items()}
        recipe = self.recipes[choices[RECIPE]] if self.others else next(iter(self.recipes.values()))
        fitted = {site: _fitted(site, quantizer, recipe.nonnegative) for site, quantizer in activations.items()}
        return Design.of(weights, fitted, dict(recipe.folding), recipe.steps, hardware=self.workload.hardware)

    @property
    def menus(self) -> dict[str, dict[str, Menu]]:
        """What the `weights` of each layer and the `activations` of each site may be, written signed."""
        return {"weights": self._layers, "activations": self._sites}

    def changed(self, design: Design, kind: str, place: str, quantizer: Quantizer) -> Design:
        """`design` with `quantizer`, written signed, for the weights of a layer or the activations of a site."""
        recipe = self.recipe_of(design)
        if kind == "weights":
            return replace(design, weights=_with(design.weights, place, quantizer), folding=recipe.folding)
        fitted = _fitted(place, quantizer, recipe.nonnegative)
        return replace(design, activations=_with(design.activations, place, fitted), folding=recipe.folding)

    def _of_layer(self, layer: str, menu: Menu) -> Dimension:
        if not self._owned.get(layer):
            return Dimension(f"weights.{layer}", _names(menu))
        return Dimension(f"pair.{layer}", tuple(map(_written, self._pairs(layer))))

    def _apart(self, choices: Mapping[str, str]) -> dict[str, str]:
        """`choices` with a choice for a layer and one for each of its sites in place of a pair."""
        apart = {name: choice for name, choice in choices.items() if not name.startswith("pair.")}
        for layer, sites in self._owned.items():
            pairs = self._pairs(layer)
            written = choices[f"pair.{layer}"] if len(pairs) > 1 else _written(pairs[0])
            weights, _, activations = written.partition("/")
            apart |= {f"weights.{layer}": weights, **{f"activations.{site}": activations for site in sites}}
        return apart

    @cached_property
    def _owned(self) -> dict[str, tuple[str, ...]]:
        """The sites that each layer with weights chooses for; none where all choose apart."""
        if not self.pairs:
            return {}
        first: dict[str, str] = {}
        for layer in self.workload.weighted:
            for site in layer.inputs:
                first.setdefault(site, layer.name)
        own = (
            (layer.name, tuple(s for s in layer.inputs if first[s] == layer.name)) for layer in self.workload.weighted
        )
        return {layer: sites for layer, sites in own if sites}

    def _pairs(self, layer: str) -> tuple[QuantizerPair, ...]:
        """What a layer that owns sites may choose."""
        return next((pairs for end, pairs in reversed(self._ends) if end.name == layer), self.pairs)

    @cached_property
    def _layers(self) -> dict[str, Menu]:
        """What each layer with weights may choose."""
        menu = _unique(pair[0] for pair in self.pairs) or self.weights
        free = {layer.name: menu for layer in self.workload.weighted}
        return free | {layer.name: _unique(pair[0] for pair in pairs) for layer, pairs in self._ends}

    @cached_property
    def _sites(self) -> dict[str, Menu]:
        """What each site may choose."""
        menu = _unique(pair[1] for pair in self.pairs) or self.activations
        free = {site.name: menu for site in self.workload.sites}
        ends = [(site, pairs) for layer, pairs in self._ends for site in layer.inputs if self._own(layer.name, site)]
        return free | {site: _unique(pair[1] for pair in pairs) for site, pairs in ends}

    def _own(self, layer: str, site: str) -> bool:
        """Whether the layer's own menu is that of the site."""
        return not self.pairs or site in self._owned.get(layer, ())

    @property
    def _ends(self) -> list[tuple[Layer, tuple[QuantizerPair, ...]]]:
        """The outer layers that have a menu of their own; where they meet, the first goes before the last."""
        weighted = self.workload.weighted
        return [(layer, pairs) for layer, pairs in ((weighted[-1], self.last), (weighted[0], self.first)) if pairs]


def _fitted(site: str, quantizer: Quantizer, nonnegative: frozenset[str]) -> Quantizer:
    """`quantizer` with its unsigned twin's format where a sign would be wasted; MX has signed formats alone."""
    if site not in nonnegative or quantizer.group is not None:
        return quantizer
    return replace(quantizer, format=quantizer.format.unsigned, narrow=True)


def _with(
    pairs: tuple[tuple[str, Quantizer], ...], place: str, quantizer: Quantizer
) -> tuple[tuple[str, Quantizer], ...]:
    return tuple((name, quantizer if name == place else own) for name, own in pairs)


def _unique(quantizers: Iterable[Quantizer]) -> Menu:
    return tuple(dict.fromkeys(quantizers))


def _names(menu: Menu) -> tuple[str, ...]:
    return tuple(quantizer.name for quantizer in menu)


def _written(pair: QuantizerPair) -> str:
    """The text form of a choice of both."""
    return f"{pair[0].name}/{pair[1].name}"


def _chosen(dimension: str, menu: Menu, choices: Mapping[str, str]) -> Quantizer:
    return menu[0] if len(menu) == 1 else Quantizer.parse(choices[dimension])


def _nearest(pair: QuantizerPair, dimension: Dimension) -> str:
    """`pair` or its half if it is there, else the first integer for an integer and the first minifloat for another."""
    kind = dimension.name.partition(".")[0]
    wanted, text = pair[kind == "activations"], _written(pair) if kind == "pair" else pair[kind == "activations"].name
    if text in dimension.choices:
        return text
    minifloat = wanted.format.exponent > 0
    alike = (name for name in dimension.choices if _minifloat(name) == minifloat)
    return next(alike, dimension.choices[0])


def _minifloat(choice: str) -> bool:
    """Whether a choice is one; of a pair, its weights."""
    return Quantizer.parse(choice.partition("/")[0]).format.exponent > 0
