"""Who evaluates: this process, worker processes of this machine, or a Ray cluster, all behind one `Executor`.

The process that searches alone proposes, writes and decides. A worker gets a `Job` and gives an
`Outcome`; it has no database and no state but the network that it built once, so that any of
them may die at any moment and its job is put to another.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.racing import Penalties, Race

EXECUTORS = ("processes", "ray")
ATTEMPTS = 3  # workers that may die over one job, or before they are ready, until it is given up


class Evaluator(Protocol):
    """Finds out accuracies. Equal arguments give equal answers; ValueError is a design that has none."""

    @property
    def context(self) -> str:
        """A digest of everything else that an accuracy depends on: weights, data, library versions."""

    def float_accuracy(self, split: str) -> Accuracy:
        """Of the unquantised network on a data split."""

    def accuracy(self, design: Design, split: str) -> Accuracy:
        """Of the network quantised by `design` on a data split."""


@runtime_checkable
class Racer(Evaluator, Protocol):
    """An evaluator that looks at images one after the other."""

    def raced(self, design: Design, split: str, race: Race) -> Accuracy:
        """Of the network quantised by `design` on a data split; of its first images, if they lose `race`."""

    def penalties(self, design: Design, split: str, metric: str) -> Penalties:
        """What a race compares: of each image of a split; `metric` is one of `RACED`."""


@runtime_checkable
class Grouper(Evaluator, Protocol):
    """An evaluator that shares work between designs that it knows beforehand."""

    def accuracies(self, designs: Sequence[Design], split: str) -> Iterator[tuple[int, Accuracy | ValueError]]:
        """Of every design, with its place in `designs`, in any order; ValueError is a design that has none."""


@runtime_checkable
class Noted(Evaluator, Protocol):
    """An evaluator that says how it worked."""

    def notes(self) -> str:
        """What it did in this process, in words for a person."""


Maker = Callable[[], Evaluator]  # what a worker calls once; it is pickled, so it is a function of a module


@dataclass(frozen=True, slots=True)
class Job:
    """One accuracy to find out."""

    design: Design
    split: str
    race: Race | None = None  # in which it may be found out in part


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: an accuracy, or why there is none."""

    job: Job
    accuracy: Accuracy | None = None
    failure: str | None = None
    died: bool = False  # the failure is that of the workers, so that it says nothing about the design


class Executor(Protocol):
    """Does jobs. One thread uses it."""

    @property
    def capacity(self) -> int:
        """How many jobs keep it busy."""

    @property
    def together(self) -> int:
        """How many jobs it has a use for, where all of them are known beforehand."""

    def submit(self, job: Job) -> None:
        """Takes a job; one that it already has is not done twice."""

    def collect(self, seconds: float | None) -> list[Outcome]:
        """Waits for at least one outcome, or for so many seconds; ValueError if no worker can be had.

        Without a job it sleeps for so many seconds; None is until an outcome, and no time without a job.
        """

    def close(self) -> None:
        """Ends all workers; what they had is dropped."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who evaluates a study; it decides nothing but the time and, for samplers with a memory, the order of news."""

    count: int = 1
    executor: str = "processes"  # one of them is this process
    address: str | None = None  # of a Ray cluster; None is RAY_ADDRESS, or a cluster of this machine
    patience_seconds: float = 60.0  # after which a process that shares the study and is silent is dead

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"a study needs at least 1 worker, not {self.count}")
        if self.executor not in EXECUTORS:
            raise ValueError(f"no executor {self.executor!r}; known: {', '.join(EXECUTORS)}")
        if self.address is not None and self.executor != "ray":
            raise ValueError(f"an address is that of a Ray cluster, which executor {self.executor!r} is not")


def evaluate(evaluator: Evaluator, job: Job) -> Outcome:
    """Does a job here."""
    try:
        if job.race is None:
            return Outcome(job, evaluator.accuracy(job.design, job.split))
        assert isinstance(evaluator, Racer), "who proposes a race has one"
        return Outcome(job, evaluator.raced(job.design, job.split, job.race))
    except ValueError as error:
        return Outcome(job, failure=str(error))


def hire(workers: Workers, evaluator: Evaluator, make: Maker) -> Executor:
    """The executor of `workers`: `evaluator` in this process, or what `make` builds in each of the others."""
    from hwdse.workers.in_process import InProcess
    from hwdse.workers.pool import Pool
    from hwdse.workers.processes import Processes

    if workers.executor == "ray":
        from hwdse.workers.ray_cluster import RayCluster

        return Pool(RayCluster(make, workers.address), workers.count, evaluator)
    return InProcess(evaluator) if workers.count == 1 else Pool(Processes(make), workers.count, evaluator)
