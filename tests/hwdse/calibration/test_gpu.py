"""The fit of the GPU model's constants finds those that made the points; it says nothing of a real GPU."""

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest

from hwdse.calibration.gpu import NAMES, fit, predicted, solve
from hwdse.dispatch import choices
from hwdse.formats import parse
from hwdse.gemm import Gemm
from hwdse.gpu_points import Point
from hwdse.gpu_time import Constants
from hwdse.target import gpu

TARGET = gpu("h200")
TRUE = Constants(2.0e-6, 6.0e-7, 0.85, 0.70, 0.60, 24.0)
SHAPES = ((4096, 4096), (28672, 8192), (1024, 1024))
FORMATS = ("int3", "int4", "int8", "e2m1")


def point(kernel: str, tile: str, m: int, n: int, k: int, weights: str) -> Point:
    """A product, not measured yet."""
    where, numbers = ("h200", "made up", "made up", "never"), "float16"
    return Point(*where, kernel, tile, m, n, k, weights, numbers, None, 1.0, numbers)


def made_up() -> Iterator[Point]:
    """Products with times of the model itself: few vectors, of several choices, and the library's of many."""
    for index, (n, k) in enumerate(SHAPES):
        yield from (point("dense", "", m, n, k, "float16") for m in (1, 512))
        for number, weights in enumerate(FORMATS):
            for m in (1, 64):
                known = choices(Gemm(m, n, k, parse(weights), parse("float16")), TARGET)
                chosen = known[(7 * index + 5 * number + m) % len(known)]
                yield point(chosen.kernel, "" if chosen.tile is None else chosen.tile.name, m, n, k, weights)


@pytest.fixture(scope="module")
def points() -> list[Point]:
    """These, timed."""
    return [replace(one, seconds=predicted(one, TARGET, TRUE)) for one in made_up()]


def test_it_finds_the_constants(points: list[Point]) -> None:
    found = solve(points, TARGET)
    for name in NAMES:
        # The optimiser stops at relative steps of 1e-8; a kink of the maximum may stop it earlier.
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), rel=0.02), name


def test_points_without_noise_are_predicted_when_left_out(points: list[Point]) -> None:
    found = fit(points, TARGET)
    assert (found.points, found.measured) == (len(points), "on never with driver made up, made up")
    assert max(found.error, found.error_of_shapes, found.error_of_formats) < 0.005
    # Not all of them: what one constant stands for may be seen in the products that were left out alone.
    assert 0.8 < found.low <= found.high < 1.2


def test_it_says_all_days_and_versions_that_points_are_of(points: list[Point]) -> None:
    others = [replace(points[0], date="later"), replace(points[0], date="later", driver="another")]
    found = fit([*points, *others], TARGET)
    assert found.measured == "on later and never with driver another, made up and with driver made up, made up"


def test_noise_is_the_error(points: list[Point]) -> None:
    noise = np.random.default_rng(7).normal(0, 0.05, len(points))
    noisy = [replace(one, seconds=one.seconds * float(np.exp(x))) for one, x in zip(points, noise, strict=True)]
    found = solve(noisy, TARGET)
    errors = [abs(predicted(one, TARGET, found) / one.seconds - 1) for one in noisy]
    # The median of |N(0, 0.05)| is 0.034; six constants of thirty points take some of it away.
    assert 0.015 < np.median(errors) < 0.05


def test_other_projects_are_not_fitted(points: list[Point]) -> None:
    others = [replace(points[0], kernel="humming", seconds=1.0)] * 50
    message = "^6 constants are fitted to at least 24 products, not 10$"
    with pytest.raises(ValueError, match=message):
        fit([*points[:10], *others], TARGET)


def test_constants_stay_positive_and_shares_below_the_peak(points: list[Point]) -> None:
    impossible = [replace(one, seconds=one.seconds / 50) for one in points]
    found = asdict(solve(impossible, TARGET))
    assert all(value > 0 for value in found.values())
    assert max(value for name, value in found.items() if name.endswith("_share")) <= 1 + 1e-9
