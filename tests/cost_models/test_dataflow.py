"""The dataflow cost model: its terms and bounds, what it chooses, what it refuses, and what must hold for every price.

The coefficients are fitted to measurements, so that no number that they predict is written here.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from itertools import pairwise, product
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from hwdse import calibrated, placement, terms, variants
from hwdse.accelerator import Choice, Quantised, elements
from hwdse.alternatives import DEEPEST_IN_LUTS, FEW_LEVELS, RELIABLE, Multiplier, joined, ways
from hwdse.arithmetic import DSP_PORTS
from hwdse.calibrated import Fits
from hwdse.cost import LayerCost, Resources
from hwdse.cost_model import FpgaCostModel
from hwdse.cost_models import dataflow
from hwdse.cost_models.dataflow import (
    PIPELINE_STAGES,
    UNPRICED,
    Accumulator,
    Dataflow,
)
from hwdse.design import Design, Folding, Quantizer
from hwdse.folding import cycles, fold
from hwdse.latency import latency_cycles
from hwdse.matrix_vector import Style
from hwdse.memory import LUT_WORDS, utilization
from hwdse.netlist import rtl_digest
from hwdse.structure.blocks import FABRICS
from hwdse.target import FpgaTarget, devices, fpga
from hwdse.thresholds import levels
from hwdse.workload import Layer, Workload
from tests.cost_models.workloads import (
    ADD,
    ALL_KINDS,
    AVG_POOL,
    CONV,
    DEPTHWISE,
    LAYERS,
    LINEAR,
    MATMUL,
    MAX_POOL,
    NORM,
    SITES,
    TABLE,
    conv,
    design,
    linear,
)

CYCLES = 20_000  # per frame
FOLDING = fold(ALL_KINDS, CYCLES)
TARGET = fpga("ecp5_85f")
PACKING = fpga("xczu7ev")  # its DSP blocks hold several small products
LUT, DSP = Dataflow(multiplier="lut"), Dataflow(multiplier="dsp")
INT4 = design("int4:channel", "uint4", FOLDING)
PARTS = ("weights", "activations", "folding")  # of a design
CLAIMED = [name for name in devices() if Dataflow().claims(fpga(name))]


def term(cost: LayerCost, name: str) -> Resources:
    """The area of the term called `name`."""
    (area,) = (part.area for part in cost.terms if part.name == name)
    return area


def names(cost: LayerCost) -> set[str]:
    """The names of a layer's terms, each of them once."""
    found = [part.name for part in cost.terms]
    assert len(found) == len(set(found))
    return set(found)


def price(
    layer: Layer, how: Design = INT4, target: FpgaTarget = TARGET, model: FpgaCostModel | None = None
) -> LayerCost:
    """The cost of one layer."""
    return (model or Dataflow()).layer(layer, how, target)


def alone(layer: Layer, weights: str, activations: str, folding: Folding) -> Design:
    """A design of one layer."""
    sites = {site: Quantizer.parse(activations) for site in (*layer.inputs, *layer.outputs)}
    return Design.of({layer.name: Quantizer.parse(weights)}, sites, {layer.name: folding})


