"""Every sentence of the answer, whole; 'loses' and 'gains' only where the interval excludes zero."""

from dataclasses import replace

import numpy as np
import pytest

from hwdse.cost import Clock, FpgaCost, Resources, Term
from hwdse.energy import Energy, Stated
from hwdse.evaluation import Accuracy, pack, paired
from hwdse.report.claim import Claim
from hwdse.report.describe import energy_in_words
from hwdse.report.quantities import number, seconds
from hwdse.report.words import answer, change, fit, loss, saving, speed, trust
from hwdse.result import Constraint, Result, Trial

COUNT = 1000  # test images


def missing(*wrong: range) -> Accuracy:
    """An accuracy on the test split with these images wrong."""
    right = np.ones(COUNT, bool)
    for images in wrong:
        right[images.start : images.stop] = False
    return Accuracy("test", COUNT, pack(right), loss=0.2, sqnr_db=20.0)


def with_test(result: Result, number: int, test: Accuracy | None) -> Result:
    """The result with another test accuracy of one trial, and a float model that misses images 0 to 24."""
    trials = tuple(_with_test(trial, test) if trial.number == number else trial for trial in result.trials)
    floats = (result.float_accuracy("search"), missing(range(25)))
    return replace(result, trials=trials, float_accuracies=floats)


def _with_test(trial: Trial, test: Accuracy | None) -> Trial:
    both = (trial.evaluation.accuracy("search"), *([] if test is None else [test]))
    return replace(trial, evaluation=replace(trial.evaluation, accuracies=both))


def loss_with(result: Result, test: Accuracy | None) -> Claim:
    """What is said when the chosen design has this test accuracy."""
    changed = with_test(result, result.best, test)
    return loss(changed, changed.trial(changed.best).evaluation)


def best_cost(result: Result) -> FpgaCost:
    """The predicted cost of the chosen design."""
    return result.trial(result.best).evaluation.fpga


def test_a_loss_within_what_is_allowed(result: Result) -> None:
    # 10 images lost and none gained: (-10 +- 1.96 sqrt(11 - 100/1002)) / 1002 = -1.64 % to -0.35 %
    claim = loss_with(result, missing(range(35)))
    assert claim == Claim(
        "loses 1.00 points",
        "On the test split (1,000 images) it loses 1.00 points of top-1 against the float model "
        "(96.50 % against 97.50 %; 95 % interval -1.64 to -0.35). "
        "The interval stays within the allowed loss of 2.00 points.",
    )


def test_a_loss_that_may_be_too_large(result: Result) -> None:
    claim = loss_with(result, missing(range(22), range(100, 125)))
    assert claim == Claim(
        "loses 2.20 points",
        "On the test split (1,000 images) it loses 2.20 points of top-1 against the float model "
        "(95.30 % against 97.50 %; 95 % interval -3.24 to -1.15). "
        "The interval does not rule out more than the allowed loss of 2.00 points.",
    )


def test_a_loss_that_is_too_large(result: Result) -> None:
    changed = with_test(result, result.best, missing(range(125)))
    said = answer(changed)
    assert said.loss == Claim(
        "loses 10.00 points",
        "On the test split (1,000 images) it loses 10.00 points of top-1 against the float model "
        "(87.50 % against 97.50 %; 95 % interval -11.85 to -8.11). "
        "The interval lies beyond the allowed loss of 2.00 points.",
    )
    assert said.lead == (
        "Trial 2 was chosen for small7, but on the test split it loses more than the study allows: "
        "an integer design with 5.14 bits per weight "
        "(weights int8, 3 x int5, int8; activations uint8, 3 x uint5, uint8)."
    )


def test_no_difference_is_no_loss_and_no_proof_of_equality(result: Result) -> None:
    claim = loss_with(result, missing(range(22), range(100, 107)))
    assert claim == Claim(
        "no difference shown",
        "On the test split (1,000 images) no difference from the float model could be shown "
        "(97.10 % against 97.50 %; -0.40 points, 95 % interval -1.05 to +0.25). "
        "The interval stays within the allowed loss of 2.00 points.",
    )


def test_a_gain(result: Result) -> None:
    claim = loss_with(result, missing(range(10)))
    assert claim == Claim(
        "gains 1.50 points",
        "On the test split (1,000 images) it gains 1.50 points of top-1 against the float model "
        "(99.00 % against 97.50 %; 95 % interval +0.72 to +2.27). "
        "The interval stays within the allowed loss of 2.00 points.",
    )


def test_nothing_is_said_without_the_test_split(result: Result) -> None:
    assert loss_with(result, None) == Claim(
        "not tested", "It was not evaluated on the test split, so nothing is said about its loss."
    )


