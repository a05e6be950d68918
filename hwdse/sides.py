"""Searches of the same network for several devices, side by side: every design of a front, priced on every device."""

from dataclasses import dataclass

from hwdse.cost import Cost
from hwdse.design import Design
from hwdse.evaluation import Accuracy, Evaluation


@dataclass(frozen=True, slots=True)
class Price:
    """What a design costs on one device."""

    cost: Cost | None  # None: it has no price there
    why: str  # it has none, in one sentence; '' where it has one
    trial: int | None  # of the front of that device; None where it is not on it


@dataclass(frozen=True, slots=True)
class Joined:
    """A design that is on the front of one device or more."""

    design: Design  # without a folding
    accuracies: tuple[Accuracy, ...]  # one per split
    weight_bits: int
    prices: tuple[Price, ...]  # one per device

    @property
    def evaluation(self) -> Evaluation:
        """With the first of the prices."""
        return self.priced_at(next(price.cost for price in self.prices if price.cost is not None))

    def priced_at(self, cost: Cost) -> Evaluation:
        """With one of the costs."""
        return Evaluation(self.design, self.accuracies, cost, (), self.weight_bits)


@dataclass(frozen=True, slots=True)
class Sides:
    """What the report of a study of several targets says beside the reports of its parts."""

    study: str
    question: str
    folders: tuple[str, ...]  # of the runs, one per target, in the folder of the study
    designs: tuple[Joined, ...]  # the most accurate on the search split first
