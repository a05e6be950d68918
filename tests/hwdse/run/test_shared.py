"""One study, several runs and workers: nothing is lost and nothing is done twice but what was in flight."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from hwdse.result import Result
from hwdse.run import load, run
from hwdse.study import load as load_study
from hwdse.workers import Workers
from tests.hwdse.postgresql import PostgreSql
from tests.hwdse.run.test_run import STUDY, evaluations

ROOT = Path(__file__).parents[3]
TRIALS = 30


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shared") / "small.toml"
    path.write_text(STUDY.replace("trials = 20", f"trials = {TRIALS}").replace('"tpe"', '"random"'))
    return path


@pytest.fixture(scope="module")
def alone(study: Path) -> Result:
    """What one process finds."""
    return run(study, study.parent / "alone")


Start = Callable[[Path, str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, server: PostgreSql) -> Iterator[Start]:
    """Starts a run of a study in a process of its own, by the name of its folder; they are ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def one(study: Path, name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "shared_run.py")]
        command += [str(study), str(tmp_path / name), str(tmp_path / "log"), "0.1", server.url]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(command, text=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.communicate()


def begin(runs: list["subprocess.Popen[str]"], log: Path) -> None:
    """Lets runs go on when all of them have begun, and waits until each has told a trial."""
    until = time.monotonic() + 300
    while not log.exists() or len(processes(log)) < len(runs):
        assert time.monotonic() < until
        time.sleep(0.05)
    log.with_name("go").touch()
    for process in runs:
        assert output(process).readline()


def processes(log: Path) -> set[str]:
    """Which processes evaluated something."""
    return {line.split()[0] for line in log.read_text().splitlines()}


def output(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def repeated(log: Path) -> int:
    """How many evaluations were done that had been begun before."""
    counts = Counter(line.split(" ", 1)[1] for line in log.read_text().splitlines())
    return sum(counts.values()) - len(counts)


def test_workers_do_not_change_whose_folder_it_is(alone: Result, study: Path) -> None:
    assert run(study, study.parent / "alone", workers=Workers(2)) == alone


def test_a_killed_run_is_finished_by_the_other(alone: Result, study: Path, tmp_path: Path, start: Start) -> None:
    """Two runs share a history and its evaluations in PostgreSQL; one dies by SIGKILL, and comes back in the end."""
    log = tmp_path / "log"
    runs = [start(study, name) for name in ("a", "b")]
    begin(runs, log)
    os.kill(runs[0].pid, signal.SIGKILL)
    for process in runs:
        process.communicate(timeout=300)
    assert [process.returncode for process in runs] == [-signal.SIGKILL, 0]
    found = load(tmp_path / "b")
    assert [trial.number for trial in found.trials] == list(range(TRIALS))
    assert evaluations(found) == evaluations(alone)
    assert repeated(log) <= 1
    assert len(processes(log)) == 2
    before = log.read_text()
    again = start(study, "a")
    again.communicate(timeout=300)
    assert again.returncode == 0
    assert log.read_text() == before  # it only reads what is there
    assert replace(load(tmp_path / "a"), manifest=()) == replace(found, manifest=())


def test_a_restart_of_the_database_loses_nothing(study: Path, tmp_path: Path, server: PostgreSql, start: Start) -> None:
    """It crashes in the middle of two runs, which wait for it."""
    log = tmp_path / "log"
    other = tmp_path / "other.toml"  # a study of its own in the same database
    other.write_text("seed = 1\n" + study.read_text())
    runs = [start(other, name) for name in ("a", "b")]
    begin(runs, log)
    server.crash()
    time.sleep(1)
    server.start()
    for process in runs:
        process.communicate(timeout=300)
    assert [process.returncode for process in runs] == [0, 0]
    found = [load(tmp_path / name) for name in ("a", "b")]
    assert replace(found[0], manifest=()) == replace(found[1], manifest=())
    assert [trial.number for trial in found[0].trials] == list(range(TRIALS))
    assert repeated(log) <= 2


def test_a_killed_worker_loses_nothing(alone: Result, study: Path, tmp_path: Path) -> None:
    """The run starts others, and finds what one process does: the random sampler has no memory."""
    killed: list[int] = []

    def report(progress: object) -> None:
        if not killed:
            killed.extend(children())
            for child in killed:
                os.kill(child, signal.SIGKILL)

    result = run(study, tmp_path / "out", workers=Workers(2), report=report)
    assert len(killed) == 2
    assert evaluations(result) == evaluations(alone)
    assert replace(result, manifest=()) == replace(alone, manifest=())


def children() -> list[int]:
    """The worker processes of this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command, parent = path.read_bytes(), (path.parent / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # it is gone
            continue
        if b"hwdse.workers.child" in command and int(parent) == os.getpid():
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow  # its parts are tested with a toy network: tests/hwdse/search, tests/hwdse/test_claims.py
def test_two_runs_share_an_evaluation_store(alone: Result, study: Path, tmp_path: Path) -> None:
    """Each has its own history, and proposes the same: half of the evaluations are the other's."""
    log, store = tmp_path / "log", tmp_path / "store.sqlite"
    log.with_name("go").touch()
    command = [sys.executable, "-W", "ignore", "-c", SHARING, str(study), str(log), str(store)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    runs = [subprocess.Popen([*command, str(tmp_path / name)], cwd=ROOT, env=environment) for name in ("a", "b")]
    assert [process.wait(300) for process in runs] == [0, 0]
    assert repeated(log) == 0
    for name in ("a", "b"):
        assert evaluations(load(tmp_path / name)) == evaluations(alone)


SHARING = """
import sys
from pathlib import Path
from hwdse.run import run
from tests.hwdse.run.shared_run import record
study, log, store, out = sys.argv[1:]
record(Path(log), 0.05)
run(study, out, store=store)
"""


def test_the_number_of_workers_is_no_part_of_a_study(study: Path) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", load_study(study).digest)
    known = "sampler, uniform, choice, racing, sensitivity"
    with pytest.raises(ValueError, match=rf"^{study}: no key 'search.workers'; known: {known}$"):
        load_study(study, ["search.workers=2"])
