"""Weights as the kernels read them: packed words, scales, zero points, and what tells how they decode."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from hwdse import packing
from hwdse.decoding import Decoding, decoding, stored
from hwdse.formats import Format, IntFormat, encode
from hwdse.gemm import GROUPS
from hwdse.kernels._fields import text
from hwdse.packing import Layout

ROWS, WORDS = 64, 16
SCALES = (torch.float32, torch.float16)


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """`n x k` weights: `scale * (value of the code - zero point)`.

    `words`: int32, of `layout.shape(n, k)`. `scales`: float32, or float16 where they are those of groups, of
    `groups x rows`, where a channel is one group and the rows are `n` rounded up to whole tiles; `folded` says whether
    they are already multiplied by `decoding.factor`. `zeros`: of the same shape, what decoding subtracts, as float16.
    """

    words: Tensor
    scales: Tensor
    fmt: Format
    layout: Layout
    decoding: Decoding
    n: int
    k: int
    group: int | None = None
    zeros: Tensor | None = None
    folded: bool = True

    @property
    def nbytes(self) -> int:
        """Of all tensors: what a product reads."""
        return sum(part.nbytes for part in (self.words, self.scales, self.zeros) if part is not None)

    @property
    def floats(self) -> torch.dtype:
        """What the codes are decoded to."""
        return FLOATS_OF[self.decoding.floats]

    @property
    def factor(self) -> float:
        """By which sums are still to be multiplied."""
        return 1.0 if self.folded else self.decoding.factor

    def to(self, device: torch.device | str) -> "Packed":
        """The same on `device`."""
        zeros = None if self.zeros is None else self.zeros.to(device)
        return replace(self, words=self.words.to(device), scales=self.scales.to(device), zeros=zeros)

    @property
    def scale(self) -> Tensor:
        """Of each weight, `n x k` or `n x 1` (float64, on the CPU)."""
        return self._of_inputs(self.scales) / (self.decoding.factor if self.folded else 1.0)

    def grid(self) -> Tensor:
        """The `n x k` values less their zero points (float64, on the CPU), by the specification of the format."""
        kept = packing.unpack(self.layout, self.words.cpu().numpy(), self.n, self.k)
        values = torch.from_numpy(_values(self.fmt, self.decoding)[kept])
        if self.zeros is None:
            return values
        return values - (self._of_inputs(self.zeros) / self.decoding.one - self.decoding.below) * self.fmt.lsb

    def dense(self) -> Tensor:
        """The `n x k` weights (float64, on the CPU)."""
        return self.grid() * self.scale

    def _of_inputs(self, own: Tensor) -> Tensor:
        numbers = own.T[: self.n].double().cpu()
        return numbers if self.group is None else numbers.repeat_interleave(self.group, 1)[:, : self.k]


FLOATS_OF = {"float16": torch.float16, "bfloat16": torch.bfloat16}
TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


def _values(fmt: Format, own: Decoding) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """For everything that may be stored its value; NaN for what is not."""
    values = np.full(1 << fmt.bits, np.nan)
    kept = stored(fmt, own.floats)
    for code in reversed(range(1 << fmt.bits)):
        if kept[code] >= 0:
            values[kept[code]] = fmt.decode(code) + 0.0
    return values


def launch(packed: Packed, kernel: object) -> dict[str, Any]:
    """What every kernel that reads `packed` is launched with."""
    layout, own = packed.layout, packed.decoding
    return {
        "words": packed.words,
        "scales": packed.scales,
        "zeros": packed.zeros,
        "zeros_again": packed.zeros,
        "n": packed.n,
        "k": packed.k,
        "blocks": packed.words.shape[1],
        "scale_stride": packed.scales.shape[1],
        "rows": layout.rows,
        "width": layout.words,
        "planes": layout.planes,
        "fields": text(layout),
        "code": (own.how, own.power, own.below * own.one),
        "group": packed.group or 0,
        "floats": TYPES[packed.floats],
        "upcast": not isinstance(kernel, triton.JITFunction),
    }


def pack(
    codes: Tensor,
    scales: Tensor,
    fmt: Format,
    *,
    floats: str = "float16",
    group: int | None = None,
    zeros: Tensor | None = None,
    rows: int = ROWS,
    words: int = WORDS,
) -> Packed:
    """`codes` (uint8, `n x k`, of `fmt`) packed for products with `floats`.

    `scales`: float32 (`n`), or with a `group` of inputs float32 or float16 (`n x groups`, of which the last may have
    fewer inputs). `zeros`: whole numbers of the same shape, in units of an integer format's steps. ValueError where a
    shape, a code or a number is none that the kernels take.
    """
    n, k = codes.shape
    own = decoding(fmt, floats)
    layout = Layout(fmt.bits, 2, rows, words, own.target, own.room)
    _check(codes, scales, fmt, group, zeros)
    layout.require(group)
    kept = stored(fmt, floats)[codes.cpu().numpy()]
    if kept.min() < 0:
        bad = int(codes.flatten()[int((kept.flatten() < 0).argmax())])
        raise ValueError(f"weights are finite, unlike code {bad} of {fmt.name}")
    zero = int(stored(fmt, floats)[int(encode(fmt, 0.0))])
    tiled = torch.from_numpy(packing.pack(layout, kept.astype(np.uint8), zero))
    folded = scales * own.factor
    exact = bool((folded / own.factor == scales).all())
    kept_scales = _tiled(folded if exact else scales, layout, n, k, group)
    left = None if zeros is None else _tiled(((zeros + own.below) * own.one).to(torch.float16), layout, n, k, group)
    return Packed(tiled, kept_scales, fmt, layout, own, n, k, group, left, exact)


def _tiled(own: Tensor, layout: Layout, n: int, k: int, group: int | None) -> Tensor:
    """`groups x rows` of `n` or `n x groups` numbers, 0 where a tile has more rows or inputs."""
    tiles, blocks, *_ = layout.shape(n, k)
    groups = 1 if group is None else -(-blocks * layout.block // group)
    padded = own.new_zeros(groups, tiles * layout.rows)
    part = own.reshape(n, -1).T
    padded[: len(part), :n] = part
    return padded


def _check(codes: Tensor, scales: Tensor, fmt: Format, group: int | None, zeros: Tensor | None) -> None:
    """ValueError for what is not of the right shape or type."""
    n, k = codes.shape
    if codes.dtype != torch.uint8 or int(codes.max()) >= 1 << fmt.bits:
        raise ValueError(f"codes are uint8 numbers below {1 << fmt.bits}, not {codes.dtype} up to {int(codes.max())}")
    if group is not None and group not in GROUPS:
        near = min(GROUPS, key=lambda size: (abs(size - group), size))
        raise ValueError(f"a group has {', '.join(map(str, GROUPS))} inputs, not {group}; the nearest is {near}")
    shape = (n,) if group is None else (n, -(-k // group))
    if scales.shape != shape or scales.dtype not in SCALES[: 1 if group is None else 2]:
        known = "float32" if group is None else "float32 or float16"
        raise ValueError(f"scales are {known} of shape {shape}, not {scales.dtype} of {tuple(scales.shape)}")
    if not scales.isfinite().all():
        raise ValueError(f"scales are finite, unlike {float(scales[~scales.isfinite()][0])}")
    if zeros is None:
        return
    if not isinstance(fmt, IntFormat):
        raise ValueError(f"integers have zero points, not {fmt.name}")
    low, high = int(fmt.decode(1 << fmt.bits - 1)) if fmt.signed else 0, (1 << fmt.bits - fmt.signed) - 1
    if zeros.shape != shape or zeros.is_floating_point():
        raise ValueError(f"zero points are integers of shape {shape}, not {zeros.dtype} of {tuple(zeros.shape)}")
    if int(zeros.min()) < low or int(zeros.max()) > high:
        raise ValueError(f"zero points of {fmt.name} are {low} to {high}, not {int(zeros.min())} to {int(zeros.max())}")
