"""Worker processes of this machine, each with one thread for its tensors.

A worker is a new Python (`hwdse.workers.child`), not a fork: threads of torch do not survive a fork, and
the thread count must be in the environment before torch is imported.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import cast

from hwdse.workers import Job, Maker
from hwdse.workers.pool import Died, News

# Two threads on a busy machine cost 5 to 30 times the time of one; these are read when a library is loaded.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
STDERR = 2  # what a network prints is no part of the output
LAST_SECONDS = 5  # for a process to end by itself


class Worker:
    """A process and the line to it."""

    def __init__(self, maker: bytes) -> None:
        self.line, other = Pipe()
        command = (sys.executable, *_warnings(), "-m", "hwdse.workers.child", str(other.fileno()))
        environment = os.environ | ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            command, pass_fds=(other.fileno(),), env=environment, stdin=subprocess.DEVNULL, stdout=STDERR
        )
        other.close()
        self.send(maker)

    def send(self, message: object) -> None:
        """Sends it; a worker that is dead is found out by who listens."""
        with suppress(OSError):
            self.line.send(message)

    def hear(self) -> News:
        """What it says."""
        try:
            return cast(News, self.line.recv())
        except (EOFError, OSError):  # also in the middle of a message
            return Died(_how(self.process.wait()))


class Processes:
    """The crew of worker processes."""

    def __init__(self, make: Maker) -> None:
        self._maker = pickle.dumps(make)

    def start(self) -> Worker:
        """A new worker."""
        return Worker(self._maker)

    def give(self, worker: Worker, job: Job) -> None:
        """Sends a job."""
        worker.send(job)

    def news(self, workers: Sequence[Worker], seconds: float | None) -> list[tuple[Worker, News]]:
        """What the workers say; a closed line is a death."""
        of = {worker.line: worker for worker in workers}
        heard = cast(list[Connection], wait(list(of), seconds))
        return [(of[line], of[line].hear()) for line in heard]

    def close(self, workers: Sequence[Worker]) -> None:
        """Ends them and waits for that."""
        for worker in workers:
            worker.line.close()
            worker.process.terminate()
        for worker in workers:
            try:
                worker.process.wait(LAST_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()


def _how(code: int) -> str:
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"


def _warnings() -> list[str]:
    """The warning options of this process: a worker warns of what its parent would."""
    return [f"-W{option}" for option in sys.warnoptions]
