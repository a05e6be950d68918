"""The energy of layers and frames: by hand for tiny layers, and what is said of it."""

from dataclasses import replace
from math import sqrt

import pytest

from hwdse.accelerator import Choice, elements
from hwdse.activity import Access, Add, Multiply
from hwdse.codec import decode, encode
from hwdse.cost import FpgaCost, LayerCost
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Folding
from hwdse.energy import Energy, Stated
from hwdse.energy_figures import figures
from hwdse.energy_model import energy_of, layer_energy, operation_pj, stated
from hwdse.folding import fold
from hwdse.target import devices, fpga
from tests.cost_models.workloads import ALL_KINDS, design
from tests.hwdse.test_activity import TINY, quantised

BLOCK = 18 * 128  # bytes


def add(bits: int) -> float:
    """pJ of an addition in LUTs: through 0.03 pJ at 8 bits and 0.1 pJ at 32, times 14."""
    return 14 * (0.03 + (bits - 8) * 0.07 / 24)


def multiply(n: int, m: int) -> float:
    """pJ of a product in standard cells: through 0.2 pJ at 8 bits and 3.1 pJ at 32."""
    return n * m * 0.575 / 192 + (n + m) / 2 * 0.1 / 96


def in_luts(bits: int, words: int) -> float:
    """pJ of a word: 10 pJ for 64 bits of 8 KB, by the square root of a column's bytes, times 14."""
    return 14 * 10 * bits / 64 * sqrt(words / 8 / 8192)


def near(expected: float) -> object:
    """Equal but for the rounding of some tens of additions."""
    return pytest.approx(expected, rel=1e-13)


def test_operations() -> None:
    known = figures()
    assert operation_pj(Add("sums", 7, 8), known, BLOCK) == near(14 * 0.03)
    assert operation_pj(Multiply(7, (8, 8)), known, BLOCK) == near(14 * 0.2)
    assert operation_pj(Multiply(7, (8, 8), dsp=True), known, BLOCK) == near(0.2)
    assert operation_pj(Access("memory", 7, 64, 512), known, BLOCK) == near(14 * 10 * sqrt(64 / 8192))
    assert operation_pj(Access("memory", 7, 64, 512, block=True), known, BLOCK) == near(10 * sqrt(2304 / 8192))
    assert operation_pj(Access("memory", 7, 64, 99, block=True), known, 512) == near(10 * sqrt(512 / 8192))


def test_they_are_added_by_what_they_are_for() -> None:
    products, sums = (Multiply(2, (8, 8)), Add("products", 1, 8)), (Add("sums", 3, 8),)
    others = (Add("comparisons", 5, 32), Access("memory", 4, 64, 256, block=True))
    energy = energy_of((*products, *sums, *others), figures(), fpga("ice40_hx8k"))
    assert energy.products_pj == near(14 * (2 * 0.2 + 0.03))
    assert energy.sums_pj == near(14 * 3 * 0.03)
    assert energy.comparisons_pj == near(14 * 5 * 0.1)
    assert energy.memory_pj == near(4 * 10 * sqrt(512 / 8192))  # its blocks have 4 Kib


def test_a_tiny_integer_layer() -> None:
    """The operations of `test_activity.test_integers`."""
    q = quantised(TINY, "int4", "uint4", Folding(1, 2))
    energy = layer_energy(q, elements(q, Choice()))
    assert energy.products_pj == near(14 * 8 * multiply(4, 4))
    assert energy.sums_pj == near(4 * add(9) + 4 * add(10))
    assert energy.comparisons_pj == near(4 * add(10))
    memory = 4 * in_luts(8, 2) + 4 * in_luts(8, 4) + 2 * in_luts(10, 2)
    assert energy.memory_pj == near(memory)


def test_a_tiny_minifloat_layer() -> None:
    """The operations of `test_activity.test_minifloats_multiply_significands_..`."""
    q = quantised(TINY, "e2m1:channel", "ue2m1", Folding(1, 4))
    energy = layer_energy(q, elements(q, Choice()))
    assert energy.products_pj == near(14 * 8 * multiply(2, 2) + 24 * add(9) + 8 * add(3))
    assert energy.sums_pj == near(4 * add(10) + 2 * add(11))


