"""The answer in words: which design, what it loses, what it saves, whether it fits, how far to trust it.

'Loses' and 'gains' appear only where the 95 % interval of the paired difference excludes zero.
"""

from dataclasses import dataclass

from hwdse.cost import Cost, FpgaCost
from hwdse.evaluation import Accuracy, Difference, Evaluation, paired, perplexity_ratio
from hwdse.metrics import metric
from hwdse.report import gpu_words, perplexity
from hwdse.report.claim import Claim
from hwdse.report.describe import (
    clock_in_words,
    energy_in_words,
    family_of,
    formats_in_words,
    mean_weight_bits,
    unit_of,
)
from hwdse.report.quantities import number, percent, points, seconds, show
from hwdse.result import Result, Trial
from hwdse.target import Device, FpgaTarget, GpuTarget, Use
from hwdse.target import uses as uses_of

ROUNDING = 1e-9  # of a difference of two shares
NAMED = 3  # layers that a sentence names
STATED = "a stated model, not calibrated: docs/energy.md"  # what every energy is by; `hwdse cost` names the sources


@dataclass(frozen=True, slots=True)
class Answer:
    """What the report says first."""

    lead: str
    why: str
    loss: Claim
    saving: Claim
    fit: Claim
    speed: Claim
    trust: tuple[Claim, ...]


def answer(result: Result) -> Answer:
    """The answer to the study's question."""
    best = result.trial(result.best)
    return Answer(
        lead=lead(result, best),
        why=why(result, best),
        loss=loss(result, best.evaluation),
        saving=saving(result, best),
        fit=fit(result.target, best.evaluation.predicted),
        speed=speed(best.evaluation.predicted, unit_of(result)),
        trust=trust(best.evaluation.predicted),
    )


def lead(result: Result, best: Trial) -> str:
    """Which design, in one sentence, with what speaks against it."""
    family = family_of(best.evaluation.design, result.workload)
    width = mean_weight_bits(best.evaluation, result.workload)
    formats = formats_in_words(best.evaluation.design, result.workload)
    design = f"{'an' if family == 'integer' else 'a'} {family} design with {width:.2f} bits per weight ({formats})"
    if against := " and ".join(obstacles(result, best)):
        return f"Trial {best.number} was chosen for {result.target.name}, but {against}: {design}."
    verb = "Build" if isinstance(result.target, FpgaTarget) else "Run"
    return f"{verb} trial {best.number} on {result.target.name}: {design}."


def obstacles(result: Result, best: Trial) -> tuple[str, ...]:
    """Why the chosen design should not simply be built."""
    test = tested_accuracy(best.evaluation)
    found = []
    if any(use.share > 1 for use in uses(best.evaluation.predicted, result.target)):
        found.append("it does not fit")
    if not best.feasible:
        found.append("it breaks a constraint")
    if test is not None and _beyond(result, test):
        found.append("on the test split it loses more than the study allows")
    return tuple(found)


def _beyond(result: Result, test: Accuracy) -> bool:
    """Whether the whole interval of what it loses on the test split is more than the study allows."""
    goal = result.float_accuracy("test")
    if result.of_text:
        return perplexity_ratio(test, goal).interval.low > result.max_perplexity_ratio
    return -paired(test, goal).interval.high > result.max_loss


def why(result: Result, best: Trial) -> str:
    """How it was chosen, and the constraints that it breaks."""
    return " ".join((_chosen(result, best), *broken(result, best)))


def _chosen(result: Result, best: Trial) -> str:
    if not result.front:
        return "The front is empty: no trial met the constraints."
    search, goal = best.evaluation.accuracy("search"), result.float_accuracy("search")
    if result.of_text:
        allowed = f"{perplexity.more(result.max_perplexity_ratio)} of perplexity on the search split"
        beyond = perplexity.over(search, goal) > result.max_perplexity_ratio + ROUNDING
        lost = perplexity.more(perplexity.over(search, goal))
    else:
        allowed = f"{points(result.max_loss)} of top-1 on the search split"
        beyond = goal.top1 - search.top1 > result.max_loss + ROUNDING
        lost = points(goal.top1 - search.top1)
    if beyond:
        return f"No design on the front lost at most {allowed}; this one lost {lost}."
    if len(result.front) == 1:
        return f"It is the only design on the front; it lost at most {allowed}."
    return f"Of the {len(result.front)} designs on the front it is the cheapest that lost at most {allowed}."


