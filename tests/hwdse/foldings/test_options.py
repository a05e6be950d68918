"""The options of a layer: every folding and every way of every part, less what is never better, priced as terms are."""

import re

import numpy as np
import pytest

from hwdse import terms
from hwdse.accelerator import Quantised
from hwdse.alternatives import ways
from hwdse.cost_models.dataflow import Dataflow, made
from hwdse.design import Folding, Quantizer
from hwdse.folding import legal
from hwdse.foldings.limits import UNLIMITED, Limits, stream_bits, weight_bits
from hwdse.foldings.options import Formats, layer_options, minimal, of
from hwdse.target import FpgaTarget, fpga
from hwdse.variants import counts, nondominated
from hwdse.workload import OUTSIDE, Layer
from tests.cost_models.workloads import ADD, ALL_KINDS, CONV, LINEAR, MATMUL, conv
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
            one = quantised(layer, "int4 int4", found.foldings[row], AMD)
            cost = made(one, found.choices[row], MODEL.accumulator)
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


def test_options_of_many_formats_at_one_rate() -> None:
    narrow, wide = Quantizer.parse("int4:channel"), Quantizer.parse("int8:channel")
    inputs, outputs = Quantizer.parse("uint4"), Quantizer.parse("uint8")
    formats = [Formats(weights, inputs, outputs) for weights in (narrow, wide)]
    small, large = layer_options(CONV, formats, 8192, ECP5, MODEL)
    assert small.cycles.max() <= 8192
    assert small.counts[:, 0].min() < large.counts[:, 0].min()
    whole = of(Quantised(CONV, (inputs, narrow), (outputs,), Folding(), ECP5), MODEL, UNLIMITED).within(8192)
    assert small.counts.tolist() == whole.counts.tolist()
    assert small.foldings == whole.foldings
    (add,) = layer_options(ADD, [Formats(None, inputs, outputs)], 1024, ECP5, MODEL)
    assert add.cycles.max() <= 1024


def test_what_is_too_fast_or_has_no_price_is_one_sentence() -> None:
    formats = Formats(Quantizer.parse("int4"), Quantizer.parse("uint4"), Quantizer.parse("uint4"))
    text = "layer 'conv' needs at least 1024 cycles per frame, more than 1023"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        layer_options(CONV, [formats], 1023, ECP5, MODEL)
    text = "MX groups have no FPGA price yet, but layer 'conv' has 'int4:group16'"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        layer_options(CONV, [formats._replace(weights=Quantizer.parse("int4:group16"))], 8192, ECP5, MODEL)


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
