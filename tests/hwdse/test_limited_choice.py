"""The best choice within limits: against all combinations, whatever counts and whatever is limited."""

from itertools import product

import numpy as np
import pytest

from hwdse import limited_choice
from hwdse.limited_choice import cheapest, feasible
from hwdse.variants import FEW, Counts
from tests.hwdse.test_variants import random_parts, ways

HAVE = np.array([1000.0, 2000, 20, 20, 1e-6])
UNLIMITED = np.full(5, np.inf)


def limits(random: np.random.Generator, used: Counts) -> Counts:
    """Of some resources, between what the choices take."""
    some = [float(np.quantile(column, random.random() * 0.8)) for column in used.T]
    return np.where(random.random(5) < 0.5, np.inf, np.round(some))


@pytest.mark.parametrize("few", [FEW, 1])
@pytest.mark.parametrize("alike", [False, True])
def test_it_is_the_best_of_all_combinations(few: int, alike: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_choice, "FEW", few)
    random, impossible = np.random.default_rng(0), 0
    for _ in range(150):
        parts = random_parts(random, alike=alike)
        used = np.array([sum(rows) for rows in product(*parts)])
        most, counted = limits(random, used), random.random(5) < 0.5
        counted[random.integers(0, 4)] = True
        have = np.where(counted, HAVE, np.inf)
        fits = used[(used <= most).all(1)]
        picks = cheapest(parts, have, most)
        assert feasible(parts, most) == (picks is not None) == bool(len(fits))
        impossible += picks is None
        if picks is not None:
            own = sum(part[pick] for part, pick in zip(parts, picks, strict=True))
            assert (own <= most).all()
            shares = (fits / have).max(-1)
            assert (own / have).max() == shares.min()
            assert shares.min() == 0 or own[0] == fits[shares == shares.min(), 0].min()
    assert 20 < impossible < 130


def test_what_is_limited_does_not_count() -> None:
    parts = [ways((900, 0, 0, 0), (10, 0, 8, 0)), ways((500, 0, 0, 0), (10, 0, 8, 0))]
    luts = np.array([1000, np.inf, np.inf, np.inf, np.inf])
    assert cheapest(parts, luts, UNLIMITED) == (1, 1)
    assert cheapest(parts, luts, np.array([np.inf, np.inf, 8, np.inf, np.inf])) == (1, 0)
    assert cheapest(parts, luts, np.array([np.inf, np.inf, 0, np.inf, np.inf])) == (0, 0)
    assert cheapest(parts, luts, np.array([1000, np.inf, 0, np.inf, np.inf])) is None
    assert not feasible(parts, np.array([1000, np.inf, 0, np.inf, np.inf]))
    assert feasible(parts, np.array([510, np.inf, 8, np.inf, np.inf])) is True


def test_there_may_be_many_parts_with_one_way() -> None:
    parts = [ways((1, 0, 0, 0))] * 70 + [ways((9, 0, 0, 0), (3, 0, 0, 0))] + [ways((1, 0, 0, 0))] * 70
    luts = np.array([1000, np.inf, np.inf, np.inf, np.inf])
    assert cheapest(parts, luts, UNLIMITED) == (*[0] * 70, 1, *[0] * 70)
    assert cheapest(parts[:70], luts, UNLIMITED) == (0,) * 70
