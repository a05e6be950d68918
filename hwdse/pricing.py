"""The price of one network and one design on one device, without a study: what `hwdse cost` prints."""

import re
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

import torch

from hwdse import cost_model, models, zoo
from hwdse.cost import FpgaCost
from hwdse.cost_model import CostModel
from hwdse.design import Design, Quantizer
from hwdse.folding import fold
from hwdse.quantize import charged, technique
from hwdse.target import FpgaTarget, fpga
from hwdse.trace import trace
from hwdse.workload import Workload

SHAPES = {  # by how a network's name begins
    "digits": (1, 8, 8),
    "cifar": (3, 32, 32),
    "finn-tfc": (1, 28, 28),
    "finn-cnv": (3, 32, 32),
    "torchvision:": (3, 224, 224),
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is priced where."""

    model: str  # as in a study
    device: str
    frames_per_second: float = 1000.0  # that every layer is folded to reach, unless the design has foldings
    clock_mhz: float = 100.0  # assumed
    shape: str | None = None  # of one input, `3,32,32`; known for the built-in networks
    cost_model: str = "dataflow"
    hardware: bool = True

    def __post_init__(self) -> None:
        for name, value in (("frames per second", self.frames_per_second), ("MHz", self.clock_mhz)):
            if not (isfinite(value) and value > 0):
                raise ValueError(f"a rate is positive and finite, not {value:g} {name}")
        if self.shape is not None and not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", self.shape):
            raise ValueError(f"a shape is written as numbers with commas, e.g. 3,32,32, not {self.shape!r}")


@dataclass(frozen=True, slots=True)
class Priced:
    """A price with what it is the price of."""

    cost: FpgaCost
    design: Design
    workload: Workload


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question is about: a network, its quantisers, and what prices it where."""

    workload: Workload
    design: Design
    target: FpgaTarget
    model: CostModel


def asked(question: Question, design: Design | tuple[Quantizer, Quantizer], **settings: str) -> Asked:
    """What is priced, by `price` and by an exact folding; ValueError as for them."""
    target = fpga(question.device)
    model = cost_model.named(question.cost_model, settings)
    workload = _workload(question)
    chosen = design if isinstance(design, Design) else _uniform(workload, *design)
    workload.check(chosen)
    return Asked(_charged(workload, chosen), chosen, target, model)


def price(question: Question, design: Design | tuple[Quantizer, Quantizer], **settings: str) -> Priced:
    """The price of a design, or of one quantizer for all weights and one for all activations.

    The pair is taken as written: name unsigned formats yourself. `settings` are the cost model's.
    ValueError, in one sentence, is bad input.
    """
    found = asked(question, design, **settings)
    workload, chosen = found.workload, found.design
    if not chosen.folding:
        cycles = int(question.clock_mhz * 1e6 / question.frames_per_second)
        chosen = replace(chosen, folding=tuple(sorted(fold(workload, cycles).items())))
    return Priced(found.model.cost(workload, chosen, found.target, question.clock_mhz), chosen, workload)


def read_design(file: Path) -> Design:
    """The design in a TOML file."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"the design file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the design file {file} is no text") from None
    return Design.parse(text)


def _workload(question: Question) -> Workload:
    """Of the architecture alone: the price of a network needs no trained weights."""
    name = question.model
    network = zoo.build(name) if name in zoo.names() else models.load(models.ModelSpec(name))
    return trace(network, torch.zeros(1, *_shape(question)), name, hardware=question.hardware).workload


def _charged(workload: Workload, design: Design) -> Workload:
    """With what the recipe of `design` adds; the layers that a step makes larger are known with their weights alone."""
    for step in design.recipe:
        if technique(step).reshapes:
            raise ValueError(f"step {step.name!r} changes layers by their weights: its price is that of a run")
    return charged(workload, design.recipe)


def _shape(question: Question) -> tuple[int, ...]:
    if question.shape is not None:
        return tuple(int(size) for size in question.shape.split(","))
    for start, shape in SHAPES.items():
        if question.model.startswith(start):
            return shape
    raise ValueError(f"the input shape of network {question.model!r} is not known; give --shape, e.g. 3,32,32")


def _uniform(workload: Workload, weights: Quantizer, activations: Quantizer) -> Design:
    return Design.of(
        dict.fromkeys((layer.name for layer in workload.weighted), weights),
        dict.fromkeys((site.name for site in workload.sites), activations),
        hardware=workload.hardware,
    )
