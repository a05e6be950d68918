"""Layers whose weights are packed codes, for a model that a GPU computes; a build carries this file and needs no hwdse.

A layer quantises what it reads as the design says and multiplies codes with codes: with a kernel where the tensor is on
a GPU, by the plain reference elsewhere. Scales and the bias follow once the sum is there.
"""

import json
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwdse.design import Quantizer
from hwdse.formats import FloatFormat, decode_table, limits
from hwdse.gemm import Choice
from hwdse.weight_codes import Packing

HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}  # activations that are cast and have no scale
REFERENCE = "reference"
KERNELS = ("a8", "a16", "gemv")
LIBRARY = "torch"  # computes what no kernel does
UNPACKS = ("unpack", "unpack8")  # decode weights in whatever tiles they are packed, and leave the product to torch
EVERY = ""  # in place of a layer's name: all of them
CHOICES = "kernels.json"
INTERPRET = "TRITON_INTERPRET"  # Triton's own setting, with which kernels are Python and run on a CPU
KEPT = 1 << 22  # weights of a layer whose decoded numbers the reference keeps


class Grid(nn.Module):
    """A format times a scale: what the activations of a tensor become."""

    def __init__(self, quantizer: str) -> None:
        super().__init__()
        self.quantizer = Quantizer.parse(quantizer)
        fmt = self.quantizer.format
        self.cast = HALVES.get(fmt.name)
        self.low, self.high = limits(fmt, self.quantizer.narrow)
        minifloat = isinstance(fmt, FloatFormat)
        self.mantissa = fmt.mantissa if minifloat else None
        self.smallest = 1 - fmt.bias - fmt.mantissa if isinstance(fmt, FloatFormat) else 0
        self.scale: Tensor
        if self.cast is None:
            self.register_buffer("scale", torch.ones((), dtype=torch.float32))

    def values(self, x: Tensor) -> Tensor:
        """The values of the format, without the scale, to which `x` (float32, any shape) is rounded, as Brevitas does.

        Ties go to the even multiple of a step; infinity is none of a minifloat's numbers, and gives NaN there.
        """
        if self.cast is not None:
            return x.to(self.cast).float()
        scaled = x / self.scale
        if self.mantissa is None:
            return scaled.round().clamp(self.low, self.high)
        step = torch.ldexp(torch.ones_like(x), (scaled.frexp().exponent - 1 - self.mantissa).clamp_min(self.smallest))
        rounded = ((scaled / step).round() * step).clamp(self.low, self.high)
        return torch.where(scaled.isinf(), torch.nan, rounded)

    def forward(self, x: Tensor) -> Tensor:
        """`x` quantised and back: float32."""
        values = self.values(x)
        return values if self.cast is not None else values * self.scale


class Quantise(Grid):
    """A tensor that others read than packed layers, quantised and back; `site` is its name in the design."""

    def __init__(self, quantizer: str, *, site: str) -> None:
        super().__init__(quantizer)
        self.site = site


