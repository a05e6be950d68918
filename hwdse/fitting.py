"""Whether a design fits a device, and which design of the front is built instead where it does not."""

from dataclasses import dataclass

from hwdse.cost import FpgaCost
from hwdse.cost_model import FpgaCostModel
from hwdse.memory import utilization
from hwdse.result import Result, Trial
from hwdse.target import FpgaTarget, side_by_side


@dataclass(frozen=True, slots=True)
class Fitting:
    """The designs of a result on a device, which may be another one than that of the study."""

    result: Result
    model: FpgaCostModel
    target: FpgaTarget

    def check(self, trial: Trial, predicted: FpgaCost) -> None:
        """ValueError where even the least that a design is `predicted` to take is more than there is."""
        least, _ = predicted.bounds
        for use, low in side_by_side((predicted.area, least), self.target):
            if low.used > low.available:
                needed = f"{use.used:,} {use.name} of the {use.available:,} on {self.target.name}"
                more = f", {100 * (use.share - 1):.0f} % more than fits" if use.available else ""
                raise ValueError(f"trial {trial.number} is predicted to need {needed}{more}. {self.advice(trial)}")

    def advice(self, failed: Trial) -> str:
        """The design of the front that is nearest to one that does not fit, in a sentence.

        The nearest takes most of the device, by what it takes most of, among those that are predicted to take less of
        it than the failed one, and no more than there is; of equals it is the most accurate.
        """
        below = self._share(failed)
        shares = [(self._share(trial), trial) for trial in map(self.result.trial, self.result.front)]
        fitting = [(share, _top1(trial), trial.number) for share, trial in shares if share <= 1 and share < below]
        if not fitting:
            return f"No other design of the front is predicted to fit {self.target.name}"
        _, top1, number = max(fitting)
        return (
            f"Of the front trial {number} is predicted to fit, with a top-1 of {100 * top1:.2f} % on the search split"
        )

    def _share(self, trial: Trial) -> float:
        """Of the device: the largest of the shares of its resources."""
        design, result = trial.evaluation.design, self.result
        return utilization(self.model.cost(result.workload, design, self.target, result.clock).area, self.target)


def _top1(trial: Trial) -> float:
    return trial.evaluation.accuracy("search").top1