def test_weights_in_block_ram() -> None:
    q = quantised(TINY, "int4", "uint4", Folding(1, 2))
    luts, block = (layer_energy(q, elements(q, Choice(weights_in_block=there))) for there in (False, True))
    assert replace(block, memory_pj=0.0) == replace(luts, memory_pj=0.0)
    difference = 4 * (10 * 8 / 64 * sqrt(BLOCK / 8192) - in_luts(8, 4))
    assert block.memory_pj - luts.memory_pj == pytest.approx(difference, rel=1e-12)  # a difference of two sums


def test_wider_formats_take_more() -> None:
    narrow, wide = (quantised(TINY, w, "uint4", Folding(1, 2)) for w in ("int4", "int8"))
    assert layer_energy(narrow, elements(narrow, Choice())).dynamic_pj < (
        layer_energy(wide, elements(wide, Choice())).dynamic_pj
    )


# ---- of a network --------------------------------------------------------------------------------


def priced(device: str, clock_mhz: float = 100.0) -> FpgaCost:
    """All kinds of layers on `device`."""
    how = design("int4:channel", "uint4", fold(ALL_KINDS, 20_000))
    return Dataflow().cost(ALL_KINDS, how, fpga(device), clock_mhz)


def test_a_network_is_its_layers_and_the_static_power_between_two_frames() -> None:
    cost = priced("ice40_up5k")
    energy = cost.energy
    assert energy is not None
    layers = [layer.energy for layer in cost.layers if layer.energy is not None]
    assert len(layers) == len(cost.layers)
    assert energy.dynamic == sum(layers, Energy())
    assert energy.dynamic.dynamic_pj > 0
    assert energy.static_pj == near(9e-5 * cost.interval_cycles / 1e8 * 1e12)
    assert energy.label == "dynamic and static"


def test_half_the_clock_doubles_the_static_part_alone() -> None:
    fast, slow = (priced("xc7z020", clock).energy for clock in (100.0, 50.0))
    assert fast is not None
    assert slow is not None
    assert slow.dynamic == fast.dynamic
    assert fast.static_pj is not None
    assert slow.static_pj == near(2 * fast.static_pj)


def test_a_device_without_a_figure_has_no_static_part() -> None:
    energy = priced("ecp5_85f").energy
    assert energy is not None
    assert (energy.static_pj, energy.label) == (None, "dynamic only")
    assert energy.total_pj == energy.dynamic.dynamic_pj


@pytest.mark.parametrize("device", devices())
def test_what_is_said(device: str) -> None:
    said, watts = stated(fpga(device)).source, stated(fpga(device)).static_watts
    assert said.startswith("a stated model, not calibrated and without an interval: ")
    assert "45 nm CMOS at 0.9 V, not scaled to the device" in said
    if device in figures().static:
        assert f"static power is {watts:g} W (" in said
    else:
        assert watts is None
        assert f"static power is missing, because no figure of {device} has a source" in said


def test_none_where_a_layer_or_the_model_says_nothing() -> None:
    cost = priced("ecp5_85f")
    assert replace(cost, stated=None).energy is None
    silent = replace(cost.layers[0], energy=None)
    assert replace(cost, layers=(silent, *cost.layers[1:])).energy is None


# ---- kept values ---------------------------------------------------------------------------------


def test_it_survives() -> None:
    cost = priced("xc7z020")
    assert decode(FpgaCost, encode(cost)) == cost


def test_a_cost_that_was_kept_before_there_were_energies() -> None:
    old = (
        '{"layers":[{"layer":"fc","terms":[],"cycles":5,"fill_cycles":1,"folding":null,"accumulator_bits":null}],'
        '"interval_cycles":5,"latency_cycles":6,"clock_mhz":100.0,"device":"u250","model":"m","calibration":"c",'
        '"outside":[]}'
    )
    found = decode(FpgaCost, old)
    assert found == FpgaCost((LayerCost("fc", (), 5, 1),), 5, 6, 100.0, "u250", "m", "c")
    assert found.energy is None
    assert decode(FpgaCost, encode(found)) == found
    with pytest.raises(ValueError, match=r"^no Stated in this JSON: a Stated has source, static_watts, not source$"):
        decode(Stated, '{"source":"x"}')  # only fields that came later may be missing
