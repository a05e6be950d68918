"""The executor that is this process: a job is done when its outcome is asked for."""

import time

from hwdse.workers import Evaluator, Job, Outcome, evaluate


class InProcess:
    """Does one job at a time, here."""

    capacity = 1

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._jobs: dict[Job, None] = {}  # in their order

    def submit(self, job: Job) -> None:
        """Puts it at the end of the queue."""
        self._jobs.setdefault(job)

    def collect(self, seconds: float | None) -> list[Outcome]:
        """Does the first job, however long it takes."""
        if not self._jobs:
            time.sleep(seconds or 0)
            return []
        job = next(iter(self._jobs))
        outcome = evaluate(self._evaluator, job)
        del self._jobs[job]
        return [outcome]

    def close(self) -> None:
        """Forgets the queue."""
        self._jobs.clear()
