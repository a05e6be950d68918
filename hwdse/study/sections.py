"""The sections of a study file, with their rules. Keys that no section knows are errors."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from hwdse import plugins
from hwdse.design import Quantizer, Step
from hwdse.formats import Format, HalfFormat, check_weights
from hwdse.metrics import metric
from hwdse.result import MAX_PERPLEXITY_RATIO, Constraint, Objective
from hwdse.study.patterns import PAIRS, expand, expand_all
from hwdse.study.section import Section


class Both(Section):
    """One text for the weights and one for the activations; a single text in the file is for both."""

    weights: str
    activations: str


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str | Mapping) else value


def _doubled(value: object) -> object:
    return {"weights": value, "activations": value} if isinstance(value, str) else value


def _pattern(text: str) -> str:
    expand(text)
    return text


def _pattern_of_weights(text: str) -> str:
    for fmt in expand(text):
        check_weights(fmt)
    return text


def _format(text: str) -> str:
    if len(expand(text)) != 1:
        raise ValueError(f"one format stands here, not {text!r}")
    return text


def _metric(name: str) -> str:
    return metric(name).name


def _step(text: str) -> str:
    name = Step.parse(text).technique
    known = plugins.names("hwdse.techniques")
    if name not in known:
        raise ValueError(f"no technique {name!r}; known: {', '.join(known)}")
    return text


def _formats_of(both: Both) -> Both:
    _format(both.weights), _format(both.activations)
    _pattern_of_weights(both.weights)
    return both


Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
Patterns = Annotated[
    tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(_listed), Field(min_length=1)
]
PatternsOfWeights = Annotated[
    tuple[Annotated[str, AfterValidator(_pattern_of_weights)], ...], BeforeValidator(_listed), Field(min_length=1)
]
Texts = Annotated[Both, BeforeValidator(_doubled)]
FormatPair = Annotated[Both, BeforeValidator(_doubled), AfterValidator(_formats_of)]
RecipeText = tuple[Annotated[str, AfterValidator(_step)], ...]
FormatPairs = Annotated[tuple[FormatPair, ...], BeforeValidator(_listed)]
Rules = Annotated[
    tuple[Literal["same", "equal_bits", "activations_at_least_weights", "same_kind", "all"], ...],
    BeforeValidator(_listed),
    Field(min_length=1),
]
MetricName = Annotated[str, AfterValidator(_metric)]


class Model(Section):
    """The network: a known name or `package.module:callable`; several names are one run each."""

    name: Names
    checkpoint: str | None = None
    hardware: bool = True  # every tensor quantised once, at its producer

    @property
    def folder(self) -> str:
        """The name of the first network without what a path does not like."""
        return re.sub(r"[^\w.-]+", "-", self.name[0])


class Data(Section):
    """The images or the text, and the splits; `data.DataSpec` has the same fields and checks them together."""

    name: str
    path: str | None = None
    calibration_path: str | None = None
    calibration: PositiveInt = 256
    search: PositiveInt | None = None
    test: PositiveInt | None = None
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    resize: PositiveInt | None = None
    crop: PositiveInt | None = None
    seed: NonNegativeInt = 0
    context: PositiveInt | None = None  # of a text; None is `data.DataSpec`'s, and leaves older digests as they were


class Formats(Section):
    """The formats to try and how they are scaled. `first` and `last` are all that the outer layers may choose."""

    weights: PatternsOfWeights
    activations: Patterns | None = None  # None: as the weights
    pairs: Rules = ("same",)  # which formats make uniform designs: all these rules hold
    granularity: Names = ("channel",)  # of the weights; activations have one scale per tensor
    scale: Texts = Both(weights="float", activations="float")
    calibration: Texts = Both(weights="absmax", activations="absmax")
    narrow: bool = True  # integers without their lone -2**(b-1)
    first: FormatPairs = ()
    last: FormatPairs = ()

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if not self.uniform:
            raise ValueError(f"no weight format and activation format are a pair by {' and '.join(self.pairs)}")
        return self

    @property
    def weight_quantizers(self) -> tuple[Quantizer, ...]:
        """Of a layer that is free to choose."""
        return tuple(q for fmt in expand_all(self.weights) for q in self._of_weights(fmt))

    @property
    def activation_quantizers(self) -> tuple[Quantizer, ...]:
        """Of a site that is free to choose, signed."""
        return tuple(self._of_activations(fmt) for fmt in expand_all(self.activations or self.weights))

    @property
    def uniform(self) -> tuple[tuple[Quantizer, Quantizer], ...]:
        """The pairs of weight and activation quantisers that every layer shares in a uniform design."""
        rules = [PAIRS[name] for name in self.pairs]
        pairs = ((w, a) for w in self.weight_quantizers for a in self.activation_quantizers)
        return tuple((w, a) for w, a in pairs if all(rule(w.format, a.format) for rule in rules))

    def pair(self, both: Both) -> tuple[Quantizer, Quantizer]:
        """The quantisers with these formats and the options of this section."""
        (weights,), (activations,) = expand(both.weights), expand(both.activations)
        return self._of_weights(weights)[0], self._of_activations(activations)

    @property
    def halves(self) -> tuple[Format, ...]:
        """The floats of 16 bits that some activations may be in."""
        outer = (expand(both.activations)[0] for both in (*self.first, *self.last))
        every = (*expand_all(self.activations or ()), *outer)
        return tuple(dict.fromkeys(fmt for fmt in every if isinstance(fmt, HalfFormat)))

    def _of_weights(self, fmt: Format) -> tuple[Quantizer, ...]:
        options = self.scale.weights, self.calibration.weights, self._narrow(fmt)
        return tuple(Quantizer(fmt, granularity, *options) for granularity in self.granularity)

    def _of_activations(self, fmt: Format) -> Quantizer:
        if isinstance(fmt, HalfFormat):  # a cast, which no option is of
            return Quantizer(fmt)
        return Quantizer(fmt, "tensor", self.scale.activations, self.calibration.activations, self._narrow(fmt))

    def _narrow(self, fmt: Format) -> bool:
        return self.narrow or fmt.exponent > 0  # only integers have a full range


class Techniques(Section):
    """What is done to the network beside rounding it, in this order; or recipes that the search chooses from."""

    recipe: RecipeText = ()
    recipes: tuple[RecipeText, ...] = ()  # the first is that of the uniform designs

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if self.recipe and self.recipes:
            raise ValueError("there is one recipe, or recipes to choose from, not both")
        if len(set(self.recipes)) < len(self.recipes):
            raise ValueError("every recipe to choose from is there once")
        return self

    @property
    def steps(self) -> tuple[Step, ...]:
        """The recipe as values; the first of several."""
        return self.menu[0]

    @property
    def menu(self) -> tuple[tuple[Step, ...], ...]:
        """All recipes as values."""
        return tuple(tuple(map(Step.parse, recipe)) for recipe in self.recipes or (self.recipe,))


class ObjectiveSection(Section):
    """A metric to optimise; its own better direction where none is written.

    Of several targets it is for those that have the metric, or for those on `device`.
    """

    metric: MetricName
    direction: Literal["maximize", "minimize"] | None = None
    device: str | None = None

    @property
    def value(self) -> Objective:
        """Of the core."""
        return Objective(self.metric, self.direction or metric(self.metric).better)


class ConstraintSection(Section):
    """A metric that must stay within bounds, ends included; of several targets, as an objective."""

    metric: MetricName
    low: float | None = None
    high: float | None = None
    device: str | None = None

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError(f"a constraint has 'low', 'high' or both, and that of {self.metric!r} has neither")
        return self

    @property
    def value(self) -> Constraint:
        """Of the core."""
        return Constraint(self.metric, self.low, self.high)


class Search(Section):
    """First all uniform designs, then a sampler that chooses per layer; `grid` ends with the uniform ones.

    `random`, `tpe` and `nsga2` are Optuna's; `allocate` is `hwdse.search.allocate`, and `hybrid` starts with it.
    `choice`: each tensor for itself, or a layer together with the sites that it reads, one of the uniform pairs.
    """

    sampler: Literal["grid", "random", "tpe", "nsga2", "allocate", "hybrid"]
    uniform: bool = True
    choice: Literal["tensor", "layer"] = "tensor"
    racing: Annotated[float, Field(ge=0.5, lt=1)] | None = None  # confidence; see `hwdse.racing`
    sensitivity: bool = False  # after the search: the baseline with one tensor in each other format, for the report


class Budget(Section):
    """When the search ends: after at most so many designs, uniform ones included, or minutes of evaluation."""

    trials: PositiveInt | None = None
    minutes: PositiveFloat | None = None


class Choice(Section):
    """What `best` means, and what savings are counted against."""

    max_loss: Annotated[float, Field(ge=0, le=1)] = 0.01  # of top-1, against the float network, of images
    max_perplexity_ratio: Annotated[float, Field(ge=1)] = MAX_PERPLEXITY_RATIO  # to the float network's, of text
    baseline: FormatPair = Both(weights="int8", activations="int8")
