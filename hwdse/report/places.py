"""Where a design runs, in words, and what it costs there: other quantities on a GPU than on an FPGA."""

from hwdse.cost import Cost, FpgaCost
from hwdse.metrics import in_bytes
from hwdse.report.describe import unit_of
from hwdse.report.gpu_words import run_in_words
from hwdse.report.quantities import number, seconds
from hwdse.result import Result
from hwdse.target import Device, FpgaTarget


def place(result: Result) -> str:
    """The device, and how the network runs there."""
    if result.clock_mhz is not None:
        return f"{result.target.name} at {result.clock_mhz:g} MHz"
    return (
        result.target.name
        if result.run is None
        else f"{result.target.name}, {run_in_words(result.run, unit_of(result))}"
    )


def cost_columns(target: Device, unit: str = "frame") -> tuple[str, ...]:
    """The costs in tables of a few designs."""
    if isinstance(target, FpgaTarget):
        return "LUT", "weight bits", f"{unit}/s"
    return "time of a batch", "packed weights"


def costs(cost: Cost, weight_bits: int) -> tuple[str, ...]:
    """Those of one design, with the bits of its weights."""
    if isinstance(cost, FpgaCost):
        return number(cost.area.luts), number(weight_bits), number(cost.frames_per_second)
    return seconds(cost.seconds), in_bytes(cost.weight_bytes)
