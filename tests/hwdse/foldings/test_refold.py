"""The best folding of one design after another: against all foldings of small networks, and as one alone has it."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Design, Quantizer
from hwdse.folding import cycles, fast, fold
from hwdse.foldings.choice import smallest, space
from hwdse.foldings.limits import UNLIMITED
from hwdse.foldings.refold import Refold
from hwdse.memory import utilization
from hwdse.pricing import Question, asked
from hwdse.target import FpgaTarget, fpga
from hwdse.workload import Workload
from tests.hwdse.foldings.test_choice import AMD, SMALL, network

MODELS = (Dataflow(), Dataflow(multiplier="lut"))


def rank(workload: Workload, design: Design, target: FpgaTarget, model: Dataflow) -> tuple[float, int]:
    """What is minimised, as the cost model has it."""
    area = model.cost(workload, design, target, 100.0).area
    return utilization(area, target), area.luts


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("target", [SMALL, AMD], ids=["ecp5", "amd"])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_least_of_all_foldings_of_a_small_network(seed: int, target: FpgaTarget, model: Dataflow) -> None:
    workload, design = network(np.random.default_rng(seed))
    slowest = max(cycles(layer, next(iter(fast(layer, 10**6)))) for layer in workload.layers)
    most = max(slowest // 4, max(min(cycles(layer, one) for one in fast(layer, 10**6)) for layer in workload.layers))
    made = Refold(target, model, most)(workload, design)
    every = product(*(fast(layer, most) for layer in workload.layers))
    least = min(
        rank(workload, replace(design, folding=tuple(zip("ab", some, strict=True))), target, model) for some in every
    )
    assert rank(workload, made, target, model) == least
    assert replace(made, folding=()) == design


def mixed(workload: Workload, count: int) -> list[Design]:
    """Random designs."""
    random = np.random.default_rng(0)
    weights = [Quantizer.parse(name) for name in ("int3:channel", "int8:channel", "e2m1:channel", "e3m2")]
    inputs = [Quantizer.parse(name) for name in ("uint3", "uint8", "ue2m2")]
    return [
        Design.of(
            {layer.name: weights[random.integers(len(weights))] for layer in workload.weighted},
            {site.name: inputs[random.integers(len(inputs))] for site in workload.sites},
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "device", "rate"), [("digits-cnn", "ecp5_25f", 2000), ("digits-resnet", "xczu3eg", 4000)]
)
def test_one_after_another_as_each_alone(name: str, device: str, rate: int) -> None:
    workload, target = (
        asked(Question(name, device), (Quantizer.parse("int8"), Quantizer.parse("int8"))).workload,
        fpga(device),
    )
    refold, greedy, model = Refold(target, Dataflow(), rate), tuple(sorted(fold(workload, rate).items())), Dataflow()
    for design in mixed(workload, 6):
        made = refold(workload, design)
        alone = smallest(space(workload, design, target, limits=UNLIMITED), rate)
        own = rank(workload, made, target, model)
        assert own == (utilization(alone.area, target), alone.area.luts)
        assert own <= rank(workload, replace(design, folding=greedy), target, model)
        assert Refold(target, model, rate)(workload, design) == made
        assert refold(workload, made) == made


def test_what_has_no_price_or_is_too_slow_is_one_sentence() -> None:
    workload, design = network(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"^layer 'a' needs at least 16 cycles per frame, more than 0$"):
        Refold(SMALL, Dataflow(), 0)(workload, design)
    grouped = replace(design, weights=tuple((name, Quantizer.parse("int4:group2")) for name, _ in design.weights))
    text = "MX groups have no FPGA price yet, but layer 'a' has 'int4:group2'"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Refold(SMALL, Dataflow(), 100)(workload, grouped)