def at_most(low: Resources, high: Resources) -> bool:
    """Whether no count of `low` is above that of `high`."""
    return all(getattr(low, field.name) <= getattr(high, field.name) for field in fields(Resources))


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Lets a test change the fits: prices are kept, and must not outlive it."""
    caches = (dataflow._together, dataflow._made, dataflow._offer, terms.of)
    for cached in caches:
        cached.cache_clear()
    yield monkeypatch
    for cached in caches:
        cached.cache_clear()


# ---- the whole network ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLAIMED)
def test_a_network_fits_or_not_in_whole_numbers(name: str) -> None:
    cost = Dataflow().cost(ALL_KINDS, INT4, fpga(name), clock_mhz=100)
    assert cost.interval_cycles == max(cycles(layer, FOLDING[layer.name]) for layer in LAYERS if layer.inputs)
    assert cost.interval_cycles <= CYCLES
    assert cost.label == "without norm, softmax, rotation, embedding, other, low_rank"
    assert cost.area.luts > 0 < cost.area.ffs
    assert cost.area.urams == 0
    assert LUT.cost(ALL_KINDS, INT4, fpga(name), clock_mhz=100).area.dsps == 0


@pytest.mark.parametrize("weights", ["int4:channel", "e2m1:channel", "int8", "e4m3"])
@pytest.mark.parametrize("multiplier", ["auto", "lut", "dsp"])
def test_the_area_is_within_its_bounds(weights: str, multiplier: Multiplier) -> None:
    how = design(weights, weights.split(":")[0], FOLDING)
    for target in (TARGET, PACKING):
        cost = Dataflow(multiplier=multiplier).cost(ALL_KINDS, how, target, clock_mhz=100)
        for part in (part for layer in cost.layers for part in layer.terms):
            for area in (part.low or part.area, part.area, part.high or part.area):
                assert 0 <= area.lutrams <= area.luts
                assert (area.dsps, area.brams) == (part.area.dsps, part.area.brams)  # rules, without an error
            assert at_most(part.low or part.area, part.area)
            assert at_most(part.area, part.high or part.area)
        assert all((part.low is None) == (part.high is None) for layer in cost.layers for part in layer.terms)


def test_a_network_with_nothing_inside_has_no_price() -> None:
    outside = Workload("outside", (NORM,), SITES, (3, 32, 32))
    assert Dataflow().layers(outside, INT4, TARGET) == ()
    with pytest.raises(ValueError, match=r"^a dataflow accelerator has at least one layer$"):
        Dataflow().cost(outside, INT4, TARGET, 100)


def test_bounds_add_up() -> None:
    cost = Dataflow().cost(ALL_KINDS, INT4, TARGET, clock_mhz=100)
    parts = [part for layer in cost.layers for part in layer.terms]
    low = sum((part.low or part.area for part in parts), Resources())
    high = sum((part.high or part.area for part in parts), Resources())
    assert cost.bounds == (low, high)
    assert low.luts < cost.area.luts < high.luts
    assert {part.name for part in parts if part.low is None} == {"operand buffer", "bias"}


def quantised(layer: Layer, weights: str, activations: str, folding: Folding, target: FpgaTarget = TARGET) -> Quantised:
    """`layer` with these quantisers everywhere."""
    operands = [Quantizer.parse(activations) for _ in layer.inputs]
    operands += [Quantizer.parse(weights)] * (layer.weights > 0)
    return Quantised(
        layer, tuple(operands), tuple(Quantizer.parse(activations) for _ in layer.outputs), folding, target
    )


def made(q: Quantised, choice: Choice) -> LayerCost:
    """The price of `q` as `choice` makes it."""
    units = elements(q, choice)
    found = [part for one in terms.of(units, q.target.family) for part in one]
    return dataflow._price(q, units, found, "tight")


def options(q: Quantised, multiplier: Multiplier = "auto") -> dict[Choice, LayerCost]:
    """The price of `q` for every combination of the ways of its parts."""
    found = ways(q, multiplier)
    every = product(*([way.choice for way in some] for some in found.values()))
    choices = [joined(dict(zip(found, choices, strict=True))) for choices in every]
    return {choice: made(q, choice) for choice in choices}


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer.inputs], ids=lambda layer: layer.name)
def test_a_layer_is_its_units_and_nothing_twice(layer: Layer) -> None:
    q, found = quantised(layer, "int4:channel", "uint4", FOLDING[layer.name]), price(layer)
    loose = sum((part.area for part in found.terms if part.low is None), Resources())
    for choice, cost in options(q).items():
        units = [part.area for one in terms.of(elements(q, choice), TARGET.family) for part in one]
        assert sum(units, loose) == cost.area
    assert found in options(q).values()


def test_blocks_are_counted_once() -> None:
    large = linear("fc", "x", ("y",), 4 * LUT_WORDS, 4096)  # a vector that is kept in LUTs
    for model, target in ((Dataflow(), TARGET), (DSP, TARGET), (DSP, PACKING)):
        found = price(large, alone(large, "int8", "uint8", Folding(4, 4)), target, model)
        # 2**17 words of 128 bits are rows of 2048 or 4096 words, side by side in blocks of 18 Kib, or in pairs of them.
        least = -(-(2**17) * 128 // (18 * 1024))
        assert term(found, "weights").brams in (least, least + least % 2)
        others = [part.area.brams for part in found.terms if part.name not in ("weights", "thresholds")]
        assert others == [0] * len(others)
        assert found.area.dsps == term(found, "multipliers").dsps


def test_time_of_a_layer() -> None:
    cost = price(CONV, alone(CONV, "int4", "uint5", Folding(8, 3)))
    assert cost.cycles == cycles(CONV, Folding(8, 3))
    assert cost.fill_cycles == PIPELINE_STAGES + 5  # five comparisons to uint5, because its levels are too many at once
    assert price(MAX_POOL).fill_cycles == PIPELINE_STAGES


def test_latency_comes_from_the_graph() -> None:
    cost = Dataflow().cost(ALL_KINDS, INT4, TARGET, clock_mhz=100)
    assert cost.latency_cycles == latency_cycles(ALL_KINDS, cost.layers) > cost.interval_cycles


def test_terms_of_every_kind() -> None:
    ends = {"thresholds", "fifo", "placement"}
    matrix = {"placement", "multipliers", "adder tree", "accumulators", "control", "input buffer", "fifo"}
    assert names(price(CONV)) == {"window", "weights", *matrix, *ends}
    assert names(price(CONV, alone(CONV, "e3m2", "e3m2", Folding(1, 9)))) == {
        *("window", "window parts", "alignment", "weights"),
        *matrix,
        *ends,
    }
    assert names(price(DEPTHWISE)) == {"window", "weights", *matrix, *ends}
    assert names(price(MATMUL, alone(MATMUL, "int4", "uint4", Folding(2, 2)))) == {"operand buffer", *matrix, *ends}
    assert names(price(LINEAR, alone(LINEAR, "int4", "uint4", Folding(2, 2)))) == {"weights", "bias", *matrix}
    assert names(price(ADD)) == {"add", *ends}
    assert names(price(MAX_POOL)) == {"window", "pool", "fifo", "placement"}
    assert names(price(AVG_POOL)) == {"pool", *ends}
    assert names(price(TABLE)) == {"table", "fifo"}  # without a carry chain, to which placement adds


def test_only_what_multiplies_reports_a_folding() -> None:
    assert [price(layer).folding is None for layer in (CONV, MATMUL, ADD, TABLE)] == [False, False, True, True]
    bits = [price(layer).accumulator_bits for layer in (CONV, ADD, AVG_POOL, TABLE, MAX_POOL)]
    assert bits == [13, 6, 11, None, None]  # 27 x 7 x 15, 2 x 15 and 64 x 15, in two's complement


def test_without_hardware_every_consumer_has_its_thresholds() -> None:
    twice = replace(CONV, outputs=("a", "b"))
    for name in ("thresholds", "fifo"):
        assert term(price(twice), name).luts == 2 * term(price(CONV), name).luts
    assert "branch" in names(price(twice)) - names(price(CONV))
    loose = replace(ALL_KINDS, hardware=False)
    assert "add" in Dataflow().cost(loose, INT4, TARGET, 100).outside


# ---- the parts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pes", [4, 16])
def test_pes_multiply_the_lanes(pes: int) -> None:
    one, cost = (price(CONV, alone(CONV, "e3m2", "ue3m3", Folding(pe, 9))) for pe in (1, pes))
    for part in ("multipliers", "alignment", "adder tree", "accumulators"):
        rounded = (pes + 1) / 2  # a term is a whole number
        assert term(cost, part).luts == pytest.approx(pes * term(one, part).luts, abs=rounded)


def test_a_whole_dot_product_at_once_needs_no_accumulator() -> None:
    cost = price(LINEAR, alone(LINEAR, "int4", "int4", Folding(2, 32)))
    assert term(cost, "accumulators").luts == 0 < term(cost, "accumulators").ffs


@pytest.mark.parametrize("name", [name for name in CLAIMED if FABRICS[fpga(name).family].rams])
def test_weights_go_where_there_is_room(name: str) -> None:
    """Without RAM in LUTs the kept vector is in the same blocks."""
    layer, how = (linear("fc", "x", (), 16, 16), Folding(1, 1))
    few_luts, few_blocks = (replace(fpga(name), luts=9_000, brams=brams) for brams in (10_000, 5))
    block, luts = (price(layer, alone(layer, "int8", "int8", how), target) for target in (few_luts, few_blocks))
    assert term(block, "weights").luts == 0 < term(block, "weights").brams
    assert term(luts, "weights").brams == 0 < term(luts, "weights").luts
    assert term(luts, "weights").lutrams == 0  # a ROM is logic
    deep = linear("fc", "x", (), 2 * DEEPEST_IN_LUTS // 16, 16)
    assert term(price(deep, alone(deep, "int8", "int8", how), few_blocks), "weights").brams > 0
    wires = alone(layer, "int8", "int8", Folding(16, 16))
    assert "weights" not in names(price(layer, wires, few_luts))


def test_a_second_operand_is_kept_twice() -> None:
    deep, shallow = Folding(1, 1), Folding(64, 16)
    assert (
        term(price(MATMUL, alone(MATMUL, "int4", "uint4", deep)), "operand buffer").brams == 2
    )  # 8192 words of 4 bits
    buffer = term(price(MATMUL, alone(MATMUL, "int4", "uint4", shallow)), "operand buffer")
    assert buffer == Resources(luts=1024 * 6, lutrams=1024 * 6)  # 8 words of 4096 bits, of 16 x 4 in six LUTs


def test_without_block_ram_every_memory_is_in_luts() -> None:
    bare = replace(TARGET, name="bare", brams=0)
    assert Dataflow().cost(ALL_KINDS, INT4, bare, 100).area.brams == 0
    assert price(MATMUL, target=bare).area.lutrams > price(MATMUL).area.lutrams


def test_channels_of_one_scale_and_no_bias_share_thresholds() -> None:
    plain = conv("conv", "image", ("a",), (3, 64), 32, bias=False)
    shared, own = (price(plain, alone(plain, w, "int4", Folding(1, 1))) for w in ("int4", "int4:channel"))
    assert utilization(term(shared, "thresholds"), TARGET) < utilization(term(own, "thresholds"), TARGET)
    assert term(shared, "thresholds").brams == 0
    biased = replace(plain, bias=True)
    assert term(price(biased, alone(biased, "int4", "int4", Folding(1, 1))), "thresholds") == term(own, "thresholds")


def test_paper_accumulators_are_wider() -> None:
    tight, paper = (price(CONV, model=Dataflow(accumulator)) for accumulator in ("tight", "paper"))
    assert (tight.accumulator_bits, paper.accumulator_bits) == (13, 4 + 4 + 5 + 1)
    for name in ("accumulators", "thresholds"):
        assert term(paper, name).luts >= term(tight, name).luts
        assert term(paper, name).ffs > term(tight, name).ffs
    assert price(AVG_POOL, model=Dataflow("paper")) == price(AVG_POOL)  # sums nothing that the closed form is of


@pytest.mark.parametrize("weights", ["e6m1", "e7m0"])
def test_wide_exponents_are_priced_by_formula(weights: str) -> None:
    cost = price(CONV, alone(CONV, weights, weights, Folding(1, 1)))
    assert cost.accumulator_bits is not None
    assert cost.accumulator_bits > 130
    assert cost.area.luts > 1000


# ---- what is chosen ------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", ["int2 uint2", "int3 uint3", "e2m1 ue2m1", "e3m0 e3m0", "int4 uint4", "e4m3 e4m3"])
@pytest.mark.parametrize("name", CLAIMED)
def test_a_layer_alone_takes_the_least_of_the_device(pair: str, name: str) -> None:
    (weights, activations), target = pair.split(), fpga(name)
    q = quantised(CONV, weights, activations, Folding(4, 3), target)
    found, every = price(CONV, alone(CONV, weights, activations, Folding(4, 3)), target), options(q).values()
    assert found in every
    assert rank(found.area, target) == min(rank(cost.area, target) for cost in every)
    parallel = any(choice.parallel_thresholds for choice in options(q))
    assert parallel == (len(levels(q.outputs[0].format)) <= FEW_LEVELS)


def rank(area: Resources, target: FpgaTarget) -> tuple[float, int]:
    """What a design is chosen by."""
    return utilization(area, target), area.luts


SMALL = Workload("small", (CONV, DEPTHWISE, LINEAR), SITES, (3, 32, 32))
INT8 = design("int8:channel", "uint8", {"conv": Folding(4, 3), "depthwise": Folding(4, 3), "linear": Folding(2, 4)})


def combinations(target: FpgaTarget, how: Design = INT8) -> NDArray[np.int64]:
    """LUTs, FFs, DSPs and block RAMs of every combination of choices for the layers of `SMALL`."""
    found = np.zeros((1, 4), np.int64)
    for layer in SMALL.layers:
        areas = {cost.area for cost in options(dataflow.quantised(layer, how, target)).values()}
        own = np.array([[area.luts, area.ffs, area.dsps, area.brams] for area in areas])
        found = (found[:, None] + own[None]).reshape(-1, 4)
    return found


def tight(name: str, dsps: float, brams: float) -> FpgaTarget:
    """A device with these parts of the DSPs and block RAMs that are of use, and just enough LUTs for some choice."""
    every = combinations(fpga(name))
    few = [int(every[:, i].min() + part * np.ptp(every[:, i])) for i, part in ((2, dsps), (3, brams))]
    luts = every[(every[:, 2:] <= few).all(1), 0].min()
    return replace(fpga(name), luts=int(luts), dsps=few[0], brams=few[1])


DEVICES: dict[str, Callable[[], FpgaTarget]] = {
    "as it is": lambda: fpga("ecp5_25f"),
    "without DSPs": lambda: fpga("ice40_hx8k"),
    "few DSPs": lambda: tight("ecp5_25f", 0.5, 1.0),
    "few block RAMs": lambda: tight("xc7z020", 1.0, 0.3),
    "few of both": lambda: tight("ecp5_25f", 0.4, 0.3),
    "no block RAM to spare": lambda: tight("ice40_hx8k", 1.0, 0.1),
    "nothing fits": lambda: replace(made := tight("ecp5_25f", 0.4, 0.3), luts=made.luts - 1),
}


@pytest.mark.parametrize("case", DEVICES)
@pytest.mark.parametrize("all_tried", [True, False])
def test_the_joint_choice_is_the_best_of_all(case: str, all_tried: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    target = DEVICES[case]()
    monkeypatch.setattr(variants, "FEW", 10**6 if all_tried else 1)
    dataflow._together.cache_clear()
    every = np.unique(combinations(target), axis=0)
    area = Dataflow().cost(SMALL, INT8, target, 100).area
    ranks = [rank(Resources(*row), target) for row in every.tolist()]
    assert rank(area, target) == min(ranks)
    if target.luts != fpga(target.name).luts:
        assert (min(ranks)[0] > 1) == (case == "nothing fits")


@pytest.mark.parametrize("case", ["few DSPs", "few of both"])
def test_layers_that_each_choose_for_themselves_may_not_fit(case: str) -> None:
    target = DEVICES[case]()
    selfish = sum((price(layer, INT8, target).area for layer in SMALL.layers), Resources())
    assert utilization(selfish, target) > 1 >= utilization(Dataflow().cost(SMALL, INT8, target, 100).area, target)


@pytest.mark.parametrize("name", CLAIMED)
@pytest.mark.parametrize("accumulator", ["tight", "paper"])
def test_the_units_of_a_network_are_those_of_its_price(name: str, accumulator: Accumulator) -> None:
    model, target = Dataflow(accumulator), fpga(name)
    cost, units = model.cost(ALL_KINDS, INT4, target, 100), model.elements(ALL_KINDS, INT4, target)
    assert list(units) == [layer.layer for layer in cost.layers]
    for layer in cost.layers:
        loose = sum((part.area for part in layer.terms if part.low is None), Resources())
        found = (part.area for one in terms.of(units[layer.layer], target.family) for part in one)
        assert sum(found, loose) == layer.area


@pytest.mark.parametrize("formats", ["int2 uint2", "int4 uint4", "e2m1 e2m1", "int8 uint8", "e3m4 ue3m3"])
def test_more_to_choose_from_never_uses_more(formats: str) -> None:
    weights, activations = formats.split()
    how = design(weights, activations, FOLDING)
    for target in map(fpga, CLAIMED):
        auto, lut = (utilization(m.cost(ALL_KINDS, how, target, 100).area, target) for m in (Dataflow(), LUT))
        assert auto <= lut


CHOICES = [
    Choice(weights_in_block=block, parallel_thresholds=parallel, thresholds_in_block=deep, window_in_block=window)
    for block, parallel, deep, window in product((False, True), (False, True), (None, False), (False, True))
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_one_bit_more_never_takes_less_of_anything_where_nothing_is_chosen(choice: Choice) -> None:
    for layer, target in product((CONV, LINEAR), (TARGET, PACKING)):  # iCE40s move a RAM to a block when it gets wider
        every = [quantised(layer, f"int{b}", f"uint{b}", FOLDING[layer.name], target) for b in range(2, 9)]
        areas = [made(q, choice).area for q in every]
        for one, next_ in pairwise(areas):
            assert at_most(replace(one, lutrams=0), replace(next_, lutrams=0))


def test_one_bit_more_may_use_less_where_yosys_takes_dsps_from_nine_bits_on() -> None:
    products = [alone(LINEAR, "e4m3", f"uint{bits}", FOLDING["linear"]) for bits in (4, 5)]
    eight, nine = (price(LINEAR, how, fpga("u250")) for how in products)
    assert eight.area.dsps == 0 < nine.area.dsps
    assert utilization(nine.area, fpga("u250")) < utilization(eight.area, fpga("u250"))


def scaled(module: str, factors: Mapping[str, float]) -> Callable[[str, str], Fits]:
    """The fits, with coefficients of `module` times factors: of a part by its name, of the others by ''."""
    real = calibrated.of

    def of(name: str, family: str) -> Fits:
        found = real(name, family)
        if name != module:
            return found
        counts = {
            part: value * factors.get(part, factors.get("", 1.0)) for part, value in found.luts.coefficients.items()
        }
        return replace(found, luts=replace(found.luts, coefficients=counts))

    return of


@pytest.mark.parametrize(
    ("factors", "style"), [({"multiplier": 0.0}, "table"), ({"shifter": 0.0, "exponents": 0.0}, "shift")]
)
def test_products_are_a_table_where_that_is_smaller(
    fits: pytest.MonkeyPatch, factors: Mapping[str, float], style: Style
) -> None:
    fits.setattr(calibrated, "of", scaled("mvu", factors))
    q = quantised(CONV, "e2m1", "uint5", Folding(4, 3)), quantised(CONV, "e2m1", "e2m1", Folding(4, 3))
    wide, small = (price(one.layer, alone(one.layer, "e2m1", one.operands[0].name, one.folding)) for one in q)
    assert small in [cost for choice, cost in options(q[1]).items() if choice.style == style]
    assert wide in options(q[0]).values()  # eight bits of address are no table


@pytest.mark.parametrize(("factor", "steps"), [(0.0, 1), (100.0, 4)])
def test_thresholds_are_compared_at_once_where_that_is_smaller(
    fits: pytest.MonkeyPatch, factor: float, steps: int
) -> None:
    fits.setattr(calibrated, "of", scaled("threshold_parallel", {"": factor}))
    assert price(CONV, alone(CONV, "int4", "uint4", Folding(4, 3))).fill_cycles == PIPELINE_STAGES + steps
    assert price(CONV, alone(CONV, "int4", "uint5", Folding(4, 3))).fill_cycles == PIPELINE_STAGES + 5


@pytest.mark.parametrize("name", CLAIMED)
def test_dsps_replace_multipliers(name: str) -> None:
    target, int8 = fpga(name), alone(CONV, "int8", "uint8", Folding(8, 3))
    plenty = replace(target, luts=10_000, dsps=10_000)
    assert price(CONV, int8, plenty, LUT).area.dsps == 0
    assert (price(CONV, int8, plenty).area.dsps > 0) == (target.dsp in RELIABLE)
    assert price(CONV, int8, replace(plenty, dsps=0)).area.dsps == 0
    if target.dsp in DSP_PORTS:
        dsp = price(CONV, int8, target, DSP)
        assert term(dsp, "multipliers").dsps > 0
        assert term(dsp, "multipliers").luts < term(price(CONV, int8, target, LUT), "multipliers").luts
    else:
        message = f"a DSP block is {', '.join(DSP_PORTS)}, not {target.dsp!r}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            price(CONV, int8, target, DSP)


def test_two_int8_share_a_dsp48_and_those_of_a_depthwise_layer_do_not() -> None:
    for layer, target, blocks in ((CONV, PACKING, 4 * 3), (DEPTHWISE, PACKING, 8 * 3), (CONV, TARGET, 8 * 3)):
        found = price(layer, alone(layer, "int8", "uint8", Folding(8, 3)), target, DSP)
        assert found.area.dsps == blocks


def test_significands_are_multiplied_in_dsps_and_shifted_after() -> None:
    dsp = price(CONV, alone(CONV, "e3m2", "e3m2", Folding(1, 3)), model=DSP)
    assert term(dsp, "multipliers").dsps == 3
    assert term(dsp, "alignment").luts > 0
    assert price(CONV, alone(CONV, "e3m0", "e3m0", Folding(1, 3)), model=DSP).area.dsps == 0  # nothing to multiply


# ---- what a design must say ----------------------------------------------------------------------


def without(what: str, name: str) -> Design:
    """`INT4` without one entry of its weights, activations or folding."""
    kept = {key: {n: value for n, value in getattr(INT4, key) if (key, n) != (what, name)} for key in PARTS}
    return Design.of(kept["weights"], kept["activations"], kept["folding"])


def quantized(what: str, name: str, quantizer: str) -> Design:
    """`INT4` with another quantizer."""
    tables = {key: dict(getattr(INT4, key)) for key in PARTS}
    tables[what][name] = Quantizer.parse(quantizer)
    return Design.of(tables["weights"], tables["activations"], tables["folding"])


def folded(name: str, folding: Folding) -> Design:
    """`INT4` with another folding."""
    return replace(INT4, folding=tuple((key, folding if key == name else f) for key, f in INT4.folding))


@pytest.mark.parametrize(
    ("layer", "how", "message"),
    [
        (NORM, INT4, "layer 'norm' (norm) is outside the accelerator and has no price"),
        (CONV, without("weights", "conv"), "layer 'conv' has no weight quantizer"),
        (CONV, without("activations", "image"), "layer 'conv' has no activation quantizer at site 'image'"),
        (CONV, without("activations", "a"), "layer 'conv' has no activation quantizer at site 'a'"),
        (CONV, without("folding", "conv"), "layer 'conv' has no folding"),
        (CONV, folded("conv", Folding(3, 1)), "PE divides 16 in layer 'conv', so its folding is not 3x1"),
        (CONV, folded("conv", Folding(1, 2)), "SIMD divides 27 in layer 'conv', so its folding is not 1x2"),
        (
            CONV,
            quantized("weights", "conv", "e2m1:group32"),
            "MX groups have no FPGA price yet, but layer 'conv' has 'e2m1:group32'",
        ),
        (
            CONV,
            quantized("activations", "a", "e2m1:group32"),
            "MX groups have no FPGA price yet, but layer 'conv' has 'e2m1:group32'",
        ),
        (
            CONV,
            quantized("activations", "image", "int4:channel"),
            "activations share one scale, but layer 'conv' has 'int4:channel'",
        ),
        (
            replace(ADD, inputs=("c", "d")),
            quantized("activations", "d", "int5"),
            "the operands of an add share a format, but layer 'add' adds uint4 and int5",
        ),
        (replace(MATMUL, inputs=("e",)), INT4, "a matmul reads 2 quantised sites, but layer 'matmul' 1"),
        (replace(TABLE, outputs=()), INT4, "a table ends in a quantised site, but layer 'gelu' in none"),
    ],
)
def test_errors_name_the_layer(layer: Layer, how: Design, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        price(layer, how)


def test_a_stream_layer_takes_a_channel_a_cycle_unless_told() -> None:
    assert price(ADD, without("folding", "add")).cycles == 256 * 32
    assert price(ADD, folded("add", Folding(8, 1))).cycles == 256 * 4


def test_settings() -> None:
    assert Dataflow().name == "dataflow"
    assert Dataflow("paper", "dsp").name == 'dataflow(accumulator="paper", multiplier="dsp")'
    with pytest.raises(ValueError, match=r"^accumulator is tight or paper, not 'loose'$"):
        Dataflow(cast(Accumulator, "loose"))
    with pytest.raises(ValueError, match=r"^multiplier is auto or lut or dsp, not 'lego'$"):
        Dataflow(multiplier=cast(Multiplier, "lego"))


@pytest.mark.parametrize("family", ["mystery", "artix-9"])
def test_a_family_without_fits_is_not_claimed(family: str) -> None:
    strange = replace(TARGET, name="x1", family=family)
    assert not Dataflow().claims(strange)
    with pytest.raises(ValueError, match=r"^cost model 'dataflow' does not price device 'x1'$"):
        Dataflow().cost(ALL_KINDS, INT4, strange, 100)


def test_what_is_claimed_is_what_was_measured() -> None:
    families = {calibrated.SAME_LUTS.get(fpga(name).family, fpga(name).family) for name in CLAIMED}
    assert {"ecp5", "xcup"} <= families <= set(calibrated.families())
    assert {"vck190", "xczu7ev"} <= set(CLAIMED)  # Versal has the LUTs of UltraScale+


@pytest.mark.parametrize("name", CLAIMED)
def test_calibration_says_what_was_measured_and_what_has_no_price(name: str) -> None:
    said = Dataflow().calibration(fpga(name))
    known = f"{calibrated.summary(fpga(name).family)} {placement.summary(fpga(name))}"
    assert said == f"{known} Latency is an estimate. Not priced: {UNPRICED}"
    assert f"calibrated on {fpga(name).family}" in said


def test_rtl_that_has_changed_since_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "STALE" not in Dataflow().calibration(TARGET)
    monkeypatch.setattr(calibrated, "rtl_digest", lambda module: "other" if module == "mvu" else rtl_digest(module))
    assert " STALE: the RTL of mvu has changed since; run hwdse calibrate." in Dataflow().calibration(TARGET)


def test_pricing_again_is_fast() -> None:
    ten = Workload("ten", tuple(replace(CONV, name=f"conv{i}") for i in range(10)), SITES, (3, 32, 32))
    many = Design.of(
        {layer.name: Quantizer.parse("e2m1:channel") for layer in ten.layers},
        {site.name: Quantizer.parse("ue2m2") for site in SITES},
        fold(ten, CYCLES),
    )
    model = Dataflow()
    first = model.cost(ten, many, TARGET, 100)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert model.cost(ten, many, TARGET, 100) == first
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.001
