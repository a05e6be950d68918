"""The price of one network and one design on one device, without a study: what `hwdse cost` prints."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import get_args

from hwdse import cost_model, models, zoo
from hwdse.cost import Cost
from hwdse.cost_model import FpgaCostModel, Run, Tokens
from hwdse.design import Design, Quantizer
from hwdse.folding import fold
from hwdse.prepare import example_for
from hwdse.quantize import charged, technique
from hwdse.target import FpgaTarget, device, fpga, gpu, gpus
from hwdse.trace import trace
from hwdse.where import OnGpu
from hwdse.workload import Workload

SHAPES = {  # by how a network's name begins
    "digits": (1, 8, 8),
    "cifar": (3, 32, 32),
    "finn-tfc": (1, 28, 28),
    "finn-cnv": (3, 32, 32),
    "text-lm": (128,),
    "huggingface:": (128,),
    "torchvision:": (3, 224, 224),
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is priced where."""

    model: str  # as in a study
    device: str
    frames_per_second: float = 1000.0  # that every layer is folded to reach, unless the design has foldings; an FPGA
    clock_mhz: float = 100.0  # assumed; an FPGA
    shape: str | None = None  # of one input, `3,32,32`; known for the built-in networks
    cost_model: str | None = None  # None: `dataflow` for an FPGA, `gpu` for a GPU
    hardware: bool = True
    run: Run = Run()  # noqa: RUF009  # of a GPU; a value that nobody changes

    def __post_init__(self) -> None:
        device(self.device)
        for name, value in (("frames per second", self.frames_per_second), ("MHz", self.clock_mhz)):
            if not (isfinite(value) and value > 0):
                raise ValueError(f"a rate is positive and finite, not {value:g} {name}")
        if self.shape is not None and not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", self.shape):
            raise ValueError(f"a shape is written as numbers with commas, e.g. 3,32,32, not {self.shape!r}")


@dataclass(frozen=True, slots=True)
class Priced:
    """A price with what it is the price of."""

    cost: Cost
    design: Design
    workload: Workload


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question is about: a network, its quantisers, and what prices it where."""

    workload: Workload
    design: Design
    target: FpgaTarget
    model: FpgaCostModel


def check_options(name: str, of_fpgas: Mapping[str, object], of_gpus: Mapping[str, object]) -> None:
    """ValueError where an option is given, and is not None, that a device of this kind has no meaning for."""
    own, others = (of_gpus, of_fpgas) if name in gpus() else (of_fpgas, of_gpus)
    for option in (option for option, value in others.items() if value is not None):
        kind = "a GPU" if name in gpus() else "an FPGA"
        raise ValueError(f"{name!r} is {kind}, so that it goes without {option}; known: {', '.join(own)}")


def running(batch: int | None, tokens: str | None) -> Run:
    """How a network runs on a GPU; ValueError for a text that is neither of the two."""
    known: dict[str, Tokens] = {name: name for name in get_args(Tokens)}
    if tokens is not None and tokens not in known:
        raise ValueError(f"tokens are {' or '.join(known)}, not {tokens!r}")
    return Run(1 if batch is None else batch, "all" if tokens is None else known[tokens])


def asked(question: Question, design: Design | tuple[Quantizer, Quantizer], **settings: str) -> Asked:
    """What is priced, by `price` and by an exact folding; ValueError as for them."""
    target = fpga(question.device)
    model = cost_model.for_fpgas(question.cost_model or "dataflow", settings)
    return Asked(*_asked(question, design), target, model)


def _asked(question: Question, design: Design | tuple[Quantizer, Quantizer]) -> tuple[Workload, Design]:
    workload = _workload(question)
    chosen = design if isinstance(design, Design) else _uniform(workload, *design)
    workload.check(chosen)
    return _charged(workload, chosen), chosen


def price(question: Question, design: Design | tuple[Quantizer, Quantizer], **settings: str) -> Priced:
    """The price of a design, or of one quantizer for all weights and one for all activations.

    The pair is taken as written: name unsigned formats yourself. `settings` are the cost model's.
    ValueError, in one sentence, is bad input.
    """
    if question.device in gpus():
        return _price_on_gpu(question, design, settings)
    found = asked(question, design, **settings)
    workload, chosen = found.workload, found.design
    if not chosen.folding:
        cycles = int(question.clock_mhz * 1e6 / question.frames_per_second)
        chosen = replace(chosen, folding=tuple(sorted(fold(workload, cycles).items())))
    return Priced(found.model.cost(workload, chosen, found.target, question.clock_mhz), chosen, workload)


def _price_on_gpu(question: Question, design: Design | tuple[Quantizer, Quantizer], settings: dict[str, str]) -> Priced:
    model = cost_model.for_gpus(question.cost_model or "gpu", settings)
    where = OnGpu(model, gpu(question.device), question.run)
    workload, chosen = _asked(question, design)
    return Priced(where.cost(workload, chosen), chosen, workload)


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
    example = example_for(network, _shape(question))
    if question.run.tokens == "one" and example.is_floating_point():
        raise ValueError(
            f"tokens: 'one' is of a text, one token after the other, which {name!r} does not read; known: all"
        )
    return trace(network, example, name, hardware=question.hardware).workload


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
