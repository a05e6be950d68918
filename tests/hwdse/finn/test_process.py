"""The process of FINN+: what it answers is typed, and whatever else it does is one sentence."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwdse.finn.environment import Environment, FinnError
from hwdse.finn.messages import Execute, Hello, Versions, dump, parse, read
from hwdse.finn.process import Worker
from tests.hwdse.finn.fakes import alive, empty_environment, real_environment, script

ROOT = Path(__file__).parents[3]
PRINTED = r" \(this is no part of the protocol\)$"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Without FINN."""
    return empty_environment(tmp_path / "finn")


def answered(environment: Environment, tmp_path: Path, answer: str, rule: str, seconds: float = 20.0) -> None:
    """One request is refused by `rule`; the next one, to a process that is as it should be, is not."""
    with Worker(environment, script(tmp_path, answer)) as worker:
        with pytest.raises(FinnError, match=rule):
            worker.ask(Hello(), seconds)
        script(tmp_path, 'answers.write(f"{number} {json.dumps(good)}\\n")')
        assert worker.ask(Hello(), 20.0) == Versions("1", "2", "3")


def test_a_crash(environment: Environment, tmp_path: Path) -> None:
    rule = rf"^the process of FINN\+ was ended by SIGSEGV at Hello{PRINTED}"
    answered(environment, tmp_path, "os.kill(os.getpid(), 11)", rule)


def test_an_exit(environment: Environment, tmp_path: Path) -> None:
    rule = r"^the process of FINN\+ ended with status 3 at Hello \(the reason\)$"
    answered(environment, tmp_path, 'print("the reason"); sys.exit(3)', rule)


def test_a_hang(environment: Environment, tmp_path: Path) -> None:
    rule = rf"^the process of FINN\+ was not done with Hello after 0\.5 s{PRINTED}"
    answered(environment, tmp_path, "time.sleep(600)", rule, 0.5)


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        (r"hello\n", "'hello'"),
        (r"{number} [1, 2]\n", r"'\[1, 2\]'"),
        (r"{number} {{\n", r"'1 \{'"),
        (r"7 {json.dumps(good)}\n", "the answer to request 7 and not 1"),
        (r"{number} {json.dumps(dict(answer=3))}\n", "a Versions is an object of JSON, not 3"),
        (
            r"{number} {json.dumps(dict(answer=dict(finn='1')))}\n",
            "a Versions has finn, qonnx, onnx, not finn",
        ),
        (
            r"{number} {json.dumps(dict(answer=dict(finn=1, qonnx='2', onnx='3')))}\n",
            "finn is str, not 1",
        ),
    ],
)
def test_garbage(environment: Environment, tmp_path: Path, written: str, wrong: str) -> None:
    rule = rf"^the process of FINN\+ answered Hello with what is no answer: {wrong}{PRINTED}"
    answered(environment, tmp_path, f'answers.write(f"{written}")', rule)


def test_an_error_of_finn_does_not_end_it(environment: Environment, tmp_path: Path) -> None:
    answer = 'answers.write(number + " " + json.dumps(dict(error="E: no")) + "\\n")'
    with Worker(environment, script(tmp_path, answer)) as worker:
        for _ in range(2):
            with pytest.raises(FinnError, match=r"^FINN\+ refuses Hello: E: no$"):
                worker.ask(Hello(), 20.0)
        assert worker._running is not None
        assert worker._running.process.poll() is None


def test_an_environment_that_does_not_work_says_how_it_is_mended(environment: Environment, tmp_path: Path) -> None:
    request = Execute("model", "images", "out", ())
    how = rf"remove {environment.folder} and run `hwdse setup finn --at {environment.folder}`"
    rule = rf"^the process of FINN\+ ended with status 1 at Hello \(.*\); where its environment is broken, {how}$"
    with Worker(environment) as worker, pytest.raises(FinnError, match=rule):  # a Python without FINN
        worker.ask(request, 20.0)


def test_closing_ends_it_and_removes_its_files(environment: Environment, tmp_path: Path) -> None:
    good = 'answers.write(f"{number} {json.dumps(good)}\\n")'
    with Worker(environment, script(tmp_path, good)) as worker:
        worker.ask(Hello(), 20.0)
        assert worker._running is not None
        process, folder = worker._running.process.pid, worker.folder
        assert alive(process)
    assert not alive(process)
    assert not folder.exists()


PARENT = """
import os, sys
from pathlib import Path
from hwdse.finn.environment import Environment
from hwdse.finn.messages import Hello
from hwdse.finn.process import Worker
worker = Worker(Environment(Path(sys.argv[1])), Path(sys.argv[2]))
worker.ask(Hello(), 20.0)
print(worker._running.process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_it_ends_with_whoever_asks(environment: Environment, tmp_path: Path) -> None:
    good = script(tmp_path, 'answers.write(f"{number} {json.dumps(good)}\\n")')
    command = [sys.executable, "-c", PARENT, str(environment.folder), str(good)]
    here = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=here)
    assert done.returncode == -9, done.stderr
    until = time.monotonic() + 20
    while alive(int(done.stdout)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(int(done.stdout))


def test_an_environment_that_is_not_ready(tmp_path: Path) -> None:
    rule = rf"^FINN\+ is absent: run `hwdse setup finn --at {tmp_path / 'none'}`$"
    with pytest.raises(FinnError, match=rule):
        Worker(Environment(tmp_path / "none"))


def test_a_python_that_cannot_be_run(environment: Environment) -> None:
    (environment.python).unlink()
    environment.python.write_text("no program")
    rule = rf"^the Python of FINN\+ cannot be run: {environment.python}: Permission denied$"
    with Worker(environment) as worker, pytest.raises(FinnError, match=rule):
        worker.ask(Hello(), 20.0)


def test_a_request_is_its_line() -> None:
    assert parse(dump(Hello())) == Hello()
    assert read(Versions, {"finn": "1", "qonnx": "2", "onnx": "3"}) == Versions("1", "2", "3")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """The real one."""
    with Worker(real_environment()) as found:
        yield found


def test_finn_itself(worker: Worker) -> None:
    assert worker.ask(Hello(), 120.0) == Versions("1.6.1", "1.0.0", "1.21.0")
    start = time.monotonic()
    worker.ask(Hello(), 120.0)
    assert time.monotonic() - start < 1, "FINN is imported once"
