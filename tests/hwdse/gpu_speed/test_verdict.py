"""Ratios are between times of one run, and a bar is met where the worst of its times meets it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from hwdse.gemm import FLOATS, Choice, Gemm, Tile
from hwdse.gpu_measurements import Origin, Point, Timing
from hwdse.gpu_speed.campaign import missing
from hwdse.gpu_speed.page import device
from hwdse.gpu_speed.plan import DECODE, LLAMA, PAIRS, QUANTISED, SHAPES, STREAM, gemm, plan, point, reference
from hwdse.gpu_speed.verdict import DECODE_BARS, Bar, Speeds, bars, product, rate, sums

ORIGIN = Origin("h200", "2026-01-02T03:04:05Z", "580.1", "torch 2.11.0, triton 3.6.0")
TILES = tuple(Tile(128, 16, 16, stages) for stages in (2, 3, 4))
N, K = SHAPES[0]


def choices(own: Gemm) -> Sequence[Choice]:
    """Three tiles, the first one chosen."""
    kernel = ("a16", "float16") if own.activations in FLOATS else ("a8", "int8")
    return [Choice(*kernel, tile) for tile in TILES]


def row(where: Point, seconds: float | None, origin: Origin = ORIGIN, moved: int = 1000) -> Timing:
    """A time."""
    return Timing(where, origin, seconds, 0.01, moved, 1e-4, 1700)


def ours(m: int, n: int, k: int, name: str, tile: int = 0, activations: str = "float16") -> Point:
    """A product of ours."""
    own = gemm(m, n, k, name, activations)
    return point(own, choices(own)[tile])


def bar(found: Sequence[Bar], name: str) -> Bar:
    """The bar that is called so."""
    (one,) = [each for each in found if each.name == name]
    return one


def decode(ratios: Sequence[float], name: str = "int4") -> list[Timing]:
    """Times on the first shape, with a ratio for each number of vectors."""
    rows = []
    for m, ratio in zip(DECODE, ratios, strict=False):
        rows += [row(reference(m, N, K), 4e-5), row(ours(m, N, K, name), 4e-5 / ratio)]
    return rows


def test_a_ratio_is_over_the_reference_of_the_same_run() -> None:
    later = replace(ORIGIN, start="2026-01-03T00:00:00Z")
    where = ours(16, N, K, "int4")
    both = [row(reference(16, N, K), 4e-5), row(where, 2e-5), row(reference(16, N, K), 8e-5, later)]
    assert Speeds(both, choices).ratio(row(where, 2e-5)) == 2.0
    assert Speeds(both, choices).ratio(row(where, 2e-5, later)) == 4.0
    assert Speeds(both, choices).ratio(row(where, 2e-5, replace(ORIGIN, start="another"))) is None
    assert Speeds(both, choices).ratio(None) is None


def test_rows_of_other_versions_are_left_out() -> None:
    new = replace(ORIGIN, versions="torch 2.13.0, triton 3.9.0")
    speeds = Speeds([row(ours(16, N, K, "int4"), 1e-5), row(ours(1, N, K, "int4"), 1e-5, new)], choices)
    assert [each.point.m for each in speeds.rows] == [1]
    assert speeds.origin == new


def test_the_choice_counts_and_the_best_is_known() -> None:
    speeds = Speeds([row(ours(16, N, K, "int4", tile), time) for tile, time in enumerate((3e-5, 2e-5, 4e-5))], choices)
    wanted = product(16, N, K, "int4", "float16")
    chosen, best = speeds.chosen(wanted), speeds.best(wanted)
    assert chosen is not None
    assert best is not None
    assert (chosen.seconds, best.seconds) == (3e-5, 2e-5)
    found = bar(bars(speeds), "the best tile's time over the choice's")
    assert found.found == pytest.approx(2 / 3)
    assert found.words == "missed"


def test_the_worst_number_of_vectors_decides() -> None:
    name = f"int4 x float16 over torch, M <= 16, {N} x {K}"
    least = DECODE_BARS["int4"][0]
    met = bar(bars(Speeds(decode([3.5, 3.4, 3.3, 3.2, 3.0]), choices)), name)
    assert (met.least, met.words) == (least, "met")
    assert met.found == pytest.approx(3.0)
    missed = bar(bars(Speeds(decode([3.5, 3.4, 2.8, 3.2, 3.0]), choices)), name)
    assert missed.words == "missed"
    part = bar(bars(Speeds(decode([3.5, 3.4]), choices)), name)
    assert part.words == "met by 2 of 5; the rest is not measured"
    assert bar(bars(Speeds((), choices)), name).words == "not measured"


def test_a_time_that_failed_meets_no_bar() -> None:
    rows = [*decode([3.5]), row(ours(1, N, K, "int4"), None)]
    assert bar(bars(Speeds(rows, choices)), f"int4 x float16 over torch, M <= 16, {N} x {K}").found is None


def test_humming_is_a_bar_by_times_of_one_run_or_by_what_both_are_over_torch() -> None:
    rival = Point("humming", 16, N, K, "int3", "float16")
    rows = [row(ours(16, N, K, "int3"), 1e-5), row(rival, 1.2e-5)]
    found = bar(bars(Speeds(rows, choices)), "int3 x float16 over Humming, M <= 16")
    assert found.words == "met by 1 of 10; the rest is not measured"
    assert found.found == pytest.approx(1.2)
    later = replace(ORIGIN, start="2026-01-03T00:00:00Z")
    apart = [rows[0], row(rival, 1.2e-5, later)]
    assert bar(bars(Speeds(apart, choices)), "int3 x float16 over Humming, M <= 16").found is None
    # 4 times as fast as torch was, and Humming 8/3 of it
    references = [row(reference(16, N, K), 4e-5), row(reference(16, N, K), 3.2e-5, later)]
    found = bar(bars(Speeds([*apart, *references], choices)), "int3 x float16 over Humming, M <= 16")
    assert found.found == pytest.approx(4 / (8 / 3))


def test_the_bars_of_humming_can_be_measured_after_a_run_that_ended_before_it() -> None:
    points = plan(choices)
    cut = next(index for index, where in enumerate(points) if where.kernel == "humming")
    later = replace(ORIGIN, start="2026-01-03T00:00:00Z")
    first = [row(where, 1e-5) for where in points[:cut]]
    rest = missing(points, first, later)
    found = bars(Speeds([*first, *(row(where, 1e-5, later) for where in rest)], choices))
    humming = [one for one in found if "Humming" in one.name]
    assert len(humming) == 5
    assert all((one.found, one.count) == (1.0, one.of) for one in humming)


def test_large_products_take_the_faster_of_fused_and_dequantised() -> None:
    where = ours(512, N, K, "int4")
    rows = [row(reference(512, N, K), 1e-4), row(where, 2e-4), row(replace(where, kernel="unpack"), 1.25e-4)]
    found = bar(bars(Speeds(rows, choices)), "float16 activations over torch, M = 512")
    assert found.found == pytest.approx(0.8)
    assert found.words == "met by 1 of 4; the rest is not measured"


def test_activations_of_8_bits_are_a_bar() -> None:
    rows = [row(reference(512, N, K), 1e-4), row(ours(512, N, K, *_flat(PAIRS[0])), 5e-5)]
    assert bar(bars(Speeds(rows, choices)), "8-bit activations over torch, M >= 512").found == pytest.approx(2.0)


def _flat(pair: tuple[str, str]) -> tuple[str, int, str]:
    return pair[0], 0, pair[1]


def test_passes_are_compared_with_a_copy() -> None:
    copy = row(Point("copy", 1, 1, STREAM), 1e-3, moved=4_000_000_000)
    fake = row(Point("fake_quantize", 8192, 1, 8192, activations="int8"), 1e-3, moved=3_600_000_000)
    found = bar(bars(Speeds([copy, fake], choices)), "fake quantisation over a copy")
    assert found.found == pytest.approx(0.9)
    assert (found.count, found.of) == (1, len(QUANTISED))


def test_a_rate_is_bytes_over_seconds() -> None:
    assert rate(row(ours(1, N, K, "int4"), 2e-6, moved=4000)) == pytest.approx(2e9)
    assert rate(row(ours(1, N, K, "int4"), None)) is None


def test_the_products_of_a_layer_are_added_up_where_all_were_timed() -> None:
    rows = []
    for number, own in enumerate(one for one in LLAMA if one.model == "8B"):
        rows += [row(reference(1, own.n, own.k), 4e-5), row(ours(1, own.n, own.k, "int4"), (number + 1) * 1e-5)]
    (found,) = sums(Speeds(rows, choices), (1, 16))
    assert (found.model, found.m, found.name) == ("8B", 1, "int4")
    assert found.seconds == pytest.approx(10e-5)
    assert found.ratio == pytest.approx(1.6)  # four times 40 us over 100 us
    assert list(sums(Speeds(rows[:-1], choices), (1, 16))) == []


def test_cells_of_the_page() -> None:
    rows = [*decode([4.0]), row(ours(1, N, K, "int4", 1), 9e-6), row(Point("read", 1, 1, STREAM), 1e-3, moved=10**9)]
    rows = [replace(one, bytes=4_000_000) if one.point.k == K else one for one in rows]
    rows += [replace(row(Point("gemlite", 1, N, K, "int4", "float16", 128), None), note="not installed")]
    shown = device(Speeds(rows, choices))
    (shape,) = shown.shapes
    assert shape.title == f"{N} x {K}, Llama-3-70B o"
    assert [(one.name, one.cells[0], *one.rates) for one in shape.rows] == [
        ("torch, bfloat16", "40.0", "100, 10 %", "-"),
        ("int4 x float16", "10.0, 4.00x (9.0)", "400, 40 %", "-"),
    ]
    assert shape.rows[1].cells[1:] == ("-",) * 11
    assert [(one.kernel, one.count, one.why) for one in shown.failures] == [("gemlite", 1, "not installed")]
    assert shown.clocks == "The multiprocessors ran at 1700 to 1700 MHz, 1700 in the median."
    assert shown.ceilings == (("reading", "1.00 TB/s"),)
    assert shown.is_h200
