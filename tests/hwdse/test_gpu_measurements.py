"""A table of GPU timings is what was written, and grows."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.formats import parse
from hwdse.gemm import Gemm
from hwdse.gpu_measurements import COLUMNS, Origin, Point, Timing, append, formats, newest, read, text

ORIGIN = Origin("h200", "2026-01-02T03:04:05Z", "580.1", "torch 2.11.0+cu130, triton 3.6.0")
POINT = Point("a16", 16, 8192, 4096, "int4", "float16", 128, "128x16:w16:s3:k4:t4", "float16")
TIMING = Timing(POINT, ORIGIN, 1.234567e-5, -0.0125, 17_000_000, 2.5e-4, 1980)
FAILED = Timing(Point("humming", 16, 8192, 4096, "int3", "float16"), ORIGIN, None, note="not installed")


def test_a_table_is_what_was_written(tmp_path: Path) -> None:
    file = tmp_path / "gpu.h200.csv"
    append(file, [TIMING])
    append(file, [FAILED])
    assert read(file) == (TIMING, FAILED)
    assert file.read_text() == text([TIMING, FAILED])


def test_a_note_of_several_lines_with_commas_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "gpu.h200.csv"
    append(file, [replace(FAILED, note='CUDA error:\n  "illegal", memory access')])
    assert len(file.read_text().splitlines()) == 2
    assert read(file)[0].note == 'CUDA error: "illegal", memory access'


def test_a_product_is_known_by_its_row() -> None:
    assert POINT.gemm == Gemm(16, 8192, 4096, parse("int4"), parse("float16"), 128)
    assert replace(POINT, activations="int8", group=None).gemm == Gemm(16, 8192, 4096, parse("int4"), parse("int8"))


@pytest.mark.parametrize(
    ("point", "name"),
    [
        (POINT, "a16 16x8192x4096 int4 x float16 g128, float16 128x16:w16:s3:k4:t4"),
        (Point("copy", 1, 1, 1 << 30), "copy 1x1x1073741824"),
        (Point("fake_quantize", 64, 1, 4096, activations="e2m1"), "fake_quantize 64x1x4096 e2m1"),
    ],
)
def test_a_point_has_a_name(point: Point, name: str) -> None:
    assert point.name == name


def test_the_newest_row_of_a_point_counts() -> None:
    again = replace(TIMING, seconds=1.1e-5)
    other = replace(TIMING, origin=replace(ORIGIN, versions="torch 2.13.0, triton 3.9.0"))
    assert newest([TIMING, FAILED, other, again]) == (again, FAILED, other)


def test_formats_of_a_table_are_sorted_and_no_floats_of_16_bits() -> None:
    others = [Timing(replace(POINT, weights=name), ORIGIN, 1.0) for name in ("int8", "bfloat16", "e2m1", "", "int3")]
    assert [fmt.name for fmt in formats([TIMING, *others])] == ["int3", "e2m1", "int4", "int8"]


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("device,seconds\n")
    expected = f"a table of GPU timings begins with {','.join(COLUMNS)}, unlike {file}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        read(file)


def test_a_row_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "gpu.h200.csv"
    file.write_text(text([TIMING]).replace(",8192,", ",many,"))
    expected = f"line 2 of {file} is no GPU timing: invalid literal for int() with base 10: 'many'"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        read(file)
