"""What all nodes have: a folding that divides what it folds, cycles, and an area that is nothing unless they say so."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

VERSAL = ("xcvc", "xcve", "xcvp", "xcvm", "xqvc", "xqvm", "xqrvc", "xcv80")  # how their parts' names begin
SERIES_7 = "xc7"
WIDEST_AP_INT = 8191  # bits of a word that HLS takes: finn/util/basic.py, MAX_ALLOWED_AP_INT_W


class RamStyle(StrEnum):
    """What a memory is made of, where FINN lets one choose."""

    AUTO = "auto"
    BLOCK = "block"
    DISTRIBUTED = "distributed"
    ULTRA = "ultra"


class MemMode(StrEnum):
    """Where the weights of a unit lie."""

    EMBEDDED = "internal_embedded"
    DECOUPLED = "internal_decoupled"
    EXTERNAL = "external"
    EXTERNAL_MEMORY = "external_mem"
    DYNAMIC = "dynamic"  # streamed in as a second operand


class Multiplier(StrEnum):
    """What multiplies: FINN's `resType`."""

    AUTO = "auto"
    LUT = "lut"
    DSP = "dsp"


class Dsp(StrEnum):
    """The DSP slice of a family."""

    DSP48E1 = "DSP48E1"  # 7 series
    DSP48E2 = "DSP48E2"  # UltraScale and UltraScale+
    DSP58 = "DSP58"  # Versal


def dsp_of(part: str) -> Dsp:
    """The slice of a part as AMD writes it, `xczu3eg-sbva484-1-e`; source: finn/util/basic.py, get_dsp_block."""
    if part.startswith(VERSAL):
        return Dsp.DSP58
    return Dsp.DSP48E1 if part.startswith(SERIES_7) else Dsp.DSP48E2


def too_wide(*widths: int) -> str | None:
    """That HLS does not take the widest of some words; None where it does. Source: hlsbackend.py, get_ap_int_max_w."""
    widest = max(widths)
    return f"HLS takes words of {WIDEST_AP_INT} bits at most, not {widest}" if widest > WIDEST_AP_INT else None


class Node(ABC):
    """A node as FINN estimates it; hwcustomop.py: what a kind of node says nothing of is 0.

    PE and SIMD are checked when a node is made: ValueError where they do not divide what they fold.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        pe, simd = self.folding
        for attribute, value, whole in (("PE", pe, self.pe_of), ("SIMD", simd, self.simd_of)):
            if value is not None and whole is not None and (value < 1 or whole % value):
                raise ValueError(f"{attribute} of {self.operation} divides {whole}, unlike {value}")

    @property
    @abstractmethod
    def operation(self) -> str:
        """FINN's name for it: `MVAU_rtl`."""

    @property
    @abstractmethod
    def cycles(self) -> int:
        """Per frame."""

    @property
    def luts(self) -> int:
        """LUTs."""
        return 0

    @property
    def bram18s(self) -> int:
        """Block RAMs of 18 Kb."""
        return 0

    @property
    def urams(self) -> int:
        """UltraRAMs."""
        return 0

    @property
    def dsps(self) -> int:
        """DSP slices."""
        return 0

    @property
    def pe_of(self) -> int | None:
        """What PE divides; None where the node has no PE."""
        return None

    @property
    def simd_of(self) -> int | None:
        """What SIMD divides; None where the node has no SIMD."""
        return None

    @property
    def folding(self) -> tuple[int | None, int | None]:
        """PE and SIMD; None where the node has no such attribute."""
        return getattr(self, "pe", None), getattr(self, "simd", None)

    @property
    def problem(self) -> str | None:
        """Why FINN cannot build what it estimates; None where nothing is known."""
        return None

    def with_folding(self, pe: int | None = None, simd: int | None = None) -> Self:
        """The same node with another PE and SIMD; None leaves what it has."""
        for attribute, value, whole in (("PE", pe, self.pe_of), ("SIMD", simd, self.simd_of)):
            if value is not None and whole is None:
                raise ValueError(f"{self.operation} has no {attribute}")
        changes = {name: value for name, value in (("pe", pe), ("simd", simd)) if value is not None}
        return replace(self, **changes)  # type: ignore[type-var]  # those that are made are dataclasses


@dataclass(frozen=True, slots=True)
class ByChannel(Node):
    """Works on `pe` channels of a vector at once."""

    pe: int
    channels: int
    vectors: int  # per frame

    @property
    def pe_of(self) -> int:
        """The channels."""
        return self.channels

    @property
    def cycles(self) -> int:
        """Folds of the channels, for each vector."""
        return self.vectors * (self.channels // self.pe)
