"""What the report says of techniques."""

from dataclasses import replace

from hwdse.design import Step
from hwdse.report.recipes import Effect, effects
from hwdse.result import Objective, Result


def test_nothing_is_said_of_one_recipe(result: Result, recipes: Result) -> None:
    assert effects(result) is None
    assert effects(replace(recipes, trials=recipes.trials[-3:], best=54)) is None


def test_designs_and_pairs(recipes: Result) -> None:
    found = effects(recipes)
    assert found is not None
    assert (found.accuracy, found.limit, found.reference) == ("top-1 accuracy", "LUT up to 2,880", "none")
    plain, treated = found.lines
    assert plain == Effect("none", 53, 8, "97.00 %", "95.50 %", 0, "", "")
    top1 = [trial.values[0] for trial in recipes.trials[-3:]]
    assert treated == Effect(
        recipe="gptq + bias_correction",
        designs=3,
        on_front=0,
        best=f"{100 * max(top1):.2f} %",
        affordable=f"{100 * max(top1):.2f} %",
        pairs=3,
        mean="+1.00 points",  # 4, 8 and 0 of 400 images
        extent="+0.00 to +2.00",
    )


def test_pairs_in_the_unit_of_the_objective(recipes: Result) -> None:
    found = effects(replace(recipes, objectives=(Objective("loss", "minimize"), recipes.objectives[1])))
    assert found is not None
    assert (found.lines[1].mean, found.lines[1].extent) == ("+0.0000 nat", "+0.0000 to +0.0000")
    found = effects(replace(recipes, objectives=(Objective("sqnr", "maximize"), Objective("throughput", "maximize"))))
    assert found is not None
    assert found.limit == "throughput from 43,403 frame/s"
    assert found.lines[1].mean == "+0.00 dB"


def test_trials_that_lost_a_race_are_left_out(recipes: Result) -> None:
    images = recipes.float_accuracies[0]
    longer = replace(images, count=images.count + 8, hits=images.hits + "ff")
    assert effects(replace(recipes, float_accuracies=(longer, recipes.float_accuracies[1]))) is None


def test_without_a_plain_design_the_first_recipe_is_compared_to(recipes: Result) -> None:
    *_, first, last = recipes.trials
    alone = replace(first.evaluation, design=replace(first.evaluation.design, recipe=(Step("gptq"),)))
    found = effects(replace(recipes, trials=(first, replace(last, evaluation=alone)), best=first.number))
    assert found is not None
    assert found.reference == "gptq + bias_correction"
    assert [(line.recipe, line.pairs, line.mean) for line in found.lines] == [
        ("gptq + bias_correction", 0, ""),
        ("gptq", 1, "+0.00 points"),
    ]


def test_a_recipe_whose_designs_all_cost_more_than_the_chosen_one(recipes: Result) -> None:
    cheapest, *_ = recipes.front
    *plain, dear = (trial for trial in recipes.trials if trial.number not in (54, 55))  # 56 has the third of the front
    found = effects(replace(recipes, trials=(*plain, dear), best=cheapest))
    assert found is not None
    assert [bool(line.affordable) for line in found.lines] == [True, False]
