"""Weights packed for 8-bit tensor cores: words, scales, zero points, and what tells how they decode."""

from dataclasses import dataclass, replace
from math import ldexp
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwdse import packing
from hwdse.decode_steps import OPERANDS
from hwdse.formats import Format, encode
from hwdse.packing import Layout
from hwdse.paths import Path, paths
from hwdse.stored import Stored, store, stored

ROWS, WORDS = 128, 32


@dataclass(frozen=True, slots=True, eq=False)
class Packed8:
    """`n x k` weights for activations of one format: `scale * (value of the code - zero point)`.

    `words`: int32, of `layout.shape(n, k)`, as `ordered` has them. `scales`: float32, or float16 where they are those
    of groups; `zeros`: int8, in numbers of the operand; `offsets`: int32, 128 times the sum of the weights, for
    activations that are stored less 128. Each of these is `groups x rows`, where a channel is one group and rows are
    `n` rounded up to whole tiles.
    """

    words: Tensor
    scales: Tensor
    fmt: Format
    activations: Format
    layout: Layout
    path: Path
    own: Stored
    n: int
    k: int
    group: int | None = None
    zeros: Tensor | None = None
    offsets: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Of all tensors: what a product reads."""
        parts = (self.words, self.scales, self.zeros, self.offsets)
        return sum(part.nbytes for part in parts if part is not None)

    @property
    def inputs(self) -> int:
        """`k` rounded up to whole blocks: what the activations of a row are padded to."""
        return int(self.words.shape[1]) * self.layout.block

    @property
    def operands(self) -> Tensor:
        """Of weights that are `ready` the `rows x inputs` bytes (int8): the words themselves, not a copy."""
        by_output = self.words.permute(0, 3, 1, 2, 4)
        if not (self.own.ready and by_output.is_contiguous()):
            raise ValueError("operands are words of 8-bit numbers that lie output by output, as `ordered` has them")
        return by_output.view(-1, self.inputs // 4).view(torch.int8)

    @property
    def factor(self) -> float:
        """By which sums of the tensor core are still to be multiplied, besides the scales."""
        return ldexp(1.0, self.own.exponent + self.path.activations.exponent)

    def check_sums(self) -> None:
        """ValueError where an int32 may not hold a sum of products."""
        most = self.path.most_inputs(self.zeros is not None)
        if most is not None and self.group is None and self.k > most:
            raise ValueError(
                f"an int32 sums up to {most} products of these formats, not {self.k}; take groups of inputs"
            )

    def to(self, device: torch.device | str) -> "Packed8":
        """The same on `device`."""
        zeros, offsets = (None if part is None else part.to(device) for part in (self.zeros, self.offsets))
        words, scales = self.words.to(device), self.scales.to(device)
        return replace(self, words=words, scales=scales, zeros=zeros, offsets=offsets)

    def stored_numbers(self) -> Tensor:
        """The `n x k` numbers of the operand (float64, on the CPU), by the values of the format."""
        kept = packing.unpack(self.layout, self.words.cpu().numpy(), self.n, self.k)
        return torch.from_numpy(_numbers(self.fmt, self.own)[kept])

    def dense(self) -> Tensor:
        """The `n x k` weights (float64, on the CPU)."""
        numbers = self.stored_numbers()
        if self.zeros is not None:
            numbers -= self._of_inputs(self.zeros)
        return numbers * self._of_inputs(self.scales) * ldexp(1.0, self.own.exponent)

    def _of_inputs(self, part: Tensor) -> Tensor:
        own = part.T[: self.n].double().cpu()
        return own if self.group is None else own.repeat_interleave(self.group, 1)[:, : self.k]


def pack(
    codes: Tensor,
    scales: Tensor,
    fmt: Format,
    activations: Format,
    *,
    arithmetic: str | None = None,
    group: int | None = None,
    zeros: Tensor | None = None,
    rows: int = ROWS,
    words: int = WORDS,
) -> Packed8:
    """`codes` (uint8, `n x k`, of `fmt`) packed for products with `activations`.

    `scales`: float32 (`n`), or with a `group` of inputs float32 or float16 (`n x groups`, of which the last may have
    fewer inputs). `zeros`: whole numbers of the same shape, in units of an integer format's steps. `arithmetic`: that
    of the products, int8 or fp8; by default int8 where both multiply exactly.
    """
    n, k = codes.shape
    path = exact(fmt, activations, arithmetic)
    own = stored(fmt, path.weights.operand)
    assert own is not None  # of every embedding of 8 bits
    if zeros is not None and path.arithmetic != "int8":
        raise ValueError(f"zero points take sums of int8, which are exact, not those of {activations.name} on fp8")
    layout = Layout(fmt.bits, 4, rows, words, own.places)
    layout.require(group)
    _whole_groups(layout, group)
    kept = store(fmt, own, codes.cpu().numpy())
    tiled = ordered(torch.from_numpy(packing.pack(layout, kept, own.codes[int(encode(fmt, 0.0))])), own)
    groups = 1 if group is None else -(-tiled.shape[1] * layout.block // group)
    shape = (groups, tiled.shape[0] * rows)
    corrections = _zeros(zeros, scales, own), _offsets(kept, fmt, own, path, group)
    left, sums = (None if part is None else _tiled(part, shape, n) for part in corrections)
    return Packed8(tiled, _tiled(scales, shape, n), fmt, activations, layout, path, own, n, k, group, left, sums)


def ordered(words: Tensor, own: Stored) -> Tensor:
    """`words`, of `layout.shape`, as they lie in memory: tile by tile, or where they are `ready` output by output.

    So these are the dense matrix that a library multiplies, too. The shape is the same, but not the strides.
    """
    if not own.ready:
        return words.contiguous()
    return words.permute(0, 3, 1, 2, 4).contiguous().permute(0, 2, 3, 1, 4)


def exact(fmt: Format, activations: Format, arithmetic: str | None = None) -> Path:
    """The path of the pair on `arithmetic`, int8 or fp8, or on the first of them; ValueError where it has none."""
    asked = tuple(OPERANDS) if arithmetic is None else (arithmetic,)
    found = paths(fmt, activations)
    if own := next((one for one in found if one.arithmetic in asked), None):
        return own
    raise ValueError(
        f"{fmt.name} weights and {activations.name} activations have no exact product of {arithmetic or '8 bits'};"
        f" they have one of {found[0].arithmetic}"
    )


def _whole_groups(layout: Layout, group: int | None) -> None:
    if group is not None and layout.block % group:
        raise ValueError(
            f"a block of {layout.block} inputs has whole groups, not one of {group};"
            f" the nearest layout has {group // layout.lanes} words"
        )


def _zeros(zeros: Tensor | None, scales: Tensor, own: Stored) -> Tensor | None:
    """In numbers of the operand, of which weights that are stored less 128 have one in any case."""
    if zeros is None:
        return torch.full_like(scales, -own.offset, dtype=torch.int8) if own.offset else None
    return (zeros * int(ldexp(1.0, -own.exponent)) - own.offset).to(torch.int8)


def _offsets(kept: np.ndarray[Any, Any], fmt: Format, own: Stored, path: Path, group: int | None) -> Tensor | None:
    """128 times the sum of each group of weights, `n` or `n x groups`, where activations are stored less 128."""
    if not path.activations.offset:
        return None
    numbers = torch.from_numpy(_numbers(fmt, own)[kept])
    if group is not None:
        padded = torch.nn.functional.pad(numbers, (0, -numbers.shape[1] % group))
        numbers = padded.unflatten(1, (-1, group))
    return (numbers.sum(-1) * path.activations.offset).to(torch.int32)


def _numbers(fmt: Format, own: Stored) -> np.ndarray[Any, np.dtype[np.float64]]:
    """For everything that may be stored the number of the operand; NaN for what is not."""
    numbers = np.full(1 << fmt.bits, np.nan)
    for code, kept in enumerate(own.codes):
        if kept >= 0:
            numbers[kept] = ldexp(fmt.decode(code), -own.exponent) - own.offset + 0.0
    return numbers


def _tiled(part: Tensor, shape: tuple[int, int], n: int) -> Tensor:
    """`groups x rows` of `n` or `n x groups` numbers, 0 where a tile has more rows or inputs."""
    padded = part.new_zeros(shape)
    own = part.reshape(n, -1).T
    padded[: len(own), :n] = own
    return padded
