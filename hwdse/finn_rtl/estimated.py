"""What FINN itself estimates for the units that were synthesised, so that its gaps have numbers."""

from collections.abc import Callable, Mapping, Sequence

from hwdse.finn_nodes import (
    ConvolutionInputGenerator,
    DataWidthConverter,
    Fifo,
    FifoRam,
    FMPadding,
    MemMode,
    Multiplier,
    MvauRtl,
    Node,
    RamStyle,
    ThresholdingRtl,
    VvauRtl,
)
from hwdse.finn_parts.matrix_vector import VERSIONS
from hwdse.finn_parts.part import Parameters
from hwdse.measurements import Measurement

_DSPS = {number: dsp for dsp, number in VERSIONS.items()}
FIFO_STYLES = (FifoRam.SRL, FifoRam.DISTRIBUTED, FifoRam.BLOCK)


def node(kind: str, parameters: Parameters) -> Node | None:
    """The node that is built of a unit alone; None where FINN has no node of its own for it, as for memories."""
    return _MAKERS[kind](parameters) if kind in _MAKERS else None


def _widths(p: Parameters) -> dict[str, object]:
    return {
        "pe": p["PE"],
        "simd": p["SIMD"],
        "weight_bits": p["W"],
        "input_bits": p["A"],
        "signed_input": bool(p["SIGNED"]),
        "accumulator_bits": p["ACC"],
        "output_bits": p["ACC"],
        "activation": False,
        "mem_mode": MemMode.EXTERNAL,
        "ram_style": RamStyle.AUTO,
        "multiplier": Multiplier.DSP,
    }


def _mvu(p: Parameters) -> Node:
    own = {"mw": p["MW"], "mh": p["MH"], "vectors": 1, "ram_style_thresholds": RamStyle.AUTO, "tiles": 1}
    return MvauRtl(**_widths(p), **own, dsp=_DSPS[p["VERSION"]])  # type: ignore[arg-type]


def _vvu(p: Parameters) -> Node:
    return VvauRtl(**_widths(p), channels=p["MH"], taps=p["MW"], pixels=1)  # type: ignore[arg-type]


def _thresholds(p: Parameters) -> Node:
    return ThresholdingRtl(p["PE"], p["C"], 1, p["IN"], p["IN"], p["BITS"], False, 0, 0)


def _window(p: Parameters) -> Node:
    out, size, kernel = (p["SIZE"] - p["K"]) // p["STRIDE"] + 1, p["SIZE"], p["K"]
    pairs = ((size, size), (out, out), (kernel, kernel), (p["STRIDE"], p["STRIDE"]), (1, 1))
    style = RamStyle.BLOCK if p["BLOCK"] else RamStyle.DISTRIBUTED
    return ConvolutionInputGenerator(
        p["SIMD"], p["C"], *pairs, p["BITS"], bool(p["DEPTHWISE"]), bool(p["PARALLEL"]), style
    )


def _padding(p: Parameters) -> Node:
    return FMPadding(p["SIMD"], p["C"], (p["SIZE"], p["SIZE"]), (p["PAD"],) * 4, 1)


def _fifo(p: Parameters) -> Node:
    return Fifo(p["DEPTH"], p["WIDTH"], FIFO_STYLES[p["STYLE"]], False, "rtl")


def _dwc(p: Parameters) -> Node:
    return DataWidthConverter(p["IN"], p["OUT"], "rtl")


_MAKERS: Mapping[str, Callable[[Parameters], Node]] = {
    "finn_mvu": _mvu,
    "finn_vvu": _vvu,
    "finn_thresholds": _thresholds,
    "finn_window": _window,
    "finn_padding": _padding,
    "finn_fifo": _fifo,
    "finn_dwc": _dwc,
}


def lut_ratios(kind: str, rows: Sequence[Measurement]) -> tuple[float, ...]:
    """FINN's LUTs over the measured ones of each unit, ascending; none where FINN has no node of its own."""
    found = [(node(kind, dict(row.parameters)), row.area.luts) for row in rows]
    return tuple(sorted(one.luts / measured for one, measured in found if one is not None))


def wrong_dsps(kind: str, rows: Sequence[Measurement]) -> int:
    """Units of which FINN estimates other DSPs than were measured."""
    found = [(node(kind, dict(row.parameters)), row.area.dsps) for row in rows]
    return sum(one is not None and one.dsps != measured for one, measured in found)
