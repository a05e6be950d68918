"""What a kernel, or a library, does for a product on a GPU: its programs, and what each of them moves and computes.

A program of our kernels has `rows` outputs and `columns` activation vectors, and takes some `inputs` in a turn of its
loop; `hwdse.gpu_time` says how long that takes.
"""

from functools import lru_cache
from math import ceil

from hwdse.compiled import Compiled
from hwdse.decode_steps import ready
from hwdse.gemm import Gemm, Tile
from hwdse.gpu_time import Constants, Time, Work, time
from hwdse.packing import Layout
from hwdse.target import GpuTarget

OUTPUT_BYTES = 2  # of a sum, as float16 or bfloat16
PARTIAL_BYTES = 4  # of a partial sum of split-K, in float32; of a library's sum of 8-bit numbers, in int32 or float32
GROUP_SCALE_BYTES = 2  # float16
SCALE_BYTES = 4  # float32, as that of an output channel is
ZERO_BYTES = 2  # of a zero point of a group or channel
WGMMA = 90  # the architecture whose tensor cores read an operand of 64 rows from shared memory once
# Of an instruction of its tensor cores: the warps that issue it together, and the bytes of a left operand in shared
# memory, 64 rows of 32. Source: PTX ISA, wgmma.mma_async.
WGMMA_WARPS, WGMMA_BYTES = 4, 64 * 32
# Tiles that a library has for dense products, and how it shares the inputs of one output among programs. Its programs
# have a multiprocessor to themselves, three steps of 64 inputs under way, and clusters that read together what they
# share. An assumption: what cuBLAS runs is not published.
LIBRARY_TILES = ((128, 256), (128, 128), (128, 64), (64, 64), (64, 32), (64, 16))
LIBRARY_SPLITS = (1, 2, 3, 4, 6, 8, 12, 16)
LIBRARY_AHEAD = 3 * 64  # inputs
# How many times longer it takes for 8-bit floats than fast accumulation, which is off here, would: by one report 1.1 to
# 1.2 times (pytorch/ao, issue 2377). That is taken to be of an H100, as the other reports of the project are (its pull
# request 1325); of other architectures than that one's there is none, and nothing is taken off their peaks.
ACCURATE, ACCURATE_ON = 1.15, 90
FEW_WAVES = 8  # below which a split makes the last wave shorter


def tops(arithmetic: str, target: GpuTarget) -> float:
    """1e12 multiplications and additions a second of tensor cores; ValueError where `target` has none for it."""
    known = {"int8": target.int8_tops, "fp8": target.fp8_tflops}.get(arithmetic, target.fp16_tflops)
    if known == 0:
        raise ValueError(f"{target.name} has no tensor cores for {arithmetic}; the nearest is float16")
    return known


def operand_bytes(arithmetic: str) -> int:
    """Of an activation as a kernel reads it."""
    return 1 if arithmetic in ("int8", "fp8") else 2


def scale_bytes(gemm: Gemm) -> int:
    """Of all scales and zero points of the weights."""
    if gemm.group is None:
        return gemm.n * (SCALE_BYTES + ZERO_BYTES * gemm.zero_points)
    own = SCALE_BYTES if gemm.wide_scales else GROUP_SCALE_BYTES
    return gemm.n * ceil(gemm.k / gemm.group) * (own + ZERO_BYTES * gemm.zero_points)


def code_bytes(gemm: Gemm) -> int:
    """Of the codes of the weights, without a bit between them and without padding."""
    return ceil(gemm.n * gemm.k * gemm.weights.bits / 8)


def weight_bytes(gemm: Gemm, layout: Layout) -> int:
    """Of the packed weights with their padding, scales and zero points."""
    return layout.nbytes(gemm.n, gemm.k) + scale_bytes(gemm)


def moved_bytes(gemm: Gemm, packed: int, arithmetic: str) -> int:
    """Weights of `packed` bytes, activations and sums, each once."""
    return packed + gemm.m * (gemm.k * operand_bytes(arithmetic) + gemm.n * OUTPUT_BYTES)


# ---- our kernels ---------------------------------------------------------------------------------


def tiled(gemm: Gemm, tile: Tile, code: Compiled, packed: int, target: GpuTarget) -> Work:
    """The main kernel of a product, with weights of `packed` bytes, without the reduction of split-K."""
    steps = ceil(ceil(gemm.k / code.inputs) / tile.split)
    row_tiles, column_tiles = ceil(gemm.n / tile.rows), ceil(gemm.m / tile.columns)
    width = operand_bytes(code.activations)
    weights = packed / row_tiles / ceil(gemm.k / code.inputs)  # bytes of a turn
    activations = min(tile.columns, gemm.m) * code.inputs * width
    wgmma = code.architecture == WGMMA
    readers = 0 if tile.columns == 1 else tile.rows / 64 if wgmma else tile.warps
    shared = weights + _read(gemm, code, weights) + (1 + readers) * tile.columns * code.inputs * width
    spilt = PARTIAL_BYTES if tile.split > 1 else OUTPUT_BYTES
    partials = tile.rows * min(tile.columns, gemm.m) * spilt
    return Work(
        programs=row_tiles * column_tiles * tile.split,
        occupancy=code.occupancy(target),
        memory_bytes=moved_bytes(gemm, packed, code.activations) + _beyond_l2(gemm, tile, packed, target),
        l2_bytes=steps * (weights + activations) + partials,
        macs=0.0 if tile.columns == 1 else steps * tile.rows * tile.columns * code.inputs,
        slots=tile.warps * (steps * code.loop.total + code.outside),
        integer=tile.warps * steps * code.loop.integer,
        shared_bytes=steps * shared,
        in_flight=round(max(tile.stages - 1, 1) * (weights + activations)),
        tops=tops(code.activations, target),
    )


