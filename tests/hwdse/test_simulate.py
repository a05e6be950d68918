"""What the simulation of networks in whole numbers does where float64 is not exact."""

from dataclasses import replace

import numpy as np

from hwdse.equality import input_codes
from hwdse.folding import fold
from hwdse.formats import decode, parse
from hwdse.lower import lower
from hwdse.simulate import compute
from tests.hwdse.networks import uniform
from tests.hwdse.small_networks import images, small


def test_wide_sums_of_a_layer_with_padding_are_pythons_integers() -> None:
    on = small("depthwise")
    design = uniform(on, "e5m2:channel", "e5m2")
    network = lower(on, replace(design, folding=tuple(sorted(fold(on.workload, 2_000).items()))))
    node, codes = network.nodes[0], input_codes(network, images(1))
    sums = compute(network, node, [codes])
    assert {type(value) for value in sums.reshape(-1)} == {int}
    assert node.weights is not None
    weights, fmt = parse("e5m2"), network.tensor(network.input).quantizer.format
    row = [int(value / weights.lsb) for value in decode(weights, node.weights[0])]
    padded = np.pad(decode(fmt, codes.reshape(6, 6, 4)), ((1, 1), (1, 1), (0, 0)))
    pixels = [int(value / fmt.lsb) for value in padded[:3, :3].reshape(-1)]
    assert sums[0, 0, 0] == sum(w * a for w, a in zip(row, pixels, strict=True))
