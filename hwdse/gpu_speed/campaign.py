"""Times points in a process of its own, one after the other, and keeps what came out.

A kernel that reads where it may not leaves a process without its GPU, and one that waits for what never comes stays for
ever. So a point is timed in a process that is ended after a failure of the GPU or when its time is up; the next point
has a new one. Before, several such processes compile what the points need: with one GPU and many cores compiling would
be most of the time.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from hwdse.gpu_measurements import Origin, Point, Timing, append, result_key
from hwdse.gpu_speed.plan import CEILINGS, REFERENCE

LONGEST = 120.0  # seconds of a point, with all that it compiles
START = 60.0  # seconds of a process until it answers


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process says of a point; without an origin, which the campaign knows."""

    seconds: float | None
    noise: float | None = None
    moved: int | None = None
    error: float | None = None
    mhz: int | None = None
    note: str = ""
    lost: bool = False  # whether the process has no GPU any more

    def timing(self, point: Point, origin: Origin) -> Timing:
        """As a row."""
        return Timing(point, origin, self.seconds, self.noise, self.moved, self.error, self.mhz, self.note)


class Measure(Protocol):
    """What a process does for a point: a function at the top of a module, which a new process imports."""

    def __call__(self, point: Point, compile_only: bool) -> Answer:
        """Times `point`, or only runs it once."""


class Worker:
    """A process that answers one point after the other."""

    def __init__(self, measure: Measure) -> None:
        context = get_context("spawn")
        self._own, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far, measure), daemon=True)
        self._process.start()
        far.close()

    def ask(self, point: Point, longest: float = LONGEST, *, compile_only: bool = False) -> Answer:
        """The answer; where it does not come, why, and the process has ended."""
        try:
            self._own.send((point, compile_only))
            if not self._own.poll(longest):
                self.end()
                return Answer(None, note=f"took longer than {longest:.0f} s", lost=True)
            answer: Answer = self._own.recv()
        except (EOFError, OSError):
            self._process.join(START)
            code = self._process.exitcode
            return Answer(None, note=f"the process ended with code {code}", lost=True)
        if answer.lost:
            self.end()
        return answer

    def end(self) -> None:
        """Ends the process."""
        self._own.close()
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, measure: Measure) -> None:
    """Answers until the other end is closed, or the GPU is lost."""
    while True:
        try:
            point, compile_only = pipe.recv()
        except EOFError:
            return
        answer = measure(point, compile_only)
        pipe.send(answer)
        if answer.lost:
            return


def compiled(points: Sequence[Point], measure: Measure, workers: int, seconds: float) -> int:
    """Runs each of `points` once in one of some processes, until `seconds` are over; how many were run."""
    until, queue = time.monotonic() + seconds, SimpleQueue[Point]()
    for point in points:
        queue.put(point)
    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(lambda _: _drain(queue, measure, until), range(min(workers, len(points)))))


def _drain(queue: "SimpleQueue[Point]", measure: Measure, until: float) -> int:
    worker, count = Worker(measure), 0
    try:
        with suppress(Empty):  # nothing is left
            while (left := until - time.monotonic()) > 0:
                answer = worker.ask(queue.get_nowait(), left, compile_only=True)
                count += 1
                if answer.lost:
                    worker = Worker(measure)
    finally:
        worker.end()
    return count


def missing(points: Iterable[Point], there: Iterable[Timing], origin: Origin) -> tuple[Point, ...]:
    """The points without a row of this device and these versions.

    With them the ceilings, and what a product of their shape is compared with, also where they have a row of another
    run: ratios are between times of one run.
    """
    done = {result_key(timing)[2] for timing in there if result_key(timing)[:2] == (origin.device, origin.versions)}
    wanted = tuple(points)
    new = [point for point in wanted if point not in done]
    shapes = {(point.m, point.n, point.k) for point in new}
    return tuple(point for point in wanted if point not in done or (new and _again(point, shapes)))


def _again(point: Point, shapes: set[tuple[int, int, int]]) -> bool:
    return point.kernel in CEILINGS or (point.kernel == REFERENCE and (point.m, point.n, point.k) in shapes)


def measured(points: Iterable[Point], measure: Measure, origin: Origin, file: Path, seconds: float) -> Iterator[Timing]:
    """Times points until `seconds` are over; each row is in `file` before it is given."""
    until, worker = time.monotonic() + seconds, Worker(measure)
    try:
        for point in points:
            left = until - time.monotonic()
            if left <= 0:
                return
            answer = worker.ask(point, min(LONGEST, left + 1))
            if answer.lost:
                worker = Worker(measure)
            if answer.lost and left < LONGEST and answer.note.startswith("took longer"):
                return  # the time of the run was up, not that of the point
            timing = answer.timing(point, origin)
            append(file, [timing])
            yield timing
    finally:
        worker.end()