@pytest.mark.parametrize("gained", range(0, 12, 3))
@pytest.mark.parametrize("lost", range(0, 12, 3))
def test_words_of_victory_need_the_interval(result: Result, lost: int, gained: int) -> None:
    test = missing(range(gained, 25), range(100, 100 + lost))
    claim = loss_with(result, test)
    decided = paired(test, missing(range(25))).interval.excludes_zero
    assert (" it loses " in claim.text or " it gains " in claim.text) == decided
    assert ("no difference" in claim.text) != decided


def test_lead_and_why(result: Result) -> None:
    said = answer(result)
    assert said.lead == (
        "Build trial 2 on small7: an integer design with 5.14 bits per weight "
        "(weights int8, 3 x int5, int8; activations uint8, 3 x uint5, uint8)."
    )
    assert said.why == (
        "Of the 8 designs on the front it is the cheapest that lost at most 2.00 points of top-1 on the search split."
    )


@pytest.mark.parametrize(
    ("front", "max_loss", "why"),
    [
        ((2,), 0.05, "It is the only design on the front; it lost at most 5.00 points of top-1 on the search split."),
        (
            (4, 2),
            0.01,
            "No design on the front lost at most 1.00 points of top-1 on the search split; this one lost 2.00 points.",
        ),
        ((), 0.01, "The front is empty: no trial met the constraints."),
    ],
)
def test_why_in_other_cases(result: Result, front: tuple[int, ...], max_loss: float, why: str) -> None:
    assert answer(replace(result, front=front, max_loss=max_loss)).why == why


def test_a_broken_constraint(result: Result) -> None:
    best = replace(result.trial(2), feasible=False)
    trials = tuple(best if trial.number == 2 else trial for trial in result.trials)
    limits = (Constraint("lut", high=2000), Constraint("throughput", low=50_000), Constraint("top1", low=0.5))
    said = answer(replace(result, trials=trials, constraints=limits, front=()))
    assert said.why == (
        "The front is empty: no trial met the constraints. "
        "It breaks a constraint: LUT 2,880 is above 2,000. "
        "It breaks a constraint: throughput 43,403 frame/s is below 50,000 frame/s."
    )
    assert said.lead.startswith("Trial 2 was chosen for small7, but it breaks a constraint: an integer design")


def test_saving(result: Result) -> None:
    changed = with_test(with_test(result, 0, missing(range(30))), 2, missing(range(33)))
    assert saving(changed, changed.trial(2)) == Claim(
        "31.9 % fewer LUT",
        "Against the baseline, trial 0 (weights 5 x int8; activations 5 x uint8): "
        "31.9 % fewer LUT (2,880 instead of 4,229) and 35.8 % fewer weight bits (43,456 instead of 67,648). "
        "On the test split no difference from the baseline could be shown "
        "(-0.30 points, 95 % interval -0.69 to +0.09).",
    )
    untested = with_test(result, 0, None)
    assert saving(untested, untested.trial(2)).text.endswith("The two were not compared on the test split.")


def test_no_saving(result: Result) -> None:
    no_baseline = saving(replace(result, baseline=None), result.trial(2))
    assert no_baseline == Claim("no baseline", "The study names no baseline, so no saving is stated.")
    itself = saving(result, result.trial(0))
    assert itself == Claim("is the baseline", "The chosen design is the baseline itself, so there is no saving.")


@pytest.mark.parametrize(
    ("new", "old", "head", "text"),
    [
        (40, 100, "60.0 % fewer LUT", "60.0 % fewer LUT (40 instead of 100)"),
        (1100, 1000, "10.0 % more LUT", "10.0 % more LUT (1,100 instead of 1,000)"),
        (1000, 1000, "as many LUT", "as many LUT (1,000)"),
        (5, 0, "5 LUT", "5 LUT where the baseline has none"),
    ],
)
def test_change(new: int, old: int, head: str, text: str) -> None:
    assert change(new, old, "LUT") == Claim(head, text)


def test_fit(result: Result) -> None:
    cost = best_cost(result)
    assert fit(result.fpga, cost) == Claim(
        "fits",
        "On small7 (xc7small-1) it takes 14.4 % of the LUT, 1.3 % of the FF, 0.0 % of the DSP, 4.0 % of the BRAM18.",
    )
    small = replace(result.fpga, luts=1000, brams=0)
    assert fit(small, cost) == Claim(
        "does not fit", "small7 (xc7small-1) is too small: it needs 288.0 % of the LUT, BRAM18, of which it has none."
    )
    assert answer(replace(result, target=small)).lead.startswith("Trial 2 was chosen for small7, but it does not fit: ")


