"""AutoRound and learned rounding are no longer than asked for, and say when they do nothing."""

import pytest
import torch

from hwdse.design import Quantizer, Step
from tests.hwdse.networks import bench, uniform


@pytest.mark.parametrize("name", ["auto_round", "learned_rounding"])
def test_no_iterations_change_nothing_which_is_an_error(name: str) -> None:
    """The stored weights do move, onto the grid, but not the quantised ones."""
    on = bench("mlp")
    rule = rf"^step '{name}\(iterations=0\)' changed nothing in network 'mlp'$"
    with pytest.raises(ValueError, match=rule):
        on.quantize(uniform(on, "int4", "int4", recipe=(Step(name, (("iterations", 0),)),)))


@pytest.mark.parametrize("step", ["auto_round(iterations=20, lr=0.05)", "learned_rounding(iterations=20, lr=0.3)"])
@pytest.mark.parametrize("fmt", ["int4:channel", "e2m1:channel", "e3m0", "e4m3:po2"])
def test_every_weight_becomes_one_of_its_two_neighbours(fmt: str, step: str) -> None:
    on = bench("mlp")
    treated = on.quantize(uniform(on, fmt, "int4", recipe=(Step.parse(step),)))
    for name in on.traced.layers:
        layer, weight = treated.get_submodule(name), on.weight(name, Quantizer.parse(fmt))
        original = on.traced.graph.get_submodule(name).get_parameter("weight")
        found = layer.quant_weight().value  # type: ignore[operator]
        moved = found != weight
        assert bool(moved.any())
        assert bool((torch.sign(found - original) == -torch.sign(weight - original))[moved].all()), "the other side"
