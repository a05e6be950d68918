"""The page of the GPU benchmark, from tables that are made up here and never shipped."""

import sys
from argparse import Namespace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from hwdse.gpu_measurements import Origin, Point, Timing, append
from hwdse.gpu_speed.plan import SHAPES, STREAM, reference
from tests.hwdse.gpu_speed.processes import measure

ROOT = Path(__file__).parents[1]
ORIGIN = Origin("h200", "2026-01-02T03:04:05Z", "580.1", "torch 2.11.0, triton 3.6.0")
N, K = SHAPES[0]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """`benchmarks/gpu.py`."""
    spec = spec_from_file_location("benchmarks_gpu", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def table(folder: Path, device: str = "h200") -> None:
    """A ceiling, what is compared with, a rival that is not there."""
    origin = Origin(device, ORIGIN.start, ORIGIN.driver, ORIGIN.versions)
    rows = [
        Timing(Point("copy", 1, 1, STREAM), origin, 1e-3, 0.01, 4_000_000_000, None, 1700),
        Timing(reference(16, N, K), origin, 4e-5, 0.01, 2 * N * K, 1e-3, 1800),
        Timing(Point("humming", 16, N, K, "int4", "float16"), origin, 2e-5, 0.01, N * K // 2, 1e-3, 1800),
        Timing(Point("gemlite", 16, N, K, "int4", "float16", 128), origin, None, note="not installed"),
        Timing(Point("quantise", 8192, 1, 8192, activations="int8"), origin, 6e-5, 0.0, 201_359_360, 0.0, 1700),
    ]
    append(folder / f"gpu.{device}.csv", rows)


def test_without_a_table_it_says_that_nothing_was_measured(benchmark: ModuleType, tmp_path: Path) -> None:
    made = benchmark.written(tmp_path)
    assert "**Not measured.**" in made
    assert "| int4 x float16 over torch, M <= 16, 8192 x 8192 | 2.90 |" in made
    assert "##" not in made


def test_a_table_is_shown(benchmark: ModuleType, tmp_path: Path) -> None:
    table(tmp_path)
    made = benchmark.written(tmp_path)
    assert "Not measured" not in made
    assert "| copying, read and written | 4.00 TB/s |" in made
    assert "| torch, bfloat16 | - | - | - | - | 40.0 | - | - | - | - | - | - | - | - | 3,355 |" in made
    assert "| humming, int4 x float16 | - | - | - | - | 20.0, 2.00x |" in made
    assert "| quantise | int8 | 8192 x 8192 | 60.0 | 3,356 | 84 |" in made
    assert "| quantising activations over a copy | 0.85 | 0.84 | missed by 1 of 6; the rest is not measured |" in made
    assert "| int4 x float16 over torch, M <= 16, 8192 x 8192 | 2.90 | - | not measured |" in made
    assert "| gemlite | 1 | not installed |" in made
    assert "here they are for comparison" not in made


def test_the_bars_do_not_bind_on_another_gpu(benchmark: ModuleType, tmp_path: Path) -> None:
    table(tmp_path, "h100")
    made = benchmark.written(tmp_path)
    assert "The bars bind on an H200; here they are for comparison." in made


def test_a_run_keeps_its_rows_and_the_next_goes_on(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the GPU: what a process answers is made up, since there is none."""
    monkeypatch.setattr(benchmark, "DATA", tmp_path)
    monkeypatch.setattr(benchmark, "measure", measure)
    monkeypatch.setattr(benchmark.driver, "origin", lambda: ORIGIN)
    arguments = Namespace(minutes=0.5, only=f"16x{N}x{K}", again=False, list=False, json=True)
    speeds = benchmark.run(arguments)
    first = (tmp_path / "gpu.h200.csv").read_text()
    assert speeds.at(reference(16, N, K)) is not None
    assert len(first.splitlines()) > 10
    benchmark.run(arguments)
    assert (tmp_path / "gpu.h200.csv").read_text() == first
    benchmark.run(Namespace(**{**vars(arguments), "again": True, "only": f"torch.mm 16x{N}x{K} "}))
    assert len((tmp_path / "gpu.h200.csv").read_text().splitlines()) == len(first.splitlines()) + 1


def test_the_shipped_page_is_that_of_the_shipped_tables(benchmark: ModuleType) -> None:
    assert (ROOT / "docs" / "gpu-speed.md").read_text() == benchmark.written()
