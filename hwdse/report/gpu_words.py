"""The answer of a study of a GPU in words: whether the weights fit, how fast it is, how far to trust that."""

from hwdse.cost import GpuCost
from hwdse.cost_model import Run
from hwdse.metrics import in_bytes
from hwdse.report.claim import Claim
from hwdse.report.quantities import number, seconds
from hwdse.target import GpuTarget, Use

MEGABYTE = 10**6
UNCALIBRATED = "uncalibrated"  # how a model's word on its calibration begins where there is none
NAMED_OUTSIDE = 6  # more of them are counted, and listed below


def uses(cost: GpuCost, target: GpuTarget) -> tuple[Use, ...]:
    """The memory that the packed weights take, in MB, rounded up."""
    return (Use("MB of memory", -(-cost.weight_bytes // MEGABYTE), int(1000 * target.memory_gb)),)


def fit(target: GpuTarget, cost: GpuCost) -> Claim:
    """Whether the packed weights fit into the memory; what else needs memory is not known here."""
    (use,) = uses(cost, target)
    weights = f"{in_bytes(cost.weight_bytes)} ({padding_in_words(cost)})"
    taken = f"its packed weights take {weights} of the {target.memory_gb:g} GB"
    if use.share > 1:
        return Claim("does not fit", f"{target.name} ({target.part}) is too small: {taken}.")
    text = f"On {target.name} ({target.part}) {taken}; activations and what runs beside them are not counted."
    return Claim("fits", text)


def padding_in_words(cost: GpuCost) -> str:
    """`whole tiles; 61 % is padding`: why few weights take many bytes; `whole tiles` where the share is not known."""
    return "whole tiles" + (f"; {100 * cost.padding:.0f} % is padding" if cost.padding is not None else "")


def speed(cost: GpuCost, unit: str = "frame") -> Claim:
    """Throughput and the time of a batch, which has so many of a unit, and what limits them."""
    batch = batch_in_words(cost, unit).capitalize()
    text = f"{batch} take{'s' * (cost.batch == 1)} {seconds(cost.seconds)} of products, one kernel after the other: "
    return Claim(f"{number(cost.frames_per_second)} {unit}/s", f"{text}{bounds_in_words(cost)}.")


def less_time(new: GpuCost, old: GpuCost) -> Claim:
    """`35.1 % less time`, with the two times; of a batch each."""
    instead = f"({seconds(new.seconds)} instead of {seconds(old.seconds)})"
    if new.seconds == old.seconds:
        return Claim("as much time", f"as much time ({seconds(new.seconds)})")
    head = f"{100 * abs(1 - new.seconds / old.seconds):.1f} % {'less' if new.seconds < old.seconds else 'more'} time"
    return Claim(head, f"{head} {instead}")


def run_in_words(run: Run, unit: str = "frame") -> str:
    """`batches of 64`, and that a text is decoded, token by token."""
    size = f"one {'sequence' if unit == 'token' else unit} at a time" if run.batch == 1 else f"batches of {run.batch}"
    return size + ", one token of each" * (run.tokens == "one")


def batch_in_words(cost: GpuCost, unit: str = "frame") -> str:
    """`a frame alone` or `64 frames together`."""
    return f"a {unit} alone" if cost.batch == 1 else f"{cost.batch:,} {unit}s together"


def bounds_in_words(cost: GpuCost) -> str:
    """What bounds the kernels, by their time: `61 % of the time is bound by memory, 39 % by launch`."""
    spent = shares(cost)
    (bound, share), *others = spent
    rest = "".join(f", {100 * part:.0f} % by {name}" for name, part in others)
    return f"{100 * share:.0f} % of the time is bound by {bound}{rest}"


def shares(cost: GpuCost) -> tuple[tuple[str, float], ...]:
    """What bounds the kernels, with the shares of the time, the largest first."""
    spent: dict[str, float] = {}
    for layer in cost.layers:
        spent[layer.bound] = spent.get(layer.bound, 0.0) + layer.seconds
    ordered = sorted(spent.items(), key=lambda pair: -pair[1])
    return tuple((bound, taken / cost.seconds) for bound, taken in ordered)


def trust(cost: GpuCost) -> tuple[Claim, ...]:
    """How far to trust the costs, and what they leave out."""
    names = ", ".join(cost.outside) if len(cost.outside) <= NAMED_OUTSIDE else f"{len(cost.outside)} layers"
    outside = f"{names}; not in any time." if cost.outside else "Nothing: every layer is inside."
    return (
        Claim(label(cost), f"Times come from the cost model {cost.model}; nothing was run on a GPU for this page."),
        Claim("Calibration", calibration(cost)),
        Claim("Outside the total", outside),
    )


def label(cost: GpuCost) -> str:
    """What stands beside every number: that it is predicted, and whether anything was measured for it."""
    return f"Predicted, {UNCALIBRATED if cost.calibration.startswith(UNCALIBRATED) else 'not measured'}"


def calibration(cost: GpuCost) -> str:
    """What the label says in a word, in sentences."""
    text = cost.calibration.removeprefix(f"{UNCALIBRATED}: ")
    return text[:1].upper() + text[1:]
