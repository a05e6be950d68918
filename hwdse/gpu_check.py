"""A written build for a GPU beside the Brevitas model that it was made from: each part on equal inputs, then the whole.

Packed layers and quantisers are all in which the two differ. First every packed layer is given what Brevitas's layer
reads: its codes have to be the same, and its sums may be apart by roundings alone. Brevitas's sums are then put in the
place of its own, and with them all that follows has to be equal to the last bit. So where codes differ when the whole
runs by itself, roundings of sums have moved a number across a threshold. Such codes are counted, and the image is not
followed behind them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import brevitas.nn as qnn
import torch
from torch import Tensor, fx, nn

from hwdse.brevitas_layers import value
from hwdse.roundings import share

# Roundings of a term of Brevitas's sum beside those of adding it: of its weight and of its activation, which are codes
# times scales, and of their product; ours rounds two scales, their product, and that with the sum of codes. One more is
# that of adding a bias.
OF_A_TERM = 5


@dataclass(frozen=True, slots=True)
class Layer:
    """A packed layer beside Brevitas's, on the same codes."""

    name: str  # its path in the network
    codes: int  # that it reads, in the images that were followed so far when the whole runs
    moved: int  # of them, that differ then
    worst: float  # difference of a sum, in units of what roundings can make of it: at most 1


@dataclass(frozen=True, slots=True)
class Checked:
    """What was compared, and found to be equal."""

    images: int
    layers: tuple[Layer, ...]
    followed: int  # images of whose codes none differs
    difference: float  # of the logits of these
    outputs: int  # classes that the logits give: of an image one, of a text as many as it has tokens
    agreeing: int  # of them, that are Brevitas's
    what: str = "images"  # or sequences

    @property
    def codes(self) -> int:
        """Of all layers."""
        return sum(layer.codes for layer in self.layers)

    @property
    def moved(self) -> int:
        """Of all layers."""
        return sum(layer.moved for layer in self.layers)

    @property
    def text(self) -> str:
        """In words."""
        worst = max(layer.worst for layer in self.layers)
        codes = f"{self.moved} of {self.codes:,} codes on {self.images} {self.what} differ, by roundings"
        sums = f"sums are apart by {100 * worst:.0f} % at most of what roundings can make of them"
        classes = "classes" if self.what == "images" else "next tokens"
        return f"{codes}; {sums}. {self._logits}; {self.agreeing:,} of {self.outputs:,} {classes} are Brevitas's"

    @property
    def _logits(self) -> str:
        if self.followed == 0:
            return f"In all {self.what} some code differs, so that the logits of none are compared"
        return (
            f"The logits of the {self.followed} {self.what} without such a code differ by {self.difference:.2g} at most"
        )


Kinds = tuple[type[nn.Module], type[nn.Module]]  # packed layers and quantisers, as the written model has them


def check(model: fx.GraphModule, written: nn.Module, kinds: Kinds, images: Tensor) -> Checked:
    """`written` beside the Brevitas `model` on `images`; ValueError says the first thing that is not equal."""
    with torch.no_grad():
        expected = _Expected(model, images)
        worst = _parts(expected, written, kinds, images)
        return _whole(expected, written, kinds[0], images, worst)


class _Expected:
    """What the Brevitas model has at each layer and quantiser, by path."""

    def __init__(self, model: fx.GraphModule, images: Tensor) -> None:
        self.inputs: dict[str, Tensor] = {}  # of layers, quantised
        self.sums: dict[str, Tensor] = {}
        self.bounds: dict[str, Tensor] = {}
        self.quantised: dict[str, list[Tensor]] = {}

        def layer(path: str, module: Any, given: tuple[Any, ...], result: Any) -> None:
            own = value(module.input_quant(given[0])).detach().clone()
            self.inputs[path], self.sums[path] = own, value(result).detach().clone()
            self.bounds[path] = _bound(module, own)

        def quantiser(path: str, module: Any, given: tuple[Any, ...], result: Any) -> None:
            self.quantised.setdefault(path, []).append(value(result).detach().clone())

        layers = qnn.QuantConv2d, qnn.QuantLinear
        with _watched(model, layers, layer), _watched(model, (qnn.QuantIdentity,), quantiser):
            self.logits = value(model(images.clone()))


