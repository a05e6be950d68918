"""One product of a network on a GPU: `y = x W^T`, W packed; the tile that computes it, the choice of kernel and tile.

These are values of the core, so that the price of a product needs neither torch nor a GPU.
"""

import re
from dataclasses import dataclass
from typing import Self

from hwdse.formats import HALVES, Format, check_weights

GROUPS = (32, 64, 128)  # inputs that may share a scale; without a group, an output channel does
FLOATS = HALVES  # what unquantised activations may be
# What torch 2.11 takes on a GPU: `torch._int_mm` so many activation vectors at least, and it and `torch._scaled_mm`
# multiples of so many outputs.
FEWEST_INT8 = 17
WHOLE = {"int8": 8, "fp8": 16}
ARITHMETICS = ("int8", "fp8", "float16", "bfloat16")  # of tensor cores
POWERS = ("rows", "columns", "words", "warps")  # of a tile: powers of two


@dataclass(frozen=True, slots=True)
class Gemm:
    """`m x k` activations times `n x k` weights; the sums are `m x n`."""

    m: int  # tokens, pixels or frames
    n: int  # outputs
    k: int  # terms of one output
    weights: Format
    activations: Format  # one of `FLOATS` where they are not quantised
    group: int | None = None  # inputs that share a scale; None: all of an output channel
    zero_points: bool = False  # whether each group, or channel, of integer weights has one
    wide_scales: bool = False  # whether scales of groups are float32, as those of designs, or float16, as others have
    bias: bool = False  # whether one is added, for which a library's sums need a pass
    full: bool = False  # whether signed integer weights have the lone -2**(b-1), unlike floats of their width

    def __post_init__(self) -> None:
        for name in ("m", "n", "k"):
            if getattr(self, name) < 1:
                raise ValueError(f"a product has at least 1 of {name}, not {getattr(self, name)}")
        check_weights(self.weights)
        if self.group is not None and self.group not in GROUPS:
            near = min(GROUPS, key=lambda size: (abs(size - (self.group or 0)), size))
            known = ", ".join(map(str, GROUPS))
            raise ValueError(f"a group has {known} inputs, not {self.group}; the nearest is {near}")
        if self.zero_points and self.weights.exponent > 0:
            raise ValueError(f"integers have zero points, not {self.weights.name}")

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Tile:
    """How a kernel cuts a product up; the text form is `128x16:w16:s3:k4:t4`."""

    rows: int  # outputs of a program: weights are the left operand
    columns: int  # activation vectors of a program
    words: int  # 32-bit words of a plane in a block: it sets how many inputs a step takes
    stages: int  # of the software pipeline
    split: int = 1  # programs that share the inputs of one output
    warps: int = 4

    def __post_init__(self) -> None:
        for name in (*POWERS, "stages", "split"):
            if getattr(self, name) < 1:
                raise ValueError(f"a tile has at least 1 of {name}, not {getattr(self, name)}")
        for name in POWERS:
            value = getattr(self, name)
            if value & (value - 1):
                below = 1 << value.bit_length() - 1
                near = below if value - below <= 2 * below - value else 2 * below
                raise ValueError(f"a tile has a power of two of {name}, not {value}; the nearest is {near}")

    @property
    def name(self) -> str:
        """The text form."""
        return f"{self.rows}x{self.columns}:w{self.words}:s{self.stages}:k{self.split}:t{self.warps}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The tile called `name`: `Tile.parse(tile.name) == tile`."""
        match = re.fullmatch(r"(\d+)x(\d+):w(\d+):s(\d+):k(\d+):t(\d+)", name)
        if match is None:
            raise ValueError(f"a tile reads like '128x16:w16:s3:k4:t4', not {name!r}")
        return cls(*map(int, match.groups()))


@dataclass(frozen=True, slots=True)
class Choice:
    """The kernel, a file in `kernels/`, what multiplies, and the kernel's tile; None where it has none to choose."""

    kernel: str
    arithmetic: str  # of the tensor cores: int8, fp8, float16 or bfloat16
    tile: Tile | None = None

    @property
    def name(self) -> str:
        """The text form: `a16 float16 128x16:w16:s3:k4:t4`."""
        return " ".join((self.kernel, self.arithmetic, *(() if self.tile is None else (self.tile.name,))))

    @classmethod
    def parse(cls, name: str) -> Self:
        """The choice called `name`: `Choice.parse(choice.name) == choice`."""
        kernel, *rest = name.split(" ")
        if not kernel.isidentifier() or len(rest) not in (1, 2):
            raise ValueError(f"a choice reads like 'a16 float16 128x16:w16:s3:k4:t4', not {name!r}")
        arithmetic, *tile = rest
        if arithmetic not in ARITHMETICS:
            raise ValueError(f"numbers are multiplied as {', '.join(ARITHMETICS)}, not as {arithmetic!r} of {name!r}")
        return cls(kernel, arithmetic, Tile.parse(tile[0]) if tile else None)
