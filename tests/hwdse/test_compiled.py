"""The table of compiled kernels, and which of its rows stands for a format."""

from dataclasses import replace
from itertools import product

import pytest

from hwdse import compiled
from hwdse.compiled import Compiled, of
from hwdse.decode_steps import manner
from hwdse.formats import Format, known_formats, parse
from hwdse.gemm import Tile
from hwdse.machine_code import Counts
from hwdse.target import gpu

ROW = Compiled(
    kernel="a16",
    weights="int4",
    activations="float16",
    grouped=False,
    tile=Tile(128, 16, 16, 3),
    architecture=90,
    registers=64,
    shared_bytes=16384,
    inputs=128,
    loop=Counts(10, 9, 8, 7, 6, 5, 4, 3),
    outside=20,
    triton="3.9.0",
)
FORMATS = (*known_formats(bits=range(3, 9)), parse("e4m3fn"), parse("e5m2ieee"))


def test_the_table_round_trips() -> None:
    grouped = replace(ROW, grouped=True, weights="e2m1", tile=Tile(64, 16, 32, 4, 1, 8))
    assert compiled.parse(compiled.write([ROW, grouped])) == (grouped, ROW)  # in order
    assert compiled.parse(compiled.write(compiled.table())) == compiled.table()


@pytest.mark.parametrize(
    ("name", "row", "occupancy"),
    [
        # 64 registers of 128 threads: 65536 / 8192 = 8; 17 KiB of 228 are 13; 4 warps of 64 are 16
        ("h200", ROW, 8),
        # 65 registers are 2304 for a warp instead of 2048: 65536 / 9216 = 7
        ("h200", replace(ROW, registers=65), 7),
        # 33 KiB of 228
        ("h200", replace(ROW, shared_bytes=32768), 6),
        # of 100
        ("l40s", replace(ROW, shared_bytes=32768), 3),
        # of 164
        ("a100", replace(ROW, shared_bytes=32768), 4),
        # 32 registers: 4 warps of 48, and of 64
        ("l40s", replace(ROW, registers=32, shared_bytes=0), 12),
        ("a100", replace(ROW, registers=32, shared_bytes=0), 16),
        # one warp: the most programs
        ("l40s", replace(ROW, registers=16, shared_bytes=0, tile=Tile(64, 1, 16, 1, warps=1)), 24),
        ("h200", replace(ROW, shared_bytes=227 * 1024), 1),
        ("h200", replace(ROW, shared_bytes=227 * 1024 + 1), 0),
    ],
)
def test_occupancy_by_hand(name: str, row: Compiled, occupancy: int) -> None:
    assert row.occupancy(gpu(name)) == occupancy


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("architecture", [80, 89, 90])
@pytest.mark.parametrize("arithmetic", ["float16", "bfloat16", "int8", "fp8"])
def test_every_format_has_rows_of_its_width(arithmetic: str, architecture: int, grouped: bool) -> None:
    kernel = "a8" if arithmetic in ("int8", "fp8") else "a16"
    missing = []
    for fmt in FORMATS if (arithmetic, architecture) != ("fp8", 80) else ():
        try:
            own = manner(fmt, arithmetic)
        except ValueError:  # the arithmetic does not hold the format
            continue
        rows = of(kernel, fmt, arithmetic, grouped, architecture)
        if {manner(parse(row.weights), arithmetic).bits for row in rows} != {own.bits}:
            missing.append(fmt.name)
        assert len({row.tile for row in rows}) == len(rows)
    assert missing == []


@pytest.mark.parametrize("name", ["int3", "int4", "int8", "e2m1", "e3m2"])
def test_a_format_that_was_compiled_stands_for_itself_or_its_like(name: str) -> None:
    fmt = parse(name)
    for row in of("a16", fmt, "float16", False, 90):
        assert abs(manner(parse(row.weights), "float16").steps - manner(fmt, "float16").steps) <= 6


def test_more_of_a_plane_is_more_work() -> None:
    """Of one tile: a turn of int4 has as many weights for a word as it has codes in it."""
    for kernel, arithmetic in product(("a16",), ("float16",)):
        eight, four = (_loop(kernel, parse(name), arithmetic) for name in ("int8", "int4"))
        assert four.inputs == 2 * eight.inputs
        assert eight.loop.total < four.loop.total < 2 * eight.loop.total


def _loop(kernel: str, fmt: Format, arithmetic: str) -> Compiled:
    return next(row for row in of(kernel, fmt, arithmetic, False, 90) if row.tile.name == "128x16:w32:s2:k1:t4")


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("fmt", FORMATS, ids=lambda fmt: fmt.name)
def test_on_hopper_every_format_has_a_tile_that_does_not_spill(fmt: Format, grouped: bool) -> None:
    arithmetic = "bfloat16" if fmt.exponent > 5 else "float16"
    assert any(row.loop.spill == 0 for row in of("a16", fmt, arithmetic, grouped, 90))
