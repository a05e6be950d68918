"""The options of a layer: every folding and every way of every part, less what is never better, priced as terms are."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwdse import terms
from hwdse.accelerator import Quantised
from hwdse.alternatives import ways
from hwdse.cost import Resources
from hwdse.cost_models.dataflow import Dataflow, alternatives, made, uncalibrated
from hwdse.design import Folding
from hwdse.folding import cycles, fast, legal
from hwdse.foldings.limits import UNLIMITED, Limits, stream_bits, weight_bits
from hwdse.foldings.options import Options, Stages, minimal, plain, tables
from hwdse.target import FpgaTarget, fpga
from hwdse.variants import Counts, counts, nondominated
from hwdse.workload import OUTSIDE, Kind, Layer
from tests.cost_models.workloads import ADD, ALL_KINDS, CONV, LINEAR, MATMUL, conv, linear, matmul
from tests.hwdse.foldings.enumerated import MODEL, rows, skyline
from tests.hwdse.test_alternatives import quantised

INSIDE = [layer for layer in ALL_KINDS.layers if layer.kind not in OUTSIDE]
AMD, ECP5 = fpga("xczu7ev"), fpga("ecp5_85f")


@pytest.mark.parametrize("target", [AMD, ECP5, fpga("ice40_hx8k")], ids=lambda target: target.name)
@pytest.mark.parametrize("pair", ["int3:channel uint3", "int8 int8", "e2m1 ue2m1"])
def test_many_units_at_once_take_what_their_terms_add_up_to(pair: str, target: FpgaTarget) -> None:
    units = [
        unit
        for layer in INSIDE
        for folding in legal(layer)[:: max(1, len(legal(layer)) // 4)]
        for found in ways(quantised(layer, pair, folding, target), "auto").values()
        for way in found
        for unit in way.units
    ]
    found = terms.areas(units, target.family)
    for unit, own in zip(units, found, strict=True):
        assert own.tolist() == counts(terms.area(unit, target.family, placed=True)[0]).tolist()


def of(q: Quantised, model: Dataflow, limits: Limits) -> Options:
    """The options of a layer with any legal folding whose streams are within `limits`."""
    foldings = tuple(folding for folding in legal(q.layer) if limits.streams(replace(q, folding=folding)))
    return tables([(plain(q), foldings)], model, Stages(1 << 30))[0]


SMALL_CONV = conv("conv", "a", ("b",), (2, 6), 8)
SMALL_DEPTHWISE = conv("depthwise", "a", ("b", "c"), (6, 6), 8, groups=6, bias=False)


@pytest.mark.parametrize("layer", [SMALL_CONV, SMALL_DEPTHWISE, ADD, LINEAR], ids=lambda layer: layer.name)
@pytest.mark.parametrize("limits", [UNLIMITED, Limits(weight_bits=24, stream_bits=20)], ids=["wide", "narrow"])
def test_options_are_the_best_of_all_foldings_and_ways(layer: Layer, limits: Limits) -> None:
    q = quantised(layer, "int4:channel uint4", Folding(), ECP5)
    every, found = rows(q, limits), of(q, MODEL, limits)
    least = {tuple(row) for row in skyline(every).tolist()}
    own = np.column_stack([found.cycles, found.counts])
    assert {tuple(row) for row in own.tolist()} == least
    assert len(found) == len(least)


def test_an_option_is_the_layer_with_its_folding_and_its_choice() -> None:
    for layer in INSIDE:
        found = of(quantised(layer, "int4 int4", Folding(), AMD), MODEL, UNLIMITED)
        for row in range(0, len(found), max(1, len(found) // 6)):
            one = quantised(layer, "int4 int4", found.folding(row), AMD)
            cost = made(one, found.choice(row), MODEL.accumulator)
            assert counts(cost.area).tolist() == found.counts[row].tolist()
            assert cost.cycles == found.cycles[row]


def test_wider_sums_cost_as_the_setting_says() -> None:
    paper = Dataflow(accumulator="paper", multiplier="lut")
    found = of(quantised(CONV, "int4 int4", Folding(), AMD), paper, UNLIMITED)
    assert found.counts[:, 2].max() == 0  # no DSP blocks
    tight = of(quantised(CONV, "int4 int4", Folding(), AMD), Dataflow(multiplier="lut"), UNLIMITED)
    assert found.counts[:, 0].min() > tight.counts[:, 0].min()


def test_what_nothing_is_below() -> None:
    random = np.random.default_rng(0)
    for size in (1, 30, 700):
        some = random.integers(0, 6, (size, 4)).astype(np.float64)
        own = {tuple(row) for row in some[minimal(some)].tolist()}
        assert own == {tuple(row) for row in some[nondominated(some)].tolist()}
        assert len(minimal(some)) == len(own)


SMALL_GROUPED = conv("grouped", "a", ("b",), (4, 8), 6, groups=2, bias=False)
SMALL_MATMUL = matmul("matmul", ("a", "b"), ("c",), 2, 8, 4, 6)
SHORT = linear("short", "a", (), 12, 10)  # its biases are the last thing of a network
OTHERS = tuple(layer for layer in INSIDE if layer.kind in (Kind.ADD, Kind.MAX_POOL, Kind.AVG_POOL, Kind.TABLE))
SETTINGS = (
    (AMD, Dataflow()),
    (AMD, Dataflow(multiplier="dsp")),
    (ECP5, Dataflow()),
    (ECP5, Dataflow(multiplier="lut", accumulator="paper")),
    (fpga("ice40_hx8k"), Dataflow()),  # without DSP blocks
)


def one_by_one(q: Quantised, foldings: Sequence[Folding], model: Dataflow) -> Counts:
    """`n x 6`, cycles and resources: of every folding every combination of ways, each unit priced for itself."""
    found = list[list[float]]()
    for folding in foldings:
        one = replace(q, folding=folding)
        parts, rest = alternatives(one, model.accumulator, model.multiplier)
        loose = counts(sum((term.area for term in uncalibrated(one)), Resources()))
        for ways_ in product(*parts.values()):
            units = [*rest, *(unit for way in ways_ for unit in way.units)]
            area = terms.areas(units, q.target.family).sum(0) + loose
            found.append([cycles(q.layer, folding), *area])
    return np.array(found)


@pytest.mark.parametrize(("target", "model"), SETTINGS, ids=lambda value: value.name)
def test_stages_that_are_priced_together_are_those_of_single_units(target: FpgaTarget, model: Dataflow) -> None:
    layers = (SMALL_CONV, SMALL_DEPTHWISE, SMALL_GROUPED, SMALL_MATMUL, SHORT, *OTHERS)
    pairs = ("int3:channel uint3", "int8 int8", "e2m1:channel ue3m2")
    every = [plain(quantised(layer, pair, Folding(), target, "uint5")) for layer in layers for pair in pairs]
    wanted = [(q, legal(q.layer)[:: max(1, len(legal(q.layer)) // 4)]) for q in every]
    for (q, foldings), found in zip(wanted, tables(wanted, model, Stages(1 << 30)), strict=True):
        least = skyline(one_by_one(q, foldings, model))
        assert sorted(np.column_stack([found.cycles, found.counts]).tolist()) == sorted(least.tolist())


def test_what_is_known_is_what_is_priced_anew() -> None:
    wanted = [
        (plain(quantised(SMALL_CONV, pair, Folding(), AMD, output)), legal(SMALL_CONV))
        for pair in ("int3:channel uint3", "int5:channel uint4")
        for output in ("uint3", "uint5")
    ]
    known = Stages(1 << 30)
    for one in wanted:
        (own,), (alone,) = tables([one], MODEL, known), tables([one], MODEL, Stages(0))
        assert own.counts.tolist() == alone.counts.tolist()
        assert [own.choice(row) for row in range(len(own))] == [alone.choice(row) for row in range(len(own))]
    assert known.found >= 3  # a window of each width and the matrix of each pair, but the first


def test_without_paces_an_option_is_the_least_at_any() -> None:
    q = plain(quantised(SMALL_CONV, "int4:channel uint4", Folding(), ECP5))
    some = fast(q.layer, 600)
    (least,) = tables([(q, some)], MODEL, Stages(0), paces=False)
    (every,) = tables([(q, legal(q.layer))], MODEL, Stages(0))
    assert sorted(least.counts.tolist()) == sorted(every.within(600).counts.tolist())
    assert least.cycles.max() <= 600 < every.cycles.max()


def test_bits_of_streams() -> None:
    some = quantised(CONV, "int4 uint3", Folding(4, 9), ECP5, output="uint5")
    assert (weight_bits(some), stream_bits(some)) == (4 * 9 * 4, 4 * 5)
    assert stream_bits(quantised(CONV, "int4 uint3", Folding(1, 9), ECP5, output="uint5")) == 3 * 3
    matmul = quantised(MATMUL, "int4 uint3", Folding(2, 8), ECP5, output="uint5")
    assert (weight_bits(matmul), stream_bits(matmul)) == (2 * 8 * 3, 8 * 3)
    add = quantised(ADD, "int4 uint3", Folding(2), ECP5, output="uint5")
    assert (weight_bits(add), stream_bits(add)) == (0, 10)
    last = quantised(LINEAR, "int4 uint3", Folding(5, 1), ECP5)
    assert stream_bits(last) == 5 * (last.sum_bits or 0)


def test_limits_are_shares_and_bits() -> None:
    assert UNLIMITED.most(ECP5).tolist() == [np.inf] * 5
    whole = Limits().most(ECP5).tolist()
    assert whole[:4] == [ECP5.luts, ECP5.ffs, ECP5.dsps, ECP5.brams]
    assert whole[4] < 1  # it has no URAM
    assert Limits(lut=0.29).most(fpga("ecp5_25f"))[0] / fpga("ecp5_25f").luts <= 0.29
    assert Limits(dsp=0).most(ECP5)[2] == 0
    for bad, text in (
        ({"lut": -0.1}, "a limit is a share of the device, at least 0, not lut = -0.1"),
        ({"bram": float("nan")}, "a limit is a share of the device, at least 0, not bram = nan"),
        ({"weight_bits": 0}, "a stream has at least 1 bit, not 0"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            Limits(**bad)
