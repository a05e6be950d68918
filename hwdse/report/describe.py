"""Names for designs: their family, their mean width, their formats in a few words.

`FAMILY_RULE` is the definition of a family, and `family_rule` what a report prints of it.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from hwdse.cost import FpgaCost
from hwdse.design import Design, Quantizer
from hwdse.energy import PICO, joules
from hwdse.evaluation import Evaluation
from hwdse.formats import Format, family
from hwdse.report.quantities import number
from hwdse.result import Result, Trial
from hwdse.workload import Site, Workload

BRIEF = 6  # runs of equal formats that a sentence can bear
FAMILIES = ("integer", "minifloat", "mixed")
FAMILY_RULE = (
    "A design is 'integer' if all its formats are integers, 'minifloat' if all are minifloats, and 'mixed' otherwise. "
    "e1mK is a uniform grid and counts as an integer. An 8-bit integer does not count at the first or last layer with "
    "weights or at the activations that these two read, because studies usually fix it there."
)
HALVES_RULE = "Activations that stay in float16 or bfloat16 do not count: the weights decide."


def family_of(design: Design, workload: Workload) -> str:
    """`integer`, `minifloat` or `mixed`, by `FAMILY_RULE`."""
    edges = {layer.name for layer in (*workload.weighted[:1], *workload.weighted[-1:])}
    read = {site.name for site in workload.sites if edges & set(site.consumers)}
    at_edge = [q.format for name, q in design.weights if name in edges]
    at_edge += [q.format for name, q in design.activations if name in read]
    inner = [q.format for name, q in design.weights if name not in edges]
    inner += [q.format for name, q in design.activations if name not in read]
    counted = inner + [fmt for fmt in at_edge if not _is_int8(fmt)]
    found = {family(fmt) for fmt in _quantised(counted) or _quantised(at_edge)}
    return found.pop() if len(found) == 1 else "mixed"


def family_rule(*results: Result) -> str:
    """`FAMILY_RULE`, and what is said of 16-bit floats where a design has any."""
    designs = (trial.evaluation.design for result in results for trial in result.trials)
    halves = any(family(q.format) == "float" for design in designs for _, q in design.activations)
    return f"{FAMILY_RULE} {HALVES_RULE}" if halves else FAMILY_RULE


def _quantised(formats: Iterable[Format]) -> list[Format]:
    """Those that are quantised, unlike what stays in 16 bits."""
    return [fmt for fmt in formats if family(fmt) != "float"]


def _is_int8(fmt: Format) -> bool:
    return fmt.uniform and fmt.bits == 8


def mean_weight_bits(evaluation: Evaluation, workload: Workload) -> float:
    """Bits per stored weight."""
    return evaluation.weight_bits / sum(layer.weights for layer in workload.weighted)


def weight_quantizers(design: Design, workload: Workload) -> tuple[tuple[str, Quantizer], ...]:
    """Layers and their weight quantisers, in the order the layers run."""
    order = {layer.name: index for index, layer in enumerate(workload.layers)}
    return tuple(sorted(design.weights, key=lambda pair: order[pair[0]]))


def activation_quantizers(design: Design, workload: Workload) -> tuple[tuple[str, Quantizer], ...]:
    """Sites and their activation quantisers, in the order of the workload."""
    order = {site.name: index for index, site in enumerate(workload.sites)}
    return tuple(sorted(design.activations, key=lambda pair: order[pair[0]]))


def runs(quantizers: Iterable[tuple[str, Quantizer]]) -> str:
    """The formats in their order, equal neighbours counted: `int8, 3 x e2m1, int8`."""
    return _counted((name, len(list(group))) for name, group in groupby(q.format.name for _, q in quantizers))


def brief(quantizers: tuple[tuple[str, Quantizer], ...]) -> str:
    """`runs` where it is short, else how often each format occurs: `20 x int4, 9 x e2m1`."""
    ordered = runs(quantizers)
    if ordered.count(",") < BRIEF:
        return ordered
    return _counted(Counter(q.format.name for _, q in quantizers).most_common())


def _counted(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in pairs)


def formats_in_words(design: Design, workload: Workload) -> str:
    """`weights int8, 3 x e2m1, int8; activations uint8`."""
    weights = brief(weight_quantizers(design, workload))
    return f"weights {weights}; activations {brief(activation_quantizers(design, workload))}"


def most_accurate(result: Result) -> int:
    """The trial of the front that is best on the search split, the cheapest of equals.

    Never chosen on the test split: its interval would no longer hold.
    """
    candidates = result.front or (result.best,)
    return max(candidates, key=lambda number: result.trial(number).evaluation.accuracy("search").goodness)


def roles(result: Result) -> tuple[tuple[str, Trial], ...]:
    """The designs that the report names: best, knee, most accurate, and the baseline where there is one."""
    named = [("best", result.best), ("knee", result.knee), ("most accurate", most_accurate(result))]
    named += [("baseline", result.baseline)] if result.baseline is not None else []
    return tuple((role, result.trial(number)) for role, number in named)


def unit_of(result: Result) -> str:
    """What runs through the network, and what a batch has several of: a frame, or of text a sequence or a token."""
    if not result.of_text:
        return "frame"
    return "token" if result.run is not None and result.run.tokens == "one" else "sequence"


def examples(result: Result) -> str:
    """What accuracies are of: images, or tokens."""
    return "tokens" if result.of_text else "images"


def counted(result: Result, count: int) -> str:
    """`1,000 images`, or of a text `1,000 tokens`."""
    return f"{count:,} {examples(result)}"


def whole(result: Result, trial: Trial) -> bool:
    """Whether a trial was evaluated on all images of the search split: it lost no race."""
    return trial.evaluation.accuracy("search").count == result.float_accuracy("search").count


def recipe_in_words(design: Design) -> str:
    """The steps as a study writes them, or `none`."""
    return " + ".join(step.name for step in design.recipe) or "none"


def clock_in_words(cost: FpgaCost) -> str:
    """The clock: that it is assumed, and what is predicted to be reached where that is known.

    The interval is of single units: on whole networks none was found.
    """
    assumed = f"{number(cost.clock_mhz)} MHz"
    if cost.clock is None:
        return f"{assumed} (assumed)"
    low, mhz, high = (number(round(value)) for value in (cost.clock.low, cost.clock.mhz, cost.clock.high))
    verdict = "below the" if cost.clock.mhz >= cost.clock_mhz else "ABOVE the"
    reached = f"{verdict} {mhz} MHz that the slowest layer is predicted to reach"
    return f"an assumed {assumed}, {reached} (90 % of single units: {low} to {high})"


def energy_in_words(cost: FpgaCost) -> str | None:
    """The energy of a frame with its label and its parts; None where the cost has none."""
    energy = cost.energy
    if energy is None:
        return None
    spent = [f"{name} {joules(value * PICO)}" for name, value in energy.dynamic.parts if value]
    if energy.static_pj is not None:
        spent.append(f"static {joules(energy.static_pj * PICO)}")
    return f"{joules(energy.joules)} per frame, {energy.label} ({', '.join(spent)})"


def consumers_in_words(site: Site) -> str:
    """Who reads a site."""
    return f"read by {', '.join(site.consumers)}" if site.consumers else "the output"