def test_urams_count_only_where_there_are_some(result: Result) -> None:
    target = replace(result.fpga, urams=8)
    assert "URAM" not in fit(result.fpga, best_cost(result)).text
    assert fit(target, best_cost(result)).text.endswith("0.0 % of the URAM.")
    layer = best_cost(result).layers[0]
    layer = replace(layer, terms=(*layer.terms, Term("weights", Resources(urams=2))))
    cost = replace(best_cost(result), layers=(layer, *best_cost(result).layers[1:]))
    assert fit(target, cost).text.endswith("25.0 % of the URAM.")
    assert fit(result.fpga, cost).text.endswith("it needs URAM, of which it has none.")


def test_a_device_without_a_resource_that_is_not_needed_fits(result: Result) -> None:
    found = fit(replace(result.fpga, dsps=0), best_cost(result))
    assert found.head == "fits"
    assert "DSP" not in found.text


def test_speed(result: Result) -> None:
    cost = best_cost(result)
    text = "At 100 MHz (assumed); one frame alone takes 27.05 us. "
    text += "conv2 and conv4 set the pace with 2,304 cycles per frame."
    assert speed(cost) == Claim("43,403 frame/s", text)
    one = replace(cost, layers=cost.layers[:3])
    assert speed(one).text.endswith("27.05 us. conv2 sets the pace with 2,304 cycles per frame.")
    many = replace(cost, layers=cost.layers[1:2] * 4)
    assert speed(many).text.endswith("27.05 us. 4 layers set the pace with 2,304 cycles per frame.")
    other = replace(cost, interval_cycles=5000)
    assert speed(other).text.endswith("27.05 us. The pace is 5,000 cycles per frame.")


def test_speed_beside_what_the_clock_is_predicted_to_be(result: Result) -> None:
    cost = best_cost(result)

    def said(mhz: float) -> str:
        clock = Clock(mhz, 0.9 * mhz, 1.1 * mhz)
        return speed(replace(cost, layers=tuple(replace(layer, clock=clock) for layer in cost.layers))).text

    rest = "one frame alone takes 27.05 us. conv2 and conv4 set the pace with 2,304 cycles per frame."
    assert said(120.0) == (
        "At an assumed 100 MHz, below the 120 MHz that the slowest layer is predicted to reach "
        f"(90 % of single units: 108 to 132); {rest}"
    )
    assert said(80.0) == (
        "At an assumed 100 MHz, ABOVE the 80 MHz that the slowest layer is predicted to reach "
        f"(90 % of single units: 72 to 88); {rest}"
    )


ENERGY = "15.02 uJ per frame, dynamic only (products 5 nJ, sums 15 nJ, memory 15 uJ)"


def with_energy(cost: FpgaCost, watts: float | None) -> FpgaCost:
    """`cost` with energies of its five layers, and static power."""
    layers = tuple(replace(layer, energy=Energy(1e3, 3e3, 0, 3e6)) for layer in cost.layers)
    return replace(cost, layers=layers, stated=Stated("a guess", watts))


def test_energy(result: Result) -> None:
    cost = best_cost(result)
    assert energy_in_words(cost) is None
    assert energy_in_words(with_energy(cost, None)) == ENERGY
    # 2,304 cycles at 100 MHz with 0.5 W
    assert energy_in_words(with_energy(cost, 0.5)) == (
        "26.54 uJ per frame, dynamic and static (products 5 nJ, sums 15 nJ, memory 15 uJ, static 11.52 uJ)"
    )


def test_trust(result: Result) -> None:
    assert trust(best_cost(result)) == (
        Claim("Predicted, not measured", "Area and time come from the cost model toy."),
        Claim("Calibration", "Uncalibrated: invented for tests."),
        Claim("Outside the accelerator", "softmax; not in any cost."),
    )
    stated = f"{ENERGY}; a stated model, not calibrated: docs/energy.md."
    assert trust(with_energy(best_cost(result), None))[2] == Claim("Energy", stated)
    inside = trust(replace(best_cost(result), outside=()))
    assert inside[-1] == Claim("Outside the accelerator", "Nothing: every layer is inside.")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (12.0, "12"), (3.14159, "3.142"), (999.94, "999.9"), (12345.678, "12,346"), (-2500.0, "-2,500")],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(2.5, "2.5 s"), (0.0125, "12.5 ms"), (27.05e-6, "27.05 us"), (5e-9, "5 ns"), (0.0, "0 ns")]
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text