def broken(result: Result, trial: Trial) -> tuple[str, ...]:
    """One sentence for every bound that the trial breaks."""
    sentences = []
    for constraint in result.constraints:
        limited = metric(constraint.metric)
        value = limited.read(trial.evaluation, "search")
        for bound, relation, sign in ((constraint.low, "below", -1), (constraint.high, "above", 1)):
            if bound is not None and sign * (value - bound) > 0:
                shown, limit = show(limited, value), show(limited, bound)
                sentences.append(f"It breaks a constraint: {limited.label} {shown} is {relation} {limit}.")
    return tuple(sentences)


def loss(result: Result, evaluation: Evaluation) -> Claim:
    """What the design loses against the float model on the test split: points of top-1, or of text perplexity."""
    test = tested_accuracy(evaluation)
    if test is None:
        return Claim("not tested", "It was not evaluated on the test split, so nothing is said about its loss.")
    goal = result.float_accuracy("test")
    if result.of_text:
        return Claim(*perplexity.loss(test, goal, result.max_perplexity_ratio))
    difference = paired(test, goal)
    both = f"{percent(test.top1)} against {percent(goal.top1)}; {between(difference)}"
    text = f"On the test split ({test.count:,} images) {verdict(difference, 'the float model')} ({both})."
    return Claim(loss_head(difference), f"{text} {within(difference, result.max_loss)}")


def tested_accuracy(evaluation: Evaluation) -> Accuracy | None:
    """The accuracy on the test split, if the design was evaluated there."""
    return next((accuracy for accuracy in evaluation.accuracies if accuracy.split == "test"), None)


def loss_head(difference: Difference) -> str:
    """`loses 0.85 points`, `gains 0.85 points` or `no difference shown`."""
    if not difference.interval.excludes_zero:
        return "no difference shown"
    return f"{'gains' if difference.value > 0 else 'loses'} {points(difference.value)}"


def verdict(difference: Difference, other: str) -> str:
    """What may be said of a paired difference of top-1: loss and gain only where the interval excludes zero."""
    if not difference.interval.excludes_zero:
        return f"no difference from {other} could be shown"
    return f"it {'gains' if difference.value > 0 else 'loses'} {points(difference.value)} of top-1 against {other}"


def between(difference: Difference) -> str:
    """`95 % interval -1.39 to -0.31`, after the difference itself where the verdict does not say it."""
    low, high = difference.interval
    interval = f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}"
    return interval if difference.interval.excludes_zero else f"{100 * difference.value:+.2f} points, {interval}"


def within(difference: Difference, max_loss: float) -> str:
    """Whether the test split settles that the allowed loss is kept."""
    allowed = f"the allowed loss of {points(max_loss)}"
    if -difference.interval.low <= max_loss:
        return f"The interval stays within {allowed}."
    if -difference.interval.high > max_loss:
        return f"The interval lies beyond {allowed}."
    return f"The interval does not rule out more than {allowed}."


def saving(result: Result, best: Trial) -> Claim:
    """What the design saves against the baseline."""
    if result.baseline is None:
        return Claim("no baseline", "The study names no baseline, so no saving is stated.")
    if result.baseline == best.number:
        return Claim("is the baseline", "The chosen design is the baseline itself, so there is no saving.")
    old, new = result.trial(result.baseline).evaluation, best.evaluation
    first, weights = _changes(new, old)
    name = f"trial {result.baseline} ({formats_in_words(old.design, result.workload)})"
    return Claim(first.head, f"Against the baseline, {name}: {first.text} and {weights.text}. {_against(new, old)}")


def _changes(new: Evaluation, old: Evaluation) -> tuple[Claim, Claim]:
    """What is saved of the device and of the memory."""
    if isinstance(new.predicted, FpgaCost):
        luts = change(new.fpga.area.luts, old.fpga.area.luts, "LUT")
        return luts, change(new.weight_bits, old.weight_bits, "weight bits")
    return gpu_words.less_time(new.gpu, old.gpu), change(new.gpu.weight_bytes, old.gpu.weight_bytes, "bytes of weights")


