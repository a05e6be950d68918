"""A search that chooses among recipes: each trial has one, is evaluated with it, and pays for it."""

from pathlib import Path

import pytest

from hwdse.design import Step
from hwdse.quantize import charged
from hwdse.result import Result
from hwdse.run import run
from hwdse.study import load
from tests.hwdse.run import small

STUDY = small.study(
    """
[techniques]
recipes = [[], ["gptq"], ["channel_splitting(ratio=0.2)", "bias_correction"]]
[search]
sampler = "random"
[choice]
baseline = "int4"
[budget]
trials = 10
""",
    weights=("int4", "e2m1"),
    network="digits-cnn",
    device="ecp5_85f",
    clock_mhz=50,
    metrics=("sqnr", "lut"),
)
SPLIT = (Step.parse("channel_splitting(ratio=0.2)"), Step("bias_correction"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A finished run."""
    file = tmp_path_factory.mktemp("recipes") / "recipes.toml"
    file.write_text(STUDY)
    return file, run(file, file.parent / "run")


def test_uniform_designs_have_the_first_recipe_and_others_any(done: tuple[Path, Result]) -> None:
    _, result = done
    recipes = [trial.evaluation.design.recipe for trial in result.trials]
    assert recipes[:2] == [(), ()]
    assert set(recipes) == {(), (Step("gptq"),), SPLIT}


def test_a_recipe_that_makes_layers_larger_is_paid_for(done: tuple[Path, Result]) -> None:
    _, result = done
    plain = sum(layer.macs for layer in charged(result.workload, ()).layers)
    larger = [t.evaluation for t in result.trials if t.evaluation.design.recipe == SPLIT]
    bits = {layer.name: layer.weights for layer in result.workload.weighted}
    for evaluation in larger:
        weights = dict(evaluation.design.weights)
        assert evaluation.weight_bits > sum(count * weights[name].format.bits for name, count in bits.items())
    assert plain > 0


def test_a_recipe_changes_the_accuracy_of_equal_formats(done: tuple[Path, Result]) -> None:
    file, _ = done
    alone = run(load(file, ['techniques.recipes=[["gptq"]]', "budget.trials=2"]), file.parent / "gptq")
    none = run(load(file, ["techniques.recipes=[[]]", "budget.trials=2"]), file.parent / "none")
    for better, plain in zip(alone.trials, none.trials, strict=True):
        assert better.evaluation.design.weights == plain.evaluation.design.weights
        assert better.values[0] != plain.values[0]
        assert better.values[1] == plain.values[1], "rounding otherwise costs nothing"


@pytest.mark.parametrize(
    ("new", "what"),
    [
        ('recipe = ["gptq"]\nrecipes = [["gptq"]]', "there is one recipe, or recipes to choose from, not both"),
        ('recipes = [["gptq"], ["gptq"]]', "every recipe to choose from is there once"),
        ('recipes = [["magic"]]', "no technique 'magic'; known: .*"),
    ],
)
def test_bad_recipes(new: str, what: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    (line,) = [line for line in STUDY.splitlines() if line.startswith("recipes")]
    file.write_text(STUDY.replace(line, new))
    with pytest.raises(ValueError, match=rf"^{file}: techniques.*: {what}$"):
        load(file)
