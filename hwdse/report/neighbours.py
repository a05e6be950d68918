"""Why each design is on the front: what changed from its cheaper neighbour, and what that bought."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from hwdse.design import Design, Folding, Quantizer
from hwdse.evaluation import Accuracy, Evaluation, paired, perplexity_ratio
from hwdse.metrics import Metric, metric
from hwdse.report.describe import recipe_in_words, roles
from hwdse.report.figures import cost_objectives
from hwdse.report.perplexity import quality
from hwdse.report.quantities import show
from hwdse.report.sensitivity import KINDS
from hwdse.report.words import tested_accuracy
from hwdse.result import Result, Trial
from hwdse.workload import Workload

LISTED = 5  # changed places that are all named
MOST = 3  # of more, those that are

Pairs = tuple[tuple[str, Quantizer], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A tensor whose quantiser differs."""

    kind: str  # weights or activations
    place: str
    old: Quantizer
    new: Quantizer

    @property
    def step(self) -> str:
        """`int4 to e2m1`; the whole quantiser where the format is the same."""
        if self.old.format == self.new.format:
            return f"{self.old.name} to {self.new.name}"
        return f"{self.old.format.name} to {self.new.format.name}"


@dataclass(frozen=True, slots=True)
class Gain:
    """A difference of top-1, or a change of perplexity, to the neighbour."""

    points: str  # of top-1, or per cent of perplexity, with sign; '' where the two were not compared
    interval: str  # 95 %, paired
    shown: bool  # the interval excludes zero

    @classmethod
    def of(cls, mine: Accuracy | None, its: Accuracy | None) -> "Gain":
        """In words, of two accuracies that are both known."""
        if mine is None or its is None:
            return cls("", "", False)
        if mine.of_text:
            ratio = perplexity_ratio(mine, its)
            return cls._of(ratio.value - 1, [end - 1 for end in ratio.interval], ratio.excludes_one)
        difference = paired(mine, its)
        return cls._of(difference.value, difference.interval, difference.interval.excludes_zero)

    @classmethod
    def _of(cls, value: float, interval: Iterable[float], shown: bool) -> "Gain":
        low, high = (100 * end for end in interval)
        return cls(f"{100 * value:+.2f}", f"[{low:+.2f}, {high:+.2f}]", shown)


@dataclass(frozen=True, slots=True)
class Reason:
    """One design of the front beside the one before it."""

    trial: int
    roles: str
    cost: str
    more: str  # cost than the neighbour
    quality: str  # on the search split: top-1, or perplexity
    search: Gain
    test: Gain
    changed: str


def reasons(result: Result) -> tuple[Reason, ...]:
    """One for each design of the front, cheapest first."""
    designs = [result.trial(number) for number in result.front]
    return tuple(_reason(result, old, new) for old, new in pairwise([None, *designs]) if new is not None)


def cost_label(result: Result) -> str:
    """What the costs are of."""
    return _cost(result).label


def _cost(result: Result) -> Metric:
    return metric(cost_objectives(result)[0].metric)


def _reason(result: Result, old: Trial | None, new: Trial) -> Reason:
    cost, found = _cost(result), new.evaluation
    return Reason(
        trial=new.number,
        roles=", ".join(role for role, trial in roles(result) if trial.number == new.number),
        cost=show(cost, cost.read(found, "search")),
        more="" if old is None else _more(cost, found, old.evaluation),
        quality=quality(found.accuracy("search")),
        search=Gain.of(found.accuracy("search"), None if old is None else old.evaluation.accuracy("search")),
        test=Gain.of(tested_accuracy(found), None if old is None else tested_accuracy(old.evaluation)),
        changed="the cheapest of the front" if old is None else changed(result, old.evaluation.design, found.design),
    )


def _more(cost: Metric, new: Evaluation, old: Evaluation) -> str:
    """`+1,200 (+8.3 %)`."""
    its, mine = cost.read(old, "search"), cost.read(new, "search")
    share = f" ({100 * (mine / its - 1):+.1f} %)" if its else ""
    sign = "-" if mine < its else "+"
    return f"{sign}{show(cost, abs(mine - its))}{share}"


def changed(result: Result, old: Design, new: Design) -> str:
    """What differs, in words: every tensor of a few, of many the most sensitive; recipe; folding."""
    found = differences(old, new, result.workload)
    parts = [_tensors(result, found)] if found else []
    if old.recipe != new.recipe:
        parts.append(f"recipe {recipe_in_words(old)} to {recipe_in_words(new)}")
    if folded := _folded(old, new):
        parts.append(folded)
    return "; ".join(parts) or "nothing that is named here"


def differences(old: Design, new: Design, workload: Workload) -> tuple[Change, ...]:
    """The tensors whose quantisers differ: weights, then activations, each in network order."""
    weights = _changes("weights", old.weights, new.weights, (layer.name for layer in workload.layers))
    return (*weights, *_changes("activations", old.activations, new.activations, (s.name for s in workload.sites)))


def _changes(kind: str, old: Pairs, new: Pairs, order: Iterable[str]) -> tuple[Change, ...]:
    before, after = dict(old), dict(new)
    both = (place for place in order if place in before and place in after)
    return tuple(Change(kind, place, before[place], after[place]) for place in both if before[place] != after[place])


def _tensors(result: Result, found: tuple[Change, ...]) -> str:
    if len(found) <= LISTED:
        return _grouped(found)
    total = len(result.workload.weighted) + len(result.workload.sites)
    ranked, known = _most_sensitive(result, found)
    which = "the most sensitive" if known else "the first"
    return f"{len(found)} of {total} tensors; {which}: {_grouped(ranked[:MOST])}"


def _grouped(found: Iterable[Change]) -> str:
    """`weights of conv1, conv2: int3 to int4`: neighbours with an equal change together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for change in found:
        groups.setdefault((change.kind, change.step), []).append(change.place)
    return "; ".join(f"{KINDS[kind]} {', '.join(places)}: {step}" for (kind, step), places in groups.items())


def _most_sensitive(result: Result, found: tuple[Change, ...]) -> tuple[tuple[Change, ...], bool]:
    """By how far apart the losses of both formats are, in the baseline; in network order where nothing is known."""
    losses = {(one.kind, one.place, one.quantizer): one.loss for one in result.sensitivities}

    def apart(change: Change) -> float:
        old, new = (losses.get((change.kind, change.place, q.name)) for q in (change.old, change.new))
        return 0.0 if old is None or new is None else abs(new - old)

    return tuple(sorted(found, key=lambda change: -apart(change))), any(map(apart, found))


def _folded(old: Design, new: Design) -> str:
    before, after = dict(old.folding), dict(new.folding)
    names = [name for name in after if after[name] != before.get(name, Folding())]
    if len(names) > MOST:
        return f"the folding of {len(names)} layers"
    return ", ".join(f"folding of {name} {before.get(name, Folding()).name} to {after[name].name}" for name in names)