def _bound(module: Any, x: Tensor) -> Tensor:
    """How far apart the sums of two evaluations of a Brevitas layer can be on `x`, in float64."""
    weight = value(module.quant_weight()).detach().double().abs()
    bias = None if module.bias is None else module.bias.detach().double().abs()
    terms, largest = weight[0].numel() + OF_A_TERM, x.double().abs()
    if isinstance(module, nn.Linear):
        return 2 * share(terms) * nn.functional.linear(largest, weight, bias)
    place = (module.stride, module.padding, module.dilation, module.groups)
    return 2 * share(terms) * nn.functional.conv2d(largest, weight, bias, *place)


Visit = Callable[[str, Any, tuple[Any, ...], Any], Any]


@contextmanager
def _watched(model: nn.Module, kinds: tuple[type[nn.Module], ...], visit: Visit) -> Iterator[None]:
    """`visit` sees each call of a module of one of `kinds`; what it returns, if anything, is the module's result."""
    hooks = [
        module.register_forward_hook(lambda own, given, result, path=path: visit(path, own, given, result))
        for path, module in model.named_modules()
        if isinstance(module, kinds)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _parts(expected: _Expected, written: nn.Module, kinds: Kinds, images: Tensor) -> dict[str, float]:
    """For each packed layer the largest difference of a sum, in units of its bound; ValueError where it is above 1."""
    worst: dict[str, float] = {}
    calls = dict.fromkeys(expected.quantised, 0)

    def layer(path: str, module: Any, given: tuple[Any, ...], result: Any) -> Tensor:
        if not torch.equal(module.quantised(given[0]), expected.inputs[path]):
            raise ValueError(f"layer {path!r} reads other codes than Brevitas's for equal numbers")
        apart = (result.double() - expected.sums[path].double()).abs()
        if bool((apart > expected.bounds[path]).any()) or not bool(result.isfinite().all()):
            beyond = float((apart - expected.bounds[path]).max())
            raise ValueError(f"sums of layer {path!r} differ by up to {beyond:.3g} more than roundings can")
        worst[path] = float((apart / expected.bounds[path].clamp_min(torch.finfo(torch.float64).tiny)).max())
        return expected.sums[path].clone()

    def quantiser(path: str, module: Any, given: tuple[Any, ...], result: Any) -> None:
        if not torch.equal(result, expected.quantised[path][calls[path]]):
            raise ValueError(f"the quantiser {path!r} gives other numbers than Brevitas's for equal ones")
        calls[path] += 1

    with _watched(written, kinds[:1], layer), _watched(written, kinds[1:], quantiser):
        logits = written(images.clone())
    if missing := sorted(expected.sums.keys() - worst.keys()):
        raise ValueError(f"layer {missing[0]!r} is not in the written model")
    if not torch.equal(logits, expected.logits):
        raise ValueError("with the sums of Brevitas's layers the written model has other logits")
    return worst


def _whole(
    expected: _Expected, written: nn.Module, packed: type[nn.Module], images: Tensor, worst: dict[str, float]
) -> Checked:
    """The model by itself: codes that differ, on images of which none has differed before."""
    clean = torch.ones(len(images), dtype=torch.bool)
    found: list[Layer] = []

    def layer(path: str, module: Any, given: tuple[Any, ...], result: Any) -> None:
        differ = (module.quantised(given[0]) != expected.inputs[path]).reshape(len(images), -1)
        own = Layer(path, int(differ[clean].numel()), int(differ[clean].sum()), worst[path])
        found.append(own)
        clean.logical_and_(~differ.any(1))

    with _watched(written, (packed,), layer):
        logits = written(images.clone())
    apart = (logits - expected.logits).abs()[clean]
    largest = float(apart.max()) if apart.numel() else 0.0
    classes, own = logits.argmax(-1), expected.logits.argmax(-1)
    agreeing = int((classes == own).sum())
    return Checked(len(images), tuple(found), int(clean.sum()), largest, classes.numel(), agreeing, what(images))


def what(images: Tensor) -> str:
    """Images, or sequences of tokens."""
    return "images" if images.is_floating_point() else "sequences"


def together(parts: list[Checked]) -> Checked:
    """Of several batches of images."""
    first, *others = parts
    for other in others:
        layers = tuple(
            replace(a, codes=a.codes + b.codes, moved=a.moved + b.moved, worst=max(a.worst, b.worst))
            for a, b in zip(first.layers, other.layers, strict=True)
        )
        first = replace(
            first,
            images=first.images + other.images,
            layers=layers,
            followed=first.followed + other.followed,
            difference=max(first.difference, other.difference),
            outputs=first.outputs + other.outputs,
            agreeing=first.agreeing + other.agreeing,
        )
    return first
