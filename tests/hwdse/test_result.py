"""Results: objectives and constraints as numbers that fall, and look-ups that name what is missing."""

import re
from dataclasses import replace

import numpy as np
import pytest

from hwdse.codec import decode, encode
from hwdse.cost import LayerCost, dataflow
from hwdse.design import Design
from hwdse.evaluation import Accuracy, Evaluation, pack
from hwdse.result import Constraint, Objective, Result, Trial
from hwdse.target import FpgaTarget
from hwdse.workload import Workload

ACCURACY = Accuracy("search", 4, pack(np.array([True, True, True, False])), 0.25, None)
COST = dataflow([LayerCost("fc", (), 10, 1)], clock_mhz=100.0, device="d", model="m", calibration="none")
TARGET = FpgaTarget("d", "part", "xc7", 53200, 6, 106400, 140, 36, 220, 0, "dsp48e1", "a data sheet")
TRIALS = tuple(
    Trial(n, "uniform", Evaluation(Design(), (ACCURACY,), COST, (), 100 + n), (-0.75, 5.0), True) for n in (0, 2, 5)
)
RESULT = Result(
    study="digits",
    question="which?",
    workload=Workload("net", (), (), (1, 8, 8)),
    target=TARGET,
    clock_mhz=100.0,
    objectives=(Objective("top1", "maximize"), Objective("lut", "minimize")),
    constraints=(),
    float_accuracies=(ACCURACY,),
    trials=TRIALS,
    failures=((1, "no scale"),),
    front=(0, 2),
    baseline=None,
    best=0,
    knee=2,
    max_loss=0.01,
    reference_point=(0.0, 1e6),
    hypervolume=((0, 1.0), (2, 2.0), (5, 2.0)),
    manifest=(("seed", "0"),),
)


def test_a_loss_falls_when_things_get_better() -> None:
    assert Objective("top1", "maximize").loss(0.9) == -0.9
    assert Objective("lut", "minimize").loss(100) == 100


def test_an_objective_has_a_direction() -> None:
    with pytest.raises(ValueError, match=r"^an objective is to maximize or minimize, not to 'maximise'$"):
        Objective("top1", "maximise")


@pytest.mark.parametrize(
    ("low", "high", "value", "violation"),
    [
        (None, 100.0, 150.0, 0.5),
        (None, 100.0, 100.0, 0.0),
        (None, 100.0, 50.0, 0.0),
        (0.9, None, 0.45, 0.5),
        (0.9, None, 0.9, 0.0),
        (10.0, 20.0, 15.0, -0.25),
        (10.0, 20.0, 5.0, 0.5),
        (10.0, 20.0, 30.0, 0.5),
        (None, 0.0, 1e-12, 1.0),  # zero is a bound; it has no relative size, so 1e-12 stands in
        (None, None, 7.0, 0.0),
    ],
)
def test_violation(low: float | None, high: float | None, value: float, violation: float) -> None:
    assert Constraint("lut", low, high).violation(value) == violation


def test_lookup() -> None:
    assert RESULT.trial(2) is TRIALS[1]
    assert RESULT.float_accuracy("search") is ACCURACY


def test_missing_things_are_errors() -> None:
    with pytest.raises(ValueError, match=r"^no finished trial 1; known: 0, 2, 5$"):
        RESULT.trial(1)
    with pytest.raises(ValueError, match=r"^the float model was not evaluated on the test split$"):
        RESULT.float_accuracy("test")


def test_results_from_before_there_were_sensitivities_races_times_and_builds_can_be_read() -> None:
    text = encode(RESULT)
    for new in ('"sensitivities":[],', '"racing":null', '"seconds":null', '"built":[]'):
        assert new in text
    old = re.sub(r',"(sensitivities":\[\]|racing":null|seconds":null|built":\[\])', "", text)
    assert not any(name in old for name in ("sensitivities", "racing", 'seconds":null', "built"))
    assert decode(Result, old) == RESULT


def test_equal_trials_may_have_taken_different_time() -> None:
    first = TRIALS[0]
    assert replace(first, seconds=1.0) == first
