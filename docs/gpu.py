"""Writes docs/gpu.md: what the GPU model says of the layers of two language models, and what others have published.

    python docs/gpu.py [--out FOLDER]

Every number is predicted, from the data sheets in cost_models/gpus and the compiled kernels in
cost_models/data/kernels.csv, but for those of others, whose source stands beside them.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from hwdse import dispatch, gpu_points
from hwdse.compiled import table
from hwdse.formats import parse
from hwdse.gemm import Gemm
from hwdse.gpu_time import Constants
from hwdse.gpu_work import ACCURATE, dense
from hwdse.target import GpuTarget, gpu, gpus

HERE = Path(__file__).parent
GROUP = 128  # inputs that share a scale
# Outputs and inputs of the layers of a block, query, key and value in one, and gate and up. Source: the configurations
# of Llama-3-8B and Llama-3-70B (hidden 4096 and 8192, intermediate 14336 and 28672, 8 key-value heads of 128).
NETWORKS = {
    "Llama-3-8B": {"qkv": (6144, 4096), "o": (4096, 4096), "gate_up": (28672, 4096), "down": (4096, 14336)},
    "Llama-3-70B": {"qkv": (10240, 8192), "o": (8192, 8192), "gate_up": (57344, 8192), "down": (8192, 28672)},
}
FORMATS = ("int8", "e2m3", "int6", "e2m2", "int5", "e2m1", "int4", "int3")
PAIRS = ("int8", "e4m3fn", "e2m3")  # of weights and activations
VECTORS = (1, 16, 64, 256, 512, 2048, 8192)


@dataclass(frozen=True, slots=True)
class Anchor:
    """What someone has measured, and what the model says of it."""

    what: str
    device: str
    published: str
    predicted: str
    source: str


def seconds(m: int, n: int, k: int, weights: str, activations: str, target: GpuTarget, group: int | None) -> float:
    """Predicted, of the best kernel; `bfloat16` weights are the library's."""
    if weights == "bfloat16":
        return dense(m, n, k, "bfloat16", target, gpu_points.constants(target.name)).seconds
    return dispatch.best(Gemm(m, n, k, parse(weights), parse(activations), group), target).seconds


def block(network: str, m: int, weights: str, activations: str, target: GpuTarget) -> float:
    """Seconds of the four products of a block."""
    group = GROUP if activations == "float16" else None
    shapes = NETWORKS[network].values()
    return sum(seconds(m, n, k, weights, activations, target, group) for n, k in shapes)


def ratio(m: int, n: int, k: int, weights: str, target: GpuTarget) -> float:
    """How many times as fast as the library with 16-bit weights."""
    wide = seconds(m, n, k, "bfloat16", "bfloat16", target, None)
    return wide / seconds(m, n, k, weights, "float16", target, GROUP)


def chosen(m: int, n: int, k: int, weights: str, target: GpuTarget) -> dispatch.Price:
    """What the dispatcher takes for 16-bit activations."""
    return dispatch.best(Gemm(m, n, k, parse(weights), parse("float16"), GROUP), target)


def anchors() -> list[Anchor]:
    """Measurements by others, which the model has not seen."""
    h100, rtx4090 = gpu("h100"), gpu("rtx4090")
    return [
        *(
            Anchor(
                f"int4, group 128, {n} x {n}, 1 vector, over 16 bits",
                "h100",
                f"{marlin:.2f}",
                f"{ratio(1, n, n, 'int4', h100):.2f}",
                "Marlin in vLLM, plots of gemlite, October 2024",
            )
            for n, marlin in ((4096, 1.65), (8192, 2.2), (16384, 2.6), (32768, 2.94))
        ),
        *(
            Anchor(
                f"int{bits}, 1 vector, over float16 (shape not said; here 8192 x 8192)",
                "h100",
                f"{humming:.2f}",
                f"{ratio(1, 8192, 8192, f'int{bits}', h100):.2f}",
                "Humming, pull request 2",
            )
            for bits, humming in ((8, 1.60), (6, 1.86), (5, 1.96), (4, 2.24), (3, 2.26))
        ),
        *(
            Anchor(
                f"{name}, 16384 x 16384, {m} vector{'s' * (m > 1)}, over 16 bits",
                "rtx4090",
                f"{gemlite:.2f}",
                f"{ratio(m, 16384, 16384, name, rtx4090):.2f}",
                "gemlite, plots",
            )
            for name, m, gemlite in (("int4", 1, 3.35), ("int4", 16, 3.50), ("int8", 1, 1.92), ("int8", 16, 2.22))
        ),
        *(
            Anchor(
                f"down of Llama-3.1-8B, {bits} bits, 1 vector, us",
                "rtx4090",
                f"{latency:.1f}",
                f"{1e6 * seconds(1, 4096, 14336, f'int{bits}', 'float16', rtx4090, None):.1f}",
                "Q-Palette, table of latencies, non-uniform scalar quantizers",
            )
            for bits, latency in ((3, 26.9), (4, 34.3), (8, 64.1))
        ),
    ]


def page() -> str:
    """The whole page."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["us"] = _microseconds
    return environment.from_string((HERE / "gpu.md.j2").read_text()).render(
        gpus=[gpu(name) for name in gpus()],
        calibration=gpu_points.calibration,
        constants={field.name: getattr(Constants(), field.name) for field in fields(Constants)},
        compiled=len(table()),
        triton=sorted({row.triton for row in table()}),
        percent=round(100 * (dispatch.NEAR - 1)),
        accurate=ACCURATE,
        networks=NETWORKS,
        formats=FORMATS,
        pairs=PAIRS,
        vectors=VECTORS,
        group=GROUP,
        block=block,
        chosen=chosen,
        anchors=anchors(),
        h200=gpu("h200"),
    )


def _microseconds(seconds_: float) -> str:
    """Three digits."""
    us = 1e6 * seconds_
    return f"{us:.1f}" if us < 100 else f"{us:,.0f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the page")
    options = parser.parse_args(arguments)
    (options.out / "gpu.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
