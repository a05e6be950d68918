"""The process on functions that are known."""

from itertools import product

import numpy as np

from hwdse.search import surrogate

FEATURES = [np.array([0.0, 0.2, 0.9]), np.array([0.0, 0.5, 0.6, 1.5]), np.array([0.0, 0.1])]
EVERY = np.array(list(product(range(3), range(4), range(2))))
VALUES = np.array([sum(f[c] for f, c in zip(FEATURES, point, strict=True)) for point in EVERY])


def test_it_knows_what_it_saw_and_is_unsure_of_the_rest() -> None:
    some = np.arange(0, 24, 2)
    model = surrogate.fit(EVERY[some], VALUES[some], FEATURES)
    mean, spread = model.predict(EVERY)
    rest = np.setdiff1d(np.arange(24), some)
    assert np.abs(mean[some] - VALUES[some]).max() < 0.05
    assert spread[some].max() < spread[rest].min()


def test_effects_of_an_additive_function_are_its_parts() -> None:
    model = surrogate.fit(EVERY, VALUES, FEATURES)
    for effect, feature in zip(model.effects(EVERY[:4]), FEATURES, strict=True):
        assert np.abs(effect - effect[0] - feature).max() < 0.05


def test_what_multiplies_is_more_likely_with_a_larger_order() -> None:
    together = surrogate.fit(EVERY, VALUES + 2 * np.prod(EVERY, axis=1), FEATURES)
    alone = surrogate.fit(EVERY, VALUES, FEATURES)
    assert together.kernel.order > alone.kernel.order
