"""What a program moves, against hand calculations."""

from dataclasses import replace

import pytest

from hwdse.compiled import Compiled
from hwdse.formats import parse
from hwdse.gemm import Gemm, Tile
from hwdse.gpu_time import Constants
from hwdse.gpu_work import ACCURATE, dense, tiled
from hwdse.machine_code import Counts
from hwdse.target import gpu

K = 1024
ROW = Compiled(
    kernel="a8",
    weights="int8",
    activations="int8",
    grouped=False,
    tile=Tile(128, 256, 32, 3, 1, 8),
    architecture=90,
    registers=232,
    shared_bytes=147456,
    inputs=128,
    loop=Counts(integer=37, float=0, product=8, load=12, store=0, shared=7, spill=0, other=45),
    outside=1000,
    triton="3.9.0",
)


@pytest.mark.parametrize(
    ("device", "row", "weights", "weight_bytes"),
    [
        # 16 KiB of a turn are written, and read by 8 products of each of two groups of 4 warps, 2 KiB each
        ("h200", ROW, "int8", 16384 + 8 * 2 * 2048),
        ("h200", replace(ROW, loop=replace(ROW.loop, product=4)), "int8", 16384 + 4 * 2 * 2048),
        ("h200", replace(ROW, weights="int4", inputs=256), "int4", 2 * 16384),  # written, and read to be decoded
        ("a100", replace(ROW, architecture=80), "int8", 2 * 16384),
    ],
)
def test_bytes_of_shared_memory(device: str, row: Compiled, weights: str, weight_bytes: int) -> None:
    own = Gemm(256, 128, K, parse(weights), parse("int8"))
    readers = 2 if row.architecture == 90 else 8  # groups of 64 rows, or warps
    activations = 256 * row.inputs * (1 + readers)
    found = tiled(own, row.tile, row, 128 * K * own.weights.bits // 8, gpu(device))
    assert found.shared_bytes == K // row.inputs * (weight_bytes + activations)


@pytest.mark.parametrize(("device", "longer"), [("h200", ACCURATE), ("h100", ACCURATE), ("l40s", 1.0)])
def test_exact_sums_of_8_bit_floats_take_longer_where_someone_has_found_so(device: str, longer: float) -> None:
    """Beside int8, of which each of these GPUs multiplies as many a second."""
    whole, floats = (dense(8192, 8192, 8192, one, gpu(device), Constants()).seconds for one in ("int8", "fp8"))
    assert floats / whole == pytest.approx(longer, rel=0.01)  # but for the launch
