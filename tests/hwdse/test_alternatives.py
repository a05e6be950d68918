"""The ways to make the parts of a layer: which there are, and that the parts are independent of each other."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hwdse.accelerator import Choice, Quantised, elements
from hwdse.alternatives import DEEPEST_IN_LUTS, RELIABLE, Multiplier, Way, joined, ways
from hwdse.arithmetic import DSP_PORTS
from hwdse.design import Folding, Quantizer
from hwdse.measurements import read
from hwdse.structure import blocks
from hwdse.target import FpgaTarget, devices, fpga
from hwdse.workload import Layer
from tests.cost_models.workloads import ADD, CONV, DEPTHWISE, LINEAR, MATMUL, linear

DATA = Path(__file__).parents[2] / "cost_models" / "data"
ECP5, AMD, BARE = fpga("ecp5_85f"), fpga("xczu7ev"), fpga("ice40_hx8k")
DSP_STYLES = (3, 4)  # of the RTL's STYLE


def quantised(layer: Layer, pair: str, folding: Folding, target: FpgaTarget, output: str = "uint4") -> Quantised:
    """`layer` with the formats of its weights and inputs, and of its outputs."""
    weight, activation = map(Quantizer.parse, pair.split())
    operands = (*[activation] * len(layer.inputs), *[weight] * (layer.weights > 0))
    return Quantised(layer, operands, tuple(Quantizer.parse(output) for _ in layer.outputs), folding, target)


def styles(q: Quantised, multiplier: Multiplier = "auto") -> set[str]:
    """What may multiply."""
    return {way.choice.style for way in ways(q, multiplier)["matrix"]}


def parameter(way: Way, key: str) -> int:
    """Of the first unit of a part."""
    return dict(way.units[0].parameters)[key]


@pytest.mark.parametrize("layer", [CONV, DEPTHWISE, LINEAR, MATMUL, ADD], ids=lambda layer: layer.name)
@pytest.mark.parametrize("target", [ECP5, AMD, BARE], ids=lambda target: target.name)
def test_every_combination_of_ways_is_the_layer_with_these_units(layer: Layer, target: FpgaTarget) -> None:
    q = quantised(layer, "int3:channel uint3", Folding(2, 1), target)
    found = ways(q, "auto")
    plain = elements(q, Choice())
    for some in product(*found.values()):
        made = elements(q, joined(dict(zip(found, (way.choice for way in some), strict=True))))
        units = dict(zip(found, (way.units for way in some), strict=True))
        for role in dict.fromkeys(unit.role for unit in plain):
            own = tuple(unit for unit in made if unit.role == role)
            assert own == units.get(role, tuple(unit for unit in plain if unit.role == role))


def test_ways_differ_and_the_first_is_the_one_by_depth() -> None:
    for layer, target in product((CONV, DEPTHWISE, LINEAR, MATMUL, ADD), (ECP5, AMD, BARE)):
        q = quantised(layer, "int3:channel uint3", Folding(2, 1), target)
        for role, found in ways(q, "auto").items():
            assert len({way.units for way in found}) == len(found)
            assert found[0].units == elements(q, Choice(), role)


def test_what_multiplies() -> None:
    small, wide = ("int3 uint3", Folding(4, 3)), ("int8 uint8", Folding(4, 3))
    assert styles(quantised(CONV, *small, ECP5)) == {"shift", "table", "dsp"}
    assert styles(quantised(CONV, *wide, ECP5)) == {"shift", "dsp"}
    assert styles(quantised(CONV, *wide, ECP5), "lut") == {"shift"}
    assert styles(quantised(CONV, *wide, ECP5), "dsp") == {"dsp"}
    assert styles(quantised(CONV, *wide, BARE)) == {"shift"}
    assert styles(quantised(CONV, *wide, replace(ECP5, dsps=0))) == {"shift"}
    assert styles(quantised(CONV, "e3m0 e3m2", Folding(4, 3), ECP5)) == {"shift"}  # nothing to multiply
    assert list(ways(quantised(ADD, *wide, ECP5), "auto")) == ["thresholds"]


def test_on_amd_small_products_are_in_a_dsp_where_several_share_one() -> None:
    assert "dsp" not in styles(quantised(CONV, "int4 uint4", Folding(1, 3), AMD))
    assert "dsp" in styles(quantised(CONV, "int4 uint5", Folding(1, 3), AMD))
    (several,) = ways(quantised(CONV, "int4 uint4", Folding(4, 3), AMD), "dsp")["matrix"][:1]
    assert (several.choice.style, parameter(several, "DSP_LANES")) == ("dsp", 3)
    assert "dsp" not in styles(quantised(DEPTHWISE, "int4 uint4", Folding(4, 1), AMD))  # no activation to share


@pytest.mark.parametrize("name", devices())
def test_dsps_are_offered_where_the_rule_was_right_about_all_that_was_measured(name: str) -> None:
    target = fpga(name)
    q = quantised(CONV, "int8 uint8", Folding(4, 3), target)
    assert ("dsp" in styles(q)) == (target.dsp in RELIABLE)
    if target.dsp not in RELIABLE:
        return
    rows = [row for row in read(DATA / f"{target.family}.netlist.csv") if row.module in ("mvu", "mvu_streamed")]
    found = [row for row in rows if dict(row.parameters)["STYLE"] in DSP_STYLES]
    assert found
    for row in found:
        table = {key: np.array(value, np.int64) for key, value in row.parameters}
        assert int(blocks(row.module, table, target.family)[0]) == row.area.dsps, row


def test_every_reliable_block_is_known() -> None:
    assert set(RELIABLE) < set(DSP_PORTS)


def test_memories_are_in_luts_or_block_ram() -> None:
    def places(words: int, target: FpgaTarget) -> list[int]:
        q = quantised(linear("fc", "x", (), words // 16, 16), "int8 uint8", Folding(1, 1), target)
        return [parameter(way, "BLOCK") for way in ways(q, "lut")["matrix"]]

    assert places(64, ECP5) == [0, 1]
    assert places(DEEPEST_IN_LUTS, ECP5) == [1, 0]
    assert places(DEEPEST_IN_LUTS + 16, ECP5) == [1]
    assert places(DEEPEST_IN_LUTS + 16, replace(ECP5, brams=0)) == [0]


def test_windows_are_in_luts_where_there_is_ram_in_luts() -> None:
    found = {
        target.name: [
            parameter(way, "BLOCK")
            for way in ways(quantised(CONV, "int8 uint8", Folding(1, 1), target), "lut")["window"]
        ]
        for target in (ECP5, BARE)
    }
    assert found == {"ecp5_85f": [1, 0], "ice40_hx8k": [1]}


def test_thresholds_are_searched_or_few_enough_to_be_compared_at_once() -> None:
    def found(output: str, folding: Folding) -> list[tuple[str, int]]:
        q = quantised(CONV, "int8:channel uint8", folding, ECP5, output)
        return [(way.units[0].module, parameter(way, "BLOCK") > 0) for way in ways(q, "lut")["thresholds"]]

    search, parallel = "threshold_search", "threshold_parallel"
    assert found("uint4", Folding(4, 1)) == [(search, True), (search, False), (parallel, True), (parallel, False)]
    assert found("uint8", Folding(16, 1)) == [(search, True), (search, False)]
    assert found("uint8", Folding(1, 1)) == [(search, True)]  # 16 times 128 words in the last step
