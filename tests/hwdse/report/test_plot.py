"""Axes, ticks and steps."""

import pytest

from hwdse.report.plot import Mark, Plot, Series, spans_decades, staircase, tick_label, ticks

DOTS = Series("dots", (Mark(1, 10), Mark(3, 30), Mark(2, 5)), "ink", "circle")


def plot(*series: Series, log_x: bool = False, low: float | None = None) -> Plot:
    """A plot of these series."""
    return Plot("p", "P", "x", "y", series, log_x, low)


@pytest.mark.parametrize(
    ("low", "high", "log", "found"),
    [
        (0, 10, False, (0, 2, 4, 6, 8, 10)),
        (87.1, 97.9, False, (88, 90, 92, 94, 96)),
        (-0.3, 0.3, False, (-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3)),
        (900, 60_000, True, (1000, 2000, 5000, 10_000, 20_000, 50_000)),
        (0.5, 5e6, True, (1, 10, 100, 1e3, 1e4, 1e5, 1e6)),
        (2100, 4900, True, (2500, 3000, 3500, 4000, 4500)),
    ],
)
def test_ticks(low: float, high: float, log: bool, found: tuple[float, ...]) -> None:
    assert ticks(low, high, log=log) == pytest.approx(found)  # products of decimal powers, rounded by floats


@pytest.mark.parametrize(
    ("value", "label"), [(0, "0"), (0.25, "0.25"), (500, "500"), (20_000, "20k"), (1.5e6, "1.5M"), (2e9, "2G")]
)
def test_tick_label(value: float, label: str) -> None:
    assert tick_label(value) == label


def test_ranges_hold_every_point() -> None:
    x, y = plot(DOTS).everything
    assert x == pytest.approx((0.86, 3.14))  # 7 % of 2 on both sides
    assert y == pytest.approx((3.25, 31.75))
    (low, high), _ = plot(DOTS, log_x=True).everything
    assert low == pytest.approx(3**-0.07)  # 7 % of log 3
    assert high == pytest.approx(3**1.07)


def test_points_below_are_out_of_sight_at_first() -> None:
    level = Series("level", (Mark(-100, 40), Mark(100, 40)), "ink", dash="dash")
    x, y = plot(DOTS, level, low=8).first
    assert x == pytest.approx((0.86, 3.14))  # a line without points follows the axis
    assert y == pytest.approx((7.9, 42.1))
    assert plot(DOTS, low=20).first[0][0] > 2
    assert plot(DOTS, low=20).everything == plot(DOTS).first


@pytest.mark.parametrize("value", [0.0, 5.0, -5.0])
@pytest.mark.parametrize("log", [False, True])
def test_one_point_has_a_range(value: float, log: bool) -> None:
    x, y = plot(Series("one", (Mark(5.0, value),), "ink", "circle"), log_x=log).first
    assert x[0] < 5 < x[1]
    assert y[0] < value < y[1]
    assert ticks(*x, log=log)


def test_hidden_counts_trials_once() -> None:
    ring = Series("ring", (Mark(2, 5),), "ink", "circle-open", ring=True)
    line = Series("line", (Mark(2, 5), Mark(3, 5)), "ink", dash="solid")
    assert plot(DOTS, ring, line).hidden == 0
    assert plot(DOTS, ring, line, low=8).hidden_in_words == "1 trial lies outside the axes"
    assert plot(DOTS, ring, line, low=20).hidden_in_words == "2 trials lie outside the axes"


def test_hidden_on_the_left() -> None:
    dots = Series("dots", (Mark(1, 9.99), Mark(2, 10), Mark(3, 20)), "ink", "circle")
    assert plot(dots, low=10).first[1][0] < 9.99  # the first point is within the height, but not within the width
    assert plot(dots, low=10).hidden == 1


def test_staircase_goes_along_x_first() -> None:
    steps = staircase([(1, 10), (2, 20), (4, 25)])
    assert [(mark.x, mark.y) for mark in steps] == [(1, 10), (2, 10), (2, 20), (4, 20), (4, 25)]
    assert [(mark.x, mark.y) for mark in staircase([(1, 10)])] == [(1, 10)]
    assert staircase([]) == ()


def test_when_an_axis_is_logarithmic() -> None:
    assert spans_decades([1000, 4000])
    assert not spans_decades([1000, 3999])
    assert not spans_decades([0, 4000])


def test_unknown_colours_and_symbols() -> None:
    with pytest.raises(ValueError, match=r"^no symbol 'star'; known: circle, square, diamond, triangle-up, x-thin$"):
        Series("s", (), "ink", "star")
    known = (
        "ink, muted, grid, page, card, integer, minifloat, mixed, good, bad, warn, "
        "part0, part1, part2, part3, part4, part5, part6"
    )
    with pytest.raises(ValueError, match=f"^no colour 'red'; known: {known}$"):
        Series("s", (), "red")
