"""The exact folding by FINN's rules: against all foldings of small networks, and what must hold."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from hwdse.finn.messages import Priced
from hwdse.finn.refolding import of_units
from hwdse.finn_foldings.choice import OBJECTIVES, fastest, front, known, no_worse_than, smallest, space, taken
from hwdse.finn_foldings.limits import UNLIMITED, Limits
from hwdse.target import fpga
from hwdse.variants import Counts
from tests.hwdse.finn_foldings import small
from tests.hwdse.finn_foldings.small import chain, everything, fitting, keys, points, random_network

TARGET = replace(fpga("xczu3eg"), luts=5000, brams=14, dsps=24)
NARROW = Limits(lut=0.6, bram=0.7, dsp=0.5, weight_bits=12)


@pytest.mark.parametrize("limits", [UNLIMITED, Limits(), NARROW], ids=["none", "device", "narrow"])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_front_of_all_foldings(seed: int, limits: Limits) -> None:
    units = random_network(np.random.default_rng(seed))
    for varied in (False, True):
        cycles, areas = everything(units, limits, varied=varied)
        fits = fitting(areas, TARGET, limits)
        of = space(units, TARGET, limits, varied=varied)
        for objective in OBJECTIVES:
            wanted = small.front(cycles[fits], keys(areas[fits], TARGET, objective))
            assert points(front(of, objective), TARGET, objective) == wanted


@pytest.mark.parametrize("seed", range(4))
def test_the_smallest_and_the_fastest_are_those_of_all_foldings(seed: int) -> None:
    random = np.random.default_rng(seed)
    units = random_network(random)
    cycles, areas = everything(units, NARROW, varied=True)
    fits = fitting(areas, TARGET, NARROW)
    cycles, ranked = cycles[fits], keys(areas[fits], TARGET, "shares")
    of = space(units, TARGET, NARROW)
    for most in random.choice(cycles, 3):
        (_, best), *_ = small.front(cycles[cycles <= most], ranked[cycles <= most])
        assert points([smallest(of, int(most))], TARGET, "shares")[0][1] == best
    assert points([fastest(of)], TARGET, "shares")[0] == small.front(cycles, ranked)[-1]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_best_of_those_that_are_no_worse(seed: int) -> None:
    random = np.random.default_rng(seed)
    units = random_network(random)
    cycles, areas = everything(units, UNLIMITED, varied=True)
    used, ranked = areas.sum(1), keys(areas, TARGET, "shares")
    of = space(units, TARGET, UNLIMITED)
    for reference in random.choice(len(cycles), 3):
        found = no_worse_than(of, _of(int(cycles[reference]), used[reference]))
        assert found.interval_cycles <= cycles[reference]
        assert (np.array(taken(found)) <= used[reference]).all()
        no_worse = (cycles <= cycles[reference]) & (used <= used[reference]).all(1)
        assert points([found], TARGET, "shares")[0][1] == min(tuple(row) for row in ranked[no_worse].tolist())


def _of(cycles: int, used: Counts) -> Priced:
    """A network that takes this."""
    (unit,) = chain(small.pool(1, 1, 1))
    luts, bram18s, urams, dsps = map(int, used)
    return of_units((replace(unit, cycles=cycles, luts=luts, bram18s=bram18s, urams=urams, dsps=dsps),))


def test_a_choice_keeps_the_units() -> None:
    units = random_network(np.random.default_rng(0))
    found = fastest(space(units, TARGET, UNLIMITED))
    for one, other in zip(units, found.units, strict=True):
        assert (one.folded.node, one.layer, one.inputs, one.operation) == (
            *(other.folded.node, other.layer, other.inputs, other.operation),
        )


def test_urams_that_a_device_has_not_are_avoided() -> None:
    units = chain(small.window(64, 32, 3, 8))
    assert taken(smallest(space(units, fpga("xczu3eg")), 10**9))[2] == 0
    with_urams = smallest(space(units, replace(fpga("xczu3eg"), urams=10**6)), 10**9)
    assert taken(with_urams)[2] == 1  # a millionth is the least share


def test_more_than_a_device_has_is_said() -> None:
    units = chain(small.matrix(64, 32, 4, 1, rtl=True))
    of = space(units, replace(fpga("xczu3eg"), dsps=3))
    with pytest.raises(
        ValueError,
        match=r"^no folding with at most 40 cycles per frame is within the limits on xczu3eg: the least overfull takes "
        r"16 DSP of 3$",
    ):
        smallest(of, 40)
    with pytest.raises(ValueError, match=r"^'MVAU_rtl_0' needs at least 8 cycles per frame, more than 7$"):
        smallest(of, 7)
    with pytest.raises(ValueError, match=r"^no folding with at most 512 cycles per frame is .* takes 1 BRAM18 of 0$"):
        fastest(space(units, TARGET, Limits(bram=0)))


def test_what_is_smaller_than_all_is_said() -> None:
    units = chain(small.matrix(64, 32, 4, 1, rtl=True))
    with pytest.raises(
        ValueError,
        match=r"^no folding within the limits on xczu3eg needs at most 32 cycles per frame and takes no more than "
        r"0 LUT, 1 BRAM18, 0 URAM, 3 DSP$",
    ):
        no_worse_than(space(units, TARGET, UNLIMITED), _of(32, np.array([0, 1, 0, 3])))


def test_unknown_objectives_name_the_known_ones() -> None:
    assert [known(name) for name in OBJECTIVES] == list(OBJECTIVES)
    with pytest.raises(
        ValueError, match=r"^an objective for FINN is shares, utilization, lut, bram, uram, dsp, not 'ff'$"
    ):
        known("ff")


@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_limits_are_shares(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^a limit is a share of the device, at least 0, not dsp = {value:g}$"):
        Limits(dsp=value)
    with pytest.raises(ValueError, match=r"^the weights of a PE have at least 1 bit, not 0$"):
        Limits(weight_bits=0)


def test_no_limit_is_no_limit() -> None:
    assert UNLIMITED.most(TARGET).tolist() == [inf] * 4
    assert Limits(lut=0.5).most(TARGET).tolist() == [2500, 14, 0, 24]
