"""What a folded network may take: shares of a device, and the widths of streams."""

from dataclasses import dataclass, fields
from math import inf, isnan

import numpy as np

from hwdse.accelerator import Quantised
from hwdse.folding import multiplies, stream_width
from hwdse.target import FpgaTarget
from hwdse.variants import Counts, below, have
from hwdse.workload import Kind

RESOURCES = ("lut", "ff", "dsp", "bram", "uram")  # in the order of `hwdse.variants.Counts`


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares of the device, 1 for all of it, infinite for no limit; bits of a stream in a cycle, None for no limit."""

    lut: float = 1.0
    ff: float = 1.0
    dsp: float = 1.0
    bram: float = 1.0
    uram: float = 1.0
    weight_bits: int | None = None  # of the PE x SIMD weights, or elements of a second operand, that a layer multiplies
    stream_bits: int | None = None  # of what enters or leaves a layer

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in RESOURCES and (isnan(value) or value < 0):
                raise ValueError(f"a limit is a share of the device, at least 0, not {field.name} = {value:g}")
            if field.name not in RESOURCES and value is not None and value < 1:
                raise ValueError(f"a stream has at least 1 bit, not {value}")

    def most(self, target: FpgaTarget) -> Counts:
        """The largest counts whose shares of the device are within the limits."""
        shares = np.array([getattr(self, name) for name in RESOURCES])
        limited = np.isfinite(shares)
        found = np.full(len(shares), inf)
        found[limited] = below(np.where(limited, shares, 0), have(target), strict=False)[limited]
        return found

    def streams(self, q: Quantised) -> bool:
        """Whether the streams of a layer are as narrow as they may be."""
        return self._excess(q) is None

    def check(self, q: Quantised) -> None:
        """ValueError where a stream of the layer is too wide."""
        if (found := self._excess(q)) is not None:
            what, bits, limit = found
            raise ValueError(f"layer {q.layer.name!r} has {what} of at least {bits} bits, more than {limit}")

    def _excess(self, q: Quantised) -> tuple[str, int, int] | None:
        """The first stream that is too wide, its bits and those that it may have."""
        widths = (
            ("a stream of weights", weight_bits(q), self.weight_bits),
            ("a stream", stream_bits(q), self.stream_bits),
        )
        return next(((what, bits, most) for what, bits, most in widths if most is not None and bits > most), None)


UNLIMITED = Limits(inf, inf, inf, inf, inf)


def weight_bits(q: Quantised) -> int:
    """Bits of weights, or of a second operand, that a layer reads in a cycle."""
    return q.folding.pe * q.folding.simd * q.operands[1].format.bits if multiplies(q.layer) else 0


def stream_bits(q: Quantised) -> int:
    """Bits of the widest stream of activations that enters or leaves a layer in a cycle."""
    entering = [stream_width(q.layer, q.folding) * q.operands[0].format.bits]
    if q.layer.kind is Kind.MATMUL:
        entering.append(q.folding.simd * q.operands[1].format.bits)
    inside = q.sum_bits or q.operands[0].format.bits
    leaving = [q.folding.pe * bits for bits in [output.format.bits for output in q.outputs] or [inside]]
    return max(*entering, *leaving)