def _read(gemm: Gemm, code: Compiled, weights: float) -> float:
    """Bytes of weights that a turn reads from shared memory: each once to decode it, or by every product of it."""
    if code.architecture != WGMMA or not ready(gemm.weights, code.activations):
        return weights
    return code.loop.product * code.tile.warps / WGMMA_WARPS * WGMMA_BYTES


def unpacked(gemm: Gemm, code: Compiled, packed: int, target: GpuTarget) -> Work:
    """The kernel that makes the weights dense; a program decodes the `inputs` of a tile.

    It is that of the layout it was compiled for: others have programs of other sizes, and as much to do.
    """
    tile = code.tile
    row_tiles, blocks = ceil(gemm.n / tile.rows), ceil(gemm.k / code.inputs)
    written = gemm.n * gemm.k * operand_bytes(code.activations)
    return Work(
        programs=row_tiles * blocks,
        occupancy=code.occupancy(target),
        memory_bytes=packed + written,
        l2_bytes=(packed + written) / (row_tiles * blocks),
        macs=0.0,
        slots=tile.warps * (code.loop.total + code.outside),
        integer=tile.warps * code.loop.integer,
        shared_bytes=0.0,
        in_flight=round((packed + written) / (row_tiles * blocks)),
        tops=tops(code.activations, target),
    )


def _beyond_l2(gemm: Gemm, tile: Tile, packed: int, target: GpuTarget) -> int:
    """Bytes that come from memory again, or go there, since half of the L2 does not hold them.

    Partial sums of split-K, written and read; and with one vector for each program the weights, which the programs of
    another vector read later.
    """
    half = 0.5e6 * target.l2_mb
    partials = tile.split * gemm.m * gemm.n * PARTIAL_BYTES if tile.split > 1 else 0
    again = (gemm.m - 1) * packed if tile.columns == 1 else 0
    return (2 * partials if partials > half else 0) + (again if packed > half else 0)


def reduction(gemm: Gemm, tile: Tile, target: GpuTarget, constants: Constants) -> float:
    """Seconds of adding the partial sums of split-K, which the last program of each output reads; 0 without a split."""
    if tile.split == 1:
        return 0.0
    read = tile.split * tile.rows * min(tile.columns, gemm.m) * PARTIAL_BYTES
    return constants.fill_seconds + read / (constants.l2_bytes * target.boost_mhz * 1e6)


# ---- libraries -----------------------------------------------------------------------------------


def dense(m: int, n: int, k: int, arithmetic: str, target: GpuTarget, constants: Constants) -> Time:
    """A library's product of dense operands, `m x k` and `n x k`, with the tile that is best for it."""
    found = [time(work, target, constants) for work in _library(m, n, k, arithmetic, target)]
    return min(found, key=lambda one: one.seconds)


@lru_cache(maxsize=4096)
def _library(m: int, n: int, k: int, arithmetic: str, target: GpuTarget) -> tuple[Work, ...]:
    """What it may do for the product."""
    longer = ACCURATE if (arithmetic, target.architecture) == ("fp8", ACCURATE_ON) else 1.0
    width, peak = operand_bytes(arithmetic), tops(arithmetic, target) / longer
    return tuple(
        _dense(m, n, k, (rows, columns), split, width, peak)
        for rows, columns in LIBRARY_TILES
        for split in LIBRARY_SPLITS
        if split == 1 or ceil(n / rows) * ceil(m / columns) < FEW_WAVES * target.sms
    )


def _dense(m: int, n: int, k: int, tile: tuple[int, int], split: int, width: int, peak: float) -> Work:
    rows, columns = tile
    inputs, written = ceil(k / split), PARTIAL_BYTES if width == 1 else OUTPUT_BYTES
    partials = m * n * (written if split == 1 else 2 * split * PARTIAL_BYTES)
    return Work(
        programs=ceil(n / rows) * ceil(m / columns) * split,
        occupancy=1,
        memory_bytes=width * k * (n + m) + m * n * written,
        l2_bytes=partials / (ceil(n / rows) * ceil(m / columns) * split),
        macs=rows * columns * inputs,
        slots=0.0,
        integer=0.0,
        shared_bytes=0.0,
        in_flight=LIBRARY_AHEAD * (rows + min(columns, m)) * width,
        tops=peak,
        library=True,
    )
