"""Measured products are those of the table of the benchmark, and words say how far to trust the model."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hwdse import dispatch, gpu_points
from hwdse.formats import known_formats
from hwdse.gemm import Gemm
from hwdse.gpu_measurements import Origin, Timing, append
from hwdse.gpu_measurements import Point as Timed
from hwdse.gpu_points import PRICED, Fitted, Point, calibration, constants, fitted, points
from hwdse.gpu_time import Constants
from hwdse.target import gpu

TILE = "128x16:w32:s3:k1:t4"
WHERE = "h200", "570.1", "torch 2.11.0", "2026-11-28"
POINT = Point(*WHERE, "a16", TILE, 1, 2, 3, "int4", "float16", 128, 1e-5, "float16")
DENSE = replace(POINT, kernel="dense", tile="", weights="bfloat16", activations="bfloat16", group=None, arithmetic="")
FITTED = Fitted(
    Constants(memory_share=0.8), 40, 0.01, 0.02, 0.03, 0.9, 1.1, "on 2026-11-28 with driver 570.1, torch 2.11.0"
)
ORIGIN = Origin("h200", "2026-11-28T03:04:05Z", "570.1", "torch 2.11.0")
ROWS = (
    Timing(Timed("copy", 1, 1, 1 << 30), ORIGIN, 1e-3),
    Timing(Timed("torch.mm", 1, 2, 3, "bfloat16", "bfloat16"), ORIGIN, 1e-5),
    Timing(Timed("a16", 1, 2, 3, "int4", "float16", 128, "128x16:w32:s3:k1:t4", "float16"), ORIGIN, 1e-5),
    Timing(Timed("a16", 1, 2, 3, "int3", "float16"), ORIGIN, None, note="failed"),
    Timing(Timed("humming", 1, 2, 3, "int4", "float16"), ORIGIN, 1e-5),
    Timing(Timed("torch._weight_int4pack_mm", 1, 2, 3, "int4", "bfloat16", 128), ORIGIN, 1e-5),
    Timing(Timed("quantise", 64, 1, 4096, activations="int8"), ORIGIN, 1e-6),
)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the tables, empty."""
    monkeypatch.setattr(gpu_points, "_DATA", tmp_path)
    points.cache_clear()
    fitted.cache_clear()
    yield tmp_path
    points.cache_clear()
    fitted.cache_clear()


def test_without_measurements_it_says_so(mine: Path) -> None:
    assert points("h200") == ()
    assert fitted("h200") is None
    assert constants("h200") == Constants()
    assert calibration("h200") == "uncalibrated: nothing was measured on h200"


def test_products_with_a_time_are_points_and_nothing_else_is(mine: Path) -> None:
    append(mine / "gpu.h200.csv", ROWS)
    assert points("h200") == (DENSE, POINT)
    assert points("h100") == ()


def test_of_several_runs_the_last_time_with_the_last_versions_counts(mine: Path) -> None:
    old = replace(ORIGIN, start="2026-11-01T00:00:00Z", versions="torch 2.10.0")
    later = replace(ORIGIN, start="2026-11-29T00:00:00Z")
    again = [replace(ROWS[1], origin=later, seconds=2e-5), replace(ROWS[2], origin=later, seconds=None)]
    append(mine / "gpu.h200.csv", [*(replace(row, origin=old) for row in ROWS), *ROWS, *again])
    assert points("h200") == (replace(DENSE, date="2026-11-29", seconds=2e-5),)


def test_with_measurements_it_says_how_far_off_it_is(mine: Path) -> None:
    (mine / "gpu.h200.json").write_text(json.dumps(asdict(FITTED)))
    assert fitted("h200") == FITTED
    assert constants("h200") == Constants(memory_share=0.8)
    assert calibration("h200") == (
        "h200: fitted to 40 products measured on 2026-11-28 with driver 570.1, torch 2.11.0; median error 2.0 % on"
        " shapes and 3.0 % on formats that were left out"
    )
    assert fitted("h100") is None


def test_every_kernel_of_the_dispatcher_is_fitted() -> None:
    """All pairs of formats, few vectors and many: what is priced is read from tables, and no other name of ours is."""
    pairs = [(own, other) for own in known_formats(bits=range(2, 9)) for other in known_formats(bits=range(3, 17))]
    products = [Gemm(m, 64, 64, *pair) for pair in pairs for m in (1, 16, 64)]
    listed = {kernel for own in products for kernel, _ in dispatch.kernels_for(own, gpu("h200"))}
    assert listed == {kernel for kernel in PRICED if not kernel.startswith("torch.")}