class PackedLayer(nn.Module):
    """`rows x inputs` weights as packed codes, and the grid of what is multiplied with them."""

    words: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(
        self, rows: int, inputs: int, *, weights: str, activations: str, site: str, layout: str, bias: bool
    ) -> None:
        """`weights` and `activations`, those at `site`, are quantisers of the design; see `Packing` for `layout`."""
        super().__init__()
        self.site = site
        self.rows, self.inputs = rows, inputs
        self.grid = Grid(activations)
        self.weights = Quantizer.parse(weights)
        self.packing = Packing(self.weights.format, layout)
        self.choices: dict[int, str] = {}  # products of at most so many vectors -> what computes them
        self.register_buffer("words", torch.zeros(self.packing.layout.shape(rows, inputs), dtype=torch.int32))
        self.register_buffer("scale", torch.ones(scale_shape(self.weights, rows, inputs), dtype=torch.float32))
        self.register_buffer("bias", torch.zeros(rows, dtype=torch.float32) if bias else None)
        self.held: dict[tuple[Any, ...], Any] = {}  # what was made of the weights, by its name and the device

    def quantised(self, x: Tensor) -> Tensor:
        """What the layer takes its input `x` for: codes times their scale, float32."""
        result: Tensor = self.grid(x)
        return result

    @property
    def codes(self) -> Tensor:
        """`rows x inputs` codes of the format (uint8, on the CPU)."""
        return torch.from_numpy(self.packing.codes(self.words.cpu().numpy(), self.rows, self.inputs))

    @property
    def numbers(self) -> Tensor:
        """`rows x inputs` values of the format, without scales (float64, where the words are)."""
        key = "numbers", self.words.device
        if key in self.held:
            return cast(Tensor, self.held[key])
        table = torch.from_numpy(decode_table(self.weights.format).copy())
        numbers = table[self.codes.long()].to(self.words.device)
        if numbers.numel() <= KEPT:
            self.held[key] = numbers
        return numbers

    @property
    def scales(self) -> Tensor:
        """`rows x groups` scales, one group where a channel or all have one."""
        return self.scale.reshape(-1, 1).expand(self.rows, 1) if self.scale.dim() < 2 else self.scale

    @property
    def weight(self) -> Tensor:
        """`rows x inputs` quantised weights (float32): those of the Brevitas model, to the last bit."""
        scales = self.scales.repeat_interleave(self.inputs // self.scales.shape[1], 1)
        return self.numbers.float() * scales

    def chosen(self, vectors: int) -> str:
        """What computes a product with so many vectors."""
        return next((name for most, name in sorted(self.choices.items()) if vectors <= most), REFERENCE)

    def summed(self, x: Tensor, weights: Tensor) -> Tensor:
        """`m x rows` sums of products of `vectors` and `rows x inputs` numbers."""
        return x @ weights.T

    def reference(self, x: Tensor) -> Tensor:
        """`m x rows` results for `x` (`m x inputs` float32): sums of values of formats, in float64, rounded once."""
        wide = self.scales.double().repeat_interleave(self.inputs // self.scales.shape[1], 1)
        result = self.summed(self.grid.values(x).double(), self.numbers * wide)
        result = result if self.grid.cast is not None else result * self.grid.scale.double()
        return (result if self.bias is None else result + self.bias.double()).float()

    def magnitudes(self, x: Tensor) -> Tensor:
        """`m x rows` sums of the absolute terms of the results, in float64: what the bound on roundings is of."""
        sums = self.summed(self.quantised(x).double().abs(), self.weight.double().abs())
        return sums if self.bias is None else sums + self.bias.double().abs()

    def pixels(self, x: Tensor) -> Tensor:
        """`p x c`: every number that the layer reads of its input `x`, once."""
        return x.reshape(-1, self.inputs)

    def gathered(self, pixels: Tensor, shape: tuple[int, ...]) -> Tensor:
        """`m x inputs`: what the weights are multiplied with, of the `pixels` (of any type) of an input of `shape`."""
        return pixels

    def outputs(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the result for an input of `shape`, the outputs of the layer last."""
        return (*shape[:-1], self.rows)

    def shaped(self, flat: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The result, of its `m x rows` numbers."""
        return flat.reshape(self.outputs(shape))

    def flat(self, result: Tensor) -> Tensor:
        """`m x rows`, of the result."""
        return result.reshape(-1, self.rows)

    def vectors(self, x: Tensor) -> Tensor:
        """`m x inputs` (float32): what the weights are multiplied with, of the input `x`."""
        return self.gathered(self.pixels(x), tuple(x.shape))

    def forward(self, x: Tensor) -> Tensor:
        """The result, by what is chosen for so many vectors."""
        shape = tuple(x.shape)
        name = self.chosen(prod(self.outputs(shape)[:-1]))
        if name == REFERENCE:
            return self.shaped(self.reference(self.vectors(x)), shape)
        from hwdse.gpu_products import product  # needs Triton

        return self.shaped(product(self, x, name), shape)


class PackedLinear(PackedLayer):
    """A linear layer: `... x inputs` to `... x rows`."""

    def __init__(self, inputs: int, rows: int, **formats: Any) -> None:
        super().__init__(rows, inputs, **formats)


class PackedConv2d(PackedLayer):
    """A convolution, images to images: a vector is a window of the image, pixel by pixel with its channels."""

    def __init__(
        self,
        channels: int,
        rows: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int = 1,
        **formats: Any,
    ) -> None:
        super().__init__(rows, channels // groups * kernel[0] * kernel[1], **formats)
        self.channels, self.kernel, self.stride, self.padding, self.groups = channels, kernel, stride, padding, groups

    def pixels(self, x: Tensor) -> Tensor:
        """`p x channels`, those of the padding among them."""
        padded = functional.pad(x, (self.padding[1], self.padding[1], self.padding[0], self.padding[0]))
        return padded.movedim(1, 3).reshape(-1, self.channels)

    def gathered(self, pixels: Tensor, shape: tuple[int, ...]) -> Tensor:
        """`m x inputs`, a window each."""
        high, wide = (size + 2 * pad for size, pad in zip(shape[2:], self.padding, strict=True))
        image = pixels.reshape(-1, high, wide, self.channels)
        windows = image.unfold(1, self.kernel[0], self.stride[0]).unfold(2, self.kernel[1], self.stride[1])
        return windows.movedim(3, 5).reshape(-1, self.inputs * self.groups)

    def outputs(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Images with their channels last."""
        sides = zip(shape[2:], self.padding, self.kernel, self.stride, strict=True)
        return (shape[0], *((size + 2 * pad - taps) // step + 1 for size, pad, taps, step in sides), self.rows)

    def shaped(self, flat: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Images, of the numbers of their pixels."""
        return flat.reshape(self.outputs(shape)).movedim(3, 1)

    def flat(self, result: Tensor) -> Tensor:
        """`m x rows`, of images."""
        return result.movedim(1, 3).reshape(-1, self.rows)


class GroupedConv2d(PackedConv2d):
    """A convolution in groups of channels, a depthwise one among them: torch computes it, with decoded weights."""

    def chosen(self, vectors: int) -> str:
        """torch, whatever their number."""
        return LIBRARY

    def summed(self, x: Tensor, weights: Tensor) -> Tensor:
        """`m x rows`: each group of channels of a window with its own rows."""
        taps = self.kernel[0] * self.kernel[1]
        windows, own = (
            x.reshape(len(x), taps, self.groups, -1),
            weights.reshape(self.groups, -1, taps, weights.shape[1] // taps),
        )
        return torch.einsum("mtgc,grtc->mgr", windows, own).reshape(len(x), self.rows)

    def forward(self, x: Tensor) -> Tensor:
        """Images to images."""
        key = "weight", self.words.device
        if key not in self.held:
            self.held[key] = self.weight.reshape(self.rows, *self.kernel, -1).permute(0, 3, 1, 2).contiguous()
        own = self.quantised(x), self.held[key], self.bias
        # cuDNN may round what it multiplies to the 10 bits of TF32, unless it is told not to
        with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
            return functional.conv2d(*own, self.stride, self.padding, groups=self.groups)


def scale_shape(weights: Quantizer, rows: int, inputs: int) -> tuple[int, ...]:
    """Of the scales of `rows x inputs` weights."""
    if weights.group is not None:
        return rows, inputs // weights.group
    return (rows,) if weights.granularity == "channel" else ()


def ready(model: nn.Module, folder: Path, device: str | None, kernels: Mapping[str, str]) -> nn.Module:
    """`model` on `device`, by default a GPU if there is one, its layers with the kernels that the build has chosen.

    `kernels`, by layer, are taken in their place. Without a GPU or Triton there is the reference, which is said.
    """
    where = _device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    able = where.type == "cuda" and find_spec("triton") is not None
    packed = {path: module for path, module in model.named_modules() if isinstance(module, PackedLayer)}
    layers = {path: layer for path, layer in packed.items() if not isinstance(layer, GroupedConv2d)}
    for name, kernel in kernels.items():
        if name != EVERY and name not in layers:
            raise ValueError(f"no layer {name!r} has a kernel to choose; known: {', '.join(layers)}")
        _check_kernel(kernel, able or (find_spec("triton") is not None and os.environ.get(INTERPRET) == "1"))
    chosen = json.loads((folder / CHOICES).read_text(encoding="utf-8"))
    for path, layer in layers.items():
        own = kernels.get(path, kernels.get(EVERY))
        if own is not None:
            layer.choices = {sys.maxsize: own}
        elif able:
            layer.choices = {int(most): name for most, name in chosen.get(path, {}).items()}
    if not able and not kernels:
        missing = "no Triton is installed" if where.type == "cuda" else "no GPU is used"
        print(f"{missing}: on {where.type} the layers run by their plain reference", file=sys.stderr)
    model.to(where)
    for path in layers if kernels else ():
        _prepare(path, layers[path])
    return model


def _device(name: str) -> torch.device:
    """The device called `name`; ValueError where a model does not run on it, or there is none."""
    try:
        where = torch.device(name)
    except RuntimeError:
        where = torch.device("meta")
    if where.type not in ("cpu", "cuda"):
        raise ValueError(f"a model runs on cpu or cuda, not on {name!r}")
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"there is no GPU here that torch can use, so that the device is cpu, not {name!r}")
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"GPUs here are numbered from 0 to {torch.cuda.device_count() - 1}, unlike {name!r}")
    return where


def _prepare(path: str, layer: PackedLayer) -> None:
    """Packs the weights for a kernel that is forced; ValueError where it does not take the layer."""
    name = layer.chosen(1)
    if name == REFERENCE:
        return
    from hwdse.gpu_products import prepare  # needs Triton

    try:
        prepare(layer, name)
    except ValueError as error:
        raise ValueError(f"layer {path!r}: {error}") from None


def _check_kernel(name: str, able: bool) -> None:
    """ValueError unless `name` is that of a kernel with its tile, and kernels run, or the reference."""
    if name == REFERENCE:
        return
    kernel = name.partition(" ")[0]
    if kernel not in (*KERNELS, *UNPACKS) or (Choice.parse(name).tile is None) != (kernel in UNPACKS):
        known = f"{', '.join(KERNELS)} with a tile, by {' or '.join(UNPACKS)} without one, or by {REFERENCE}"
        raise ValueError(f"a layer is computed by {known}, not by {name!r}")
    if not able:
        raise ValueError(f"kernels run on a GPU, with Triton, or in its interpreter, unlike {name!r} here")