def change(new: int, old: int, what: str) -> Claim:
    """`61.2 % fewer LUT`, with the two numbers."""
    instead = f"({new:,} instead of {old:,})"
    if new == old:
        return Claim(f"as many {what}", f"as many {what} ({new:,})")
    if old == 0:
        return Claim(f"{new:,} {what}", f"{new:,} {what} where the baseline has none")
    head = f"{100 * abs(1 - new / old):.1f} % {'fewer' if new < old else 'more'} {what}"
    return Claim(head, f"{head} {instead}")


def _against(new: Evaluation, old: Evaluation) -> str:
    mine, its = tested_accuracy(new), tested_accuracy(old)
    if mine is None or its is None:
        return "The two were not compared on the test split."
    if mine.of_text:
        ratio = perplexity_ratio(mine, its)
        return f"On the test split {perplexity.verdict(ratio, 'the baseline')} ({perplexity.between(ratio)})."
    difference = paired(mine, its)
    return f"On the test split {verdict(difference, 'the baseline')} ({between(difference)})."


def use_in_words(use: Use) -> str:
    """`43.2 % of the LUT`, or that the device has none."""
    if use.used and not use.available:
        return f"{use.name}, of which it has none"
    return f"{100 * use.share:.1f} % of the {use.name}"


def uses(cost: Cost, target: Device) -> tuple[Use, ...]:
    """What a design takes of its device."""
    if isinstance(cost, FpgaCost):
        assert isinstance(target, FpgaTarget), "its own device"
        return uses_of(cost.area, target)
    assert isinstance(target, GpuTarget), "its own device"
    return gpu_words.uses(cost, target)


def fit(target: Device, cost: Cost) -> Claim:
    """Whether the design fits on the device."""
    if isinstance(target, GpuTarget):
        assert not isinstance(cost, FpgaCost), "its own device"
        return gpu_words.fit(target, cost)
    found = uses(cost, target)
    too_much = [use_in_words(use) for use in found if use.share > 1]
    if too_much:
        return Claim("does not fit", f"{target.name} ({target.part}) is too small: it needs {', '.join(too_much)}.")
    return Claim("fits", f"On {target.name} ({target.part}) it takes {', '.join(use_in_words(use) for use in found)}.")


def speed(cost: Cost, unit: str = "frame") -> Claim:
    """Throughput and latency at the clock, and what limits them."""
    if not isinstance(cost, FpgaCost):
        return gpu_words.speed(cost, unit)
    text = f"At {clock_in_words(cost)}; one {unit} alone takes {seconds(cost.latency_seconds)}."
    pace = f"{_pace(cost)} {cost.interval_cycles:,} cycles per {unit}."
    return Claim(f"{number(cost.frames_per_second)} {unit}/s", f"{text} {pace}")


def _pace(cost: FpgaCost) -> str:
    slowest = [layer.layer for layer in cost.layers if layer.cycles == cost.interval_cycles]
    if not slowest:  # a flow measured an interval that is no layer's own
        return "The pace is"
    if len(slowest) > NAMED:
        return f"{len(slowest)} layers set the pace with"
    *others, last = slowest
    return f"{', '.join(others)} and {last} set the pace with" if others else f"{last} sets the pace with"


def trust(cost: Cost) -> tuple[Claim, ...]:
    """How far to trust the costs, and what they leave out."""
    if not isinstance(cost, FpgaCost):
        return gpu_words.trust(cost)
    names = ", ".join(cost.outside) if len(cost.outside) <= gpu_words.NAMED_OUTSIDE else f"{len(cost.outside)} layers"
    outside = f"{names}; not in any cost." if cost.outside else "Nothing: every layer is inside."
    energy = energy_in_words(cost)
    return (
        Claim("Predicted, not measured", f"Area and time come from the cost model {cost.model}."),
        Claim("Calibration", cost.calibration[:1].upper() + cost.calibration[1:]),
        *(() if energy is None else (Claim("Energy", f"{energy}; {STATED}."),)),
        Claim("Outside the accelerator", outside),
    )
