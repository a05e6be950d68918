"""The executor that is this process: jobs are done when an outcome is asked for."""

import time

from hwdse.evaluation import Accuracy
from hwdse.workers import Evaluator, Grouper, Job, Outcome, evaluate

GROUP = 32  # jobs that share work, at most: as many may be lost when the process dies
GROUP_SECONDS = 20.0  # and for as long nobody hears of them


class InProcess:
    """Does one job at a time, here, or several that can share work."""

    capacity = 1

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._jobs: dict[Job, None] = {}  # in their order
        self._seconds = GROUP_SECONDS  # of a job, as far as is known

    @property
    def together(self) -> int:
        """As many as a group has, if the evaluator takes groups."""
        most = min(GROUP, int(GROUP_SECONDS / max(self._seconds, 1e-9)))
        return max(most, 1) if isinstance(self._evaluator, Grouper) else 1

    def submit(self, job: Job) -> None:
        """Puts it at the end of the queue."""
        self._jobs.setdefault(job)

    def collect(self, seconds: float | None) -> list[Outcome]:
        """Does the first job and all that can be done with it, however long it takes."""
        if not self._jobs:
            time.sleep(seconds or 0)
            return []
        jobs, start = self._first(), time.perf_counter()
        outcomes = self._done(jobs)
        self._seconds = (time.perf_counter() - start) / len(jobs)
        for job in jobs:
            del self._jobs[job]
        return outcomes

    def close(self) -> None:
        """Forgets the queue."""
        self._jobs.clear()

    def _first(self) -> list[Job]:
        """The first job, and those on all images of the same split."""
        first = next(iter(self._jobs))
        if first.race is not None or not isinstance(self._evaluator, Grouper):
            return [first]
        return [job for job in self._jobs if (job.split, job.race) == (first.split, None)]

    def _done(self, jobs: list[Job]) -> list[Outcome]:
        if len(jobs) == 1 or not isinstance(self._evaluator, Grouper):
            return [evaluate(self._evaluator, job) for job in jobs]
        found = dict(self._evaluator.accuracies([job.design for job in jobs], jobs[0].split))
        return [_outcome(job, found[place]) for place, job in enumerate(jobs)]


def _outcome(job: Job, found: Accuracy | ValueError) -> Outcome:
    return Outcome(job, failure=str(found)) if isinstance(found, ValueError) else Outcome(job, found)
