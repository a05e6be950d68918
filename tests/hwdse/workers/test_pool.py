"""Worker processes: they give what this process would, and nothing is lost when they are killed."""

import os
import re
import signal
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from hwdse.workers import Evaluator, Executor, Job, Maker, Outcome, Workers, hire
from hwdse.workers.in_process import InProcess
from hwdse.workers.pool import Pool
from hwdse.workers.processes import Processes
from tests.hwdse.workers.toy import Toy, die, job, maker, refuse

JOBS = tuple(map(job, ("int8", "int7", "int6", "int5", "int4", "int3", "int2")))


def done(executor: Executor, jobs: Iterable[Job]) -> dict[Job, Outcome]:
    """What comes of `jobs`."""
    todo = set(jobs)
    for one in jobs:
        executor.submit(one)
    found: dict[Job, Outcome] = {}
    while todo - set(found):
        found |= {outcome.job: outcome for outcome in executor.collect(None)}
    return found


def pool(count: int, toy: Evaluator, make: Maker | None = None) -> Pool[object]:
    assert isinstance(toy, Toy)
    return Pool(Processes(make or maker(toy)), count, toy)  # type: ignore[arg-type]


def test_processes_give_what_this_process_does(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    here = done(InProcess(toy), JOBS)
    with closing(pool(2, toy)) as executor:
        assert done(executor, JOBS) == here
    assert here[JOBS[-1]] == Outcome(JOBS[-1], failure="layer 'fc' cannot have 2 bits")
    lines = [line.split() for line in toy.log[len(JOBS) :]]
    assert sorted(name for _, name, _ in lines) == sorted(f"int{bits}" for bits in range(2, 9))
    assert {threads for _, _, threads in lines} == {"1"}
    assert str(os.getpid()) not in {pid for pid, _, _ in lines}


def test_both_workers_work(tmp_path: Path) -> None:
    toy = Toy(tmp_path, seconds=0.3)
    with closing(pool(2, toy)) as executor:
        done(executor, JOBS)
    assert len({line.split()[0] for line in toy.log}) == 2


def test_the_job_of_a_killed_worker_is_done_by_another(tmp_path: Path) -> None:
    toy = Toy(tmp_path, deadly="int6", deaths=2)
    with closing(pool(2, toy)) as executor:
        assert done(executor, JOBS) == done(InProcess(Toy(tmp_path)), JOBS)
    assert sum("int6" in line for line in toy.log) == 2 + 1 + 1  # deaths, success, in this process
    assert sum("int7" in line for line in toy.log) == 1 + 1


def test_a_job_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    toy = Toy(tmp_path, deadly="int6", deaths=99)
    with closing(pool(1, toy)) as executor:
        found = done(executor, JOBS)
    why = "3 workers died over this design, the last by signal SIGKILL"
    assert found.pop(job("int6")) == Outcome(job("int6"), failure=why, died=True)
    assert sum(outcome.accuracy is not None for outcome in found.values()) == 5


def test_workers_that_are_killed_from_outside_lose_nothing(tmp_path: Path) -> None:
    toy = Toy(tmp_path, seconds=0.05)
    with closing(pool(2, toy)) as executor:
        for one in JOBS:
            executor.submit(one)
        found = executor.collect(None)
        for pid in {int(line.split()[0]) for line in toy.log}:
            os.kill(pid, signal.SIGKILL)
        while len(found) < len(JOBS):
            found += executor.collect(None)
    assert {outcome.job for outcome in found} == set(JOBS)
    assert not any(outcome.died for outcome in found)
    assert len(toy.log) <= len(JOBS) + 2  # each had one


def test_a_job_is_not_done_twice(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    for executor in (InProcess(toy), pool(1, toy)):
        with closing(executor):
            for _ in range(3):
                executor.submit(job("int8"))
            assert [outcome.job for outcome in executor.collect(None)] == [job("int8")]
            assert executor.collect(0.01) == []
    assert len(toy.log) == 2


def test_waiting_has_an_end(tmp_path: Path) -> None:
    with closing(pool(1, Toy(tmp_path, seconds=60))) as executor:
        executor.submit(job("int8"))
        assert executor.collect(0.2) == []


def test_closing_ends_the_processes(tmp_path: Path) -> None:
    toy = Toy(tmp_path, seconds=60)
    with closing(pool(1, toy)) as executor:
        executor.submit(job("int8"))
        while not toy.log:
            executor.collect(0.1)
    pid = int(toy.log[0].split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    crew = Processes(maker(toy))
    worker = crew.start()
    crew.news([worker], None)
    worker.line.close()  # what a death of the parent does
    assert worker.process.wait(30) == 0


def check_fails(executor: Executor, kind: type[Exception], message: str) -> None:
    with closing(executor), pytest.raises(kind, match=message):
        done(executor, JOBS)


def test_a_network_that_cannot_be_built(tmp_path: Path) -> None:
    check_fails(pool(1, Toy(tmp_path), refuse), ValueError, r"^no model 'digits-mlpp'$")


def test_workers_that_die_at_once(tmp_path: Path) -> None:
    message = r"^3 workers in a row died before they were ready, the last with exit status 7$"
    check_fails(pool(1, Toy(tmp_path), die), ValueError, message)


def test_an_error_of_the_code_is_shown(tmp_path: Path) -> None:
    message = r"(?s)^a worker failed:\nTraceback .*TypeError: this is a bug\n$"
    check_fails(pool(1, Toy(tmp_path, broken="int6")), RuntimeError, message)


def test_other_data_are_refused(tmp_path: Path) -> None:
    other = maker(Toy(tmp_path, context="other"))
    message = "a worker has other weights, data or versions (other) than this process (toy)"
    check_fails(pool(1, Toy(tmp_path), other), ValueError, f"^{re.escape(message)}$")


def test_hire(tmp_path: Path) -> None:
    toy = Toy(tmp_path)
    assert isinstance(hire(Workers(), toy, maker(toy)), InProcess)
    assert hire(Workers(3), toy, maker(toy)).capacity == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((0,), r"^a study needs at least 1 worker, not 0$"),
        ((1, "dask"), r"^no executor 'dask'; known: processes, ray$"),
        ((1, "processes", "x:1"), r"^an address is that of a Ray cluster, which executor 'processes' is not$"),
    ],
)
def test_settings_are_checked(settings: tuple[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Workers(*settings)


def test_idle_executors_sleep(tmp_path: Path) -> None:
    for executor in (InProcess(Toy(tmp_path)), pool(1, Toy(tmp_path))):
        start = time.monotonic()
        assert executor.collect(0.1) == []
        assert time.monotonic() - start >= 0.1
