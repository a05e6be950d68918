"""A sweep gives in each cell what the cost model gives to that cell alone."""

from itertools import product
from random import Random

import pytest

from hwdse import terms
from hwdse.accelerator import Choice, Quantised, elements
from hwdse.cost_models.dataflow import _price
from hwdse.design import Quantizer
from hwdse.folding import legal
from hwdse.formats import known_formats
from hwdse.sweep import prices
from hwdse.target import fpga
from hwdse.workload import Layer
from tests.cost_models.workloads import ADD, CONV, DEPTHWISE, GROUPED, LINEAR

WEIGHTS = [Quantizer(fmt, "channel") for fmt in known_formats(bits=range(3, 9))]
ACTIVATIONS = [Quantizer(fmt) for fmt in known_formats(bits=range(3, 9), signed=False)]
PAIRS = list(product(WEIGHTS, ACTIVATIONS))
OUTPUT = ACTIVATIONS[4]
TARGET = fpga("ecp5_25f")
PARTS = 12  # terms of a layer, each of which is rounded to a whole number


@pytest.mark.parametrize("layer", [CONV, DEPTHWISE, GROUPED, LINEAR], ids=lambda layer: layer.name)
@pytest.mark.parametrize("output", [OUTPUT, None], ids=["quantised", "sums"])
def test_a_cell_is_the_price_of_one_design(layer: Layer, output: Quantizer | None) -> None:
    foldings = legal(layer)
    found = prices(layer, PAIRS, output, foldings, TARGET)
    assert found.luts.shape == (len(PAIRS), len(foldings))
    random = Random(0)
    bias = 1 if layer.bias and output is None else 0  # a bias that no threshold takes in is not a unit
    for _ in range(12):
        i, j = random.randrange(len(PAIRS)), random.randrange(len(foldings))
        weight, activation = PAIRS[i]
        outputs = () if output is None else (output,)
        quantised = Quantised(layer, (activation, weight), outputs, foldings[j], TARGET)
        units = elements(quantised, Choice())
        priced = [term for found in terms.of(units, TARGET.family) for term in found]
        cost = _price(quantised, units, priced, "tight")
        area = sum((term.area for term in cost.terms if not bias or term.name != "bias"), type(cost.area)())
        assert area.luts == pytest.approx(found.luts[i, j], abs=PARTS)
        assert area.ffs == pytest.approx(found.ffs[i, j], abs=PARTS)
        assert (area.dsps, area.brams) == (found.dsps[i, j], found.brams[i, j])


def test_a_layer_without_weights() -> None:
    with pytest.raises(ValueError, match=r"^a sweep is over a layer with weights, not over 'add' \(add\)$"):
        prices(ADD, PAIRS, OUTPUT, legal(ADD), TARGET)
