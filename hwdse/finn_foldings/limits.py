"""What a network of FINN's nodes may take: shares of a device, and the bits of weights of one PE."""

from dataclasses import dataclass
from math import inf, isnan

import numpy as np

from hwdse.finn_nodes.matrix_vector import WEIGHT_BITS_PER_PE
from hwdse.target import FpgaTarget
from hwdse.variants import ABSENT, Counts, below

RESOURCES = ("lut", "bram", "uram", "dsp")  # in the order of counts: block RAMs are of 18 Kb


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares of the device, 1 for all of it, infinite for no limit."""

    lut: float = 1.0
    bram: float = 1.0
    uram: float = 1.0
    dsp: float = 1.0
    weight_bits: int | None = WEIGHT_BITS_PER_PE  # of SIMD weights of an MVAU, FINN's `mvau_wwidth_max`; None: no limit

    def __post_init__(self) -> None:
        for name in RESOURCES:
            if isnan(value := getattr(self, name)) or value < 0:
                raise ValueError(f"a limit is a share of the device, at least 0, not {name} = {value:g}")
        if self.weight_bits is not None and self.weight_bits < 1:
            raise ValueError(f"the weights of a PE have at least 1 bit, not {self.weight_bits}")

    def most(self, target: FpgaTarget) -> Counts:
        """The largest counts within the limits."""
        shares, there = np.array([getattr(self, name) for name in RESOURCES]), counts(target)
        limited = np.isfinite(shares)
        found = np.full(len(shares), inf)
        found[limited] = below(np.where(limited, shares, 0), np.maximum(there, ABSENT), strict=False)[limited]
        return found


UNLIMITED = Limits(inf, inf, inf, inf, None)


def counts(target: FpgaTarget) -> Counts:
    """What a device has of each resource."""
    return np.array([target.luts, target.brams * target.bram_kib // 18, target.urams, target.dsps], np.float64)
