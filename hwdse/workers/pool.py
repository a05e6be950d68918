"""The executor that has workers elsewhere: who has which job, and what happens when one of them dies.

A `Crew` knows how workers are started and spoken to; all that is decided about them is decided here.
"""

import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hwdse.workers import ATTEMPTS, Evaluator, Job, Outcome

W = TypeVar("W")  # a worker, as its crew knows it
AHEAD = 2  # jobs at hand for each worker: one that it has, one that waits for it


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has built its network."""

    context: str  # of its evaluator


@dataclass(frozen=True, slots=True)
class Refused:
    """A worker cannot build its network, with what the study says of it."""

    why: str


@dataclass(frozen=True, slots=True)
class Broke:
    """An error of the code ended a worker."""

    trace: str


@dataclass(frozen=True, slots=True)
class Died:
    """A worker is gone."""

    how: str  # e.g. by signal SIGKILL


News = Ready | Refused | Broke | Died | Outcome


class Crew(Protocol[W]):
    """Starts workers and speaks with them."""

    def start(self) -> W:
        """A new worker, which builds its network first."""

    def give(self, worker: W, job: Job) -> None:
        """Sends a job to a worker that has none; if it is dead, `news` says so."""

    def news(self, workers: list[W], seconds: float | None) -> list[tuple[W, News]]:
        """What the workers say, at most one message of each; waits for the first, or for so many seconds."""

    def close(self, workers: list[W]) -> None:
        """Ends these workers, whatever they do; there are no others."""


class Pool(Generic[W]):
    """An executor of `count` workers of `crew`, whose network and data must be those of `evaluator`."""

    def __init__(self, crew: Crew[W], count: int, evaluator: Evaluator) -> None:
        self._crew = crew
        self._count = count
        self._evaluator = evaluator
        self._queue: deque[Job] = deque()
        self._work: dict[W, Job | None] = {}  # of every living worker; None has no job
        self._ready: set[W] = set()
        self._deaths = Counter[Job]()
        self._stillborn = 0  # workers in a row that died before they were ready

    @property
    def capacity(self) -> int:
        """How many jobs keep it busy."""
        return AHEAD * self._count

    @property
    def together(self) -> int:
        """As many: a worker does one at a time."""
        return self.capacity

    def submit(self, job: Job) -> None:
        """Takes a job; one that it already has is not done twice."""
        if job not in self._queue and job not in self._work.values():
            self._queue.append(job)
        self._assign()

    def collect(self, seconds: float | None) -> list[Outcome]:
        """Waits for at least one outcome, or for so many seconds."""
        found: list[Outcome] = []
        if not self._queue and not any(self._work.values()):
            time.sleep(seconds or 0)
        while not found and (self._queue or any(self._work.values())):
            news = self._crew.news(list(self._work), seconds)
            found = [outcome for worker, said in news for outcome in self._heard(worker, said)]
            self._assign()
            if not news:
                break
        return found

    def close(self) -> None:
        """Ends all workers."""
        self._crew.close(list(self._work))
        self._work.clear()
        self._ready.clear()
        self._queue.clear()

    def _assign(self) -> None:
        """Gives the queue to those who are ready; starts workers while there are too few."""
        while self._queue and len(self._work) < self._count:
            self._work[self._crew.start()] = None
        for worker in sorted(self._ready, key=list(self._work).index):
            if self._queue and self._work[worker] is None:
                self._work[worker] = job = self._queue.popleft()
                self._crew.give(worker, job)

    def _heard(self, worker: W, said: News) -> list[Outcome]:
        """What follows from one message."""
        match said:
            case Ready(context):
                self._check(context)
                self._ready.add(worker)
                self._stillborn = 0
            case Refused(why):
                raise ValueError(why)
            case Broke(trace):
                raise RuntimeError(f"a worker failed:\n{trace}")
            case Died(how):
                return self._buried(worker, how)
            case Outcome(job):
                self._work[worker] = None
                del self._deaths[job]
                return [said]
        return []

    def _check(self, context: str) -> None:
        if context != self._evaluator.context:
            here = self._evaluator.context
            raise ValueError(f"a worker has other weights, data or versions ({context}) than this process ({here})")

    def _buried(self, worker: W, how: str) -> list[Outcome]:
        """Puts the job of a dead worker first in the queue, or gives it up."""
        job = self._work.pop(worker)
        if worker not in self._ready:
            self._stillborn += 1
            if self._stillborn == ATTEMPTS:
                raise ValueError(f"{ATTEMPTS} workers in a row died before they were ready, the last {how}")
        self._ready.discard(worker)
        if job is None:
            return []
        self._deaths[job] += 1
        if self._deaths[job] < ATTEMPTS:
            self._queue.appendleft(job)
            return []
        del self._deaths[job]
        return [Outcome(job, failure=f"{ATTEMPTS} workers died over this design, the last {how}", died=True)]
