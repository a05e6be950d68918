"""A run pays for what the techniques of its recipe leave and add."""

from pathlib import Path

import pytest

from hwdse.design import Step
from hwdse.pricing import Question, price
from hwdse.result import Result
from hwdse.run import run
from hwdse.study import load as load_study
from tests.hwdse.networks import bench, uniform

STUDY = """
question = "What does it cost?"
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int8"]
[techniques]
recipe = [{recipe}]
[target]
device = "ecp5_25f"
clock_mhz = 100
frames_per_second = 1000
[[objectives]]
metric = "loss"
[[objectives]]
metric = "lut"
[search]
sampler = "grid"
"""


def result(folder: Path, *steps: str) -> Result:
    """Of the study with these steps."""
    path = folder / f"study{len(steps)}.toml"
    path.write_text(STUDY.format(recipe=", ".join(f'"{step}"' for step in steps)))
    return run(load_study(path), folder / f"run{len(steps)}")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return result(tmp_path_factory.mktemp("plain"))


def test_larger_layers_are_priced_and_their_weights_counted(plain: Result, tmp_path: Path) -> None:
    larger = result(tmp_path, "channel_splitting(ratio=0.25)")
    assert [(a.rows, a.dot) for a in larger.workload.weighted] == [(80, 64), (80, 80), (10, 80)]
    before, after = plain.trials[0].evaluation, larger.trials[0].evaluation
    assert before.weight_bits == 8 * (64 * 64 + 64 * 64 + 10 * 64)
    assert after.weight_bits == 8 * (80 * 64 + 80 * 80 + 10 * 80)
    assert sum(layer.macs for layer in larger.workload.layers) > sum(layer.macs for layer in plain.workload.layers)
    assert after.fpga.interval_cycles * after.fpga.area.luts > (before.fpga.interval_cycles * before.fpga.area.luts)


def test_a_float_branch_is_named_and_its_weights_counted(plain: Result, tmp_path: Path) -> None:
    branched = result(tmp_path, "svd_quant(rank=4)")
    before, after = plain.trials[0].evaluation, branched.trials[0].evaluation
    ways = ("down", "up")
    assert after.fpga.outside == tuple(f"fc{i}.low_rank_{way}" for i in (1, 2, 3) for way in ways)
    assert after.fpga.label.startswith("without fc1.low_rank_down, ")
    assert after.fpga.area == before.fpga.area, "the accelerator itself is the same"
    assert after.weight_bits - before.weight_bits == 32 * 4 * ((64 + 64) + (64 + 64) + (64 + 10))
    assert after.accuracy("test").loss != before.accuracy("test").loss


def test_the_price_of_a_design_without_a_run() -> None:
    question = Question("digits-mlp", "xczu3eg")
    branched = uniform(bench("mlp"), "int4", "int4", recipe=(Step("svd_quant", scope=("fc2",)),))
    assert price(question, branched).cost.outside == ("fc2.low_rank_down", "fc2.low_rank_up")
    larger = uniform(bench("mlp"), "int4", "int4", recipe=(Step("channel_splitting"),))
    refused = r"^step 'channel_splitting' changes layers by their weights: its price is that of a run$"
    with pytest.raises(ValueError, match=refused):
        price(question, larger)
