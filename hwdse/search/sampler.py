"""Optuna's samplers without a memory of their own: trial n is a function of the history, the seed and n.

A sampler that carries its random state from trial to trial gives other trials after an interruption.
Here every trial gets a fresh one, seeded from (seed, number), and all choices of a trial are drawn
together, so that it does not matter which of them a killed process had already written down.

Beside Optuna's there is our own `allocate`, which needs prices (`hwdse.search.allocate`), and `hybrid`: `allocate`
until NSGA-II has its first generation, then NSGA-II.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from hwdse.search.allocate import Allocation

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    # Running trials are no part of the history: with several of them, it would depend on who is faster.
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=False, constant_liar=False),
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
}
ALLOCATING = {"allocate": "random", "hybrid": "nsga2"}  # and what goes on where `allocate` has ended
GENERATION = 50  # trials: what NSGA-II selects the first parents from


def handover(name: str, first: int, dimensions: int) -> float:
    """The first trial that is not allocated, after `first` given ones; in `hybrid` each dimension is seen twice."""
    if name not in ALLOCATING:
        return first
    return float("inf") if name == "allocate" else max(GENERATION, first + 2 * dimensions)


def origin(name: str, number: int, first: int, dimensions: int) -> str:
    """What proposes trial `number` in a search with sampler `name`."""
    if name not in ALLOCATING:
        return name
    return "allocate" if number < handover(name, first, dimensions) else ALLOCATING[name]


class Reseeded(BaseSampler):
    """Proposes the given first trials, then what the sampler called `name` would.

    `allocation` is of the samplers that allocate.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        space: Mapping[str, BaseDistribution],
        first: Sequence[Mapping[str, str]],
        allocation: Allocation | None = None,
    ) -> None:
        self._make = SAMPLERS[ALLOCATING.get(name, name)]
        self._seed = seed
        self._space = dict(space)
        self._first = first
        self._allocation = allocation
        self._handover = handover(name, len(first), len(space))

    def exhausted(self, study: Study) -> bool:
        """Whether every design that meets the constraints was proposed, as far as `allocate` would find one."""
        number = len(study.get_trials(deepcopy=False))
        if self._allocation is None or not len(self._first) <= number < self._handover:
            return False
        return self._allocation.proposal(study.get_trials(deepcopy=False), number) is None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All choices are drawn together."""
        return self._space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The choices of `trial`."""
        sampler = self._fresh(trial)
        if isinstance(sampler, NSGAIISampler):
            self._join_generation(sampler, study, trial)
        if trial.number < len(self._first):
            return dict(self._first[trial.number])
        if self._allocation is not None and trial.number < self._handover:
            return dict(self._allocation.choices(study.get_trials(deepcopy=False), trial.number))
        # Only NSGA-II draws together: TPE does with one objective alone, and random never.
        joint = search_space if isinstance(sampler, NSGAIISampler) else {}
        drawn = sampler.sample_relative(study, trial, joint)
        missing = {name: d for name, d in search_space.items() if name not in drawn}
        return drawn | {name: sampler.sample_independent(study, trial, name, d) for name, d in missing.items()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never called, because all choices are drawn together."""
        raise AssertionError(param_name)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """What the sampler does then."""
        self._fresh(trial).after_trial(study, trial, state, values)

    def _fresh(self, trial: FrozenTrial) -> BaseSampler:
        (seed,) = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)
        return self._make(int(seed))

    def _join_generation(self, sampler: NSGAIISampler, study: Study, trial: FrozenTrial) -> None:
        """Counts `trial` in its generation, also a given one, and settles the order of the parents.

        Optuna lists a generation's parents by rank when it selects them and by number when it finds
        them in the storage, so an interruption in between would change the children.
        """
        generation = sampler.get_trial_generation(study, trial)
        sampler.get_parent_population(study, generation)
