"""The modules of sliding windows, which FINN's generator makes in its own environment."""

from collections.abc import Sequence

from hwdse.finn.environment import Environment
from hwdse.finn.messages import Generate
from hwdse.finn.process import Worker
from hwdse.finn_rtl.plans import Unit
from hwdse.finn_rtl.tops import Files

SECONDS = 60.0  # for one module
CLOCK_NS = 5.0  # nothing in a window depends on it
PART = "xczu7ev-ffvc1156-2-e"  # nor on this


def made(units: Sequence[Unit], environment: Environment) -> dict[Unit, Files]:
    """The files of each of `units` that is a window; FinnError where FINN makes none."""
    windows = [unit for unit in units if unit.kind == "finn_window"]
    if not windows:
        return {}
    with Worker(environment) as worker:
        return {unit: _files(worker, unit) for unit in windows}


def _files(worker: Worker, unit: Unit) -> Files:
    files = worker.ask(request(unit), SECONDS).files
    return tuple((name, text.encode()) for name, text in files)


def request(unit: Unit) -> Generate:
    """What FINN is asked for a window of `unit`."""
    p = dict(unit.parameters)
    out, kind = (p["SIZE"] - p["K"]) // p["STRIDE"] + 1, f"UINT{p['BITS']}"
    numbers = {"IFMChannels": p["C"], "SIMD": p["SIMD"], "depthwise": p["DEPTHWISE"], "parallel_window": p["PARALLEL"]}
    pairs = {"ConvKernelDim": p["K"], "IFMDim": p["SIZE"], "OFMDim": out, "Stride": p["STRIDE"], "Dilation": 1}
    texts = {"inputDataType": kind, "outputDataType": kind, "ram_style": "block" if p["BLOCK"] else "distributed"}
    return Generate(
        name="window",
        operation="ConvolutionInputGenerator_rtl",
        numbers=tuple(numbers.items()),
        lists=tuple((key, (value, value)) for key, value in pairs.items()),
        texts=tuple(texts.items()),
        part=PART,
        clock_ns=CLOCK_NS,
    )
