"""The long-lived process in FINN's environment, and how it is asked.

FINN prints as it likes, so that requests and answers have pipes of their own. A process that ends, hangs or answers
with what is no answer is one `FinnError`, and the next request starts another one.
"""

import json
import os
import select
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from types import TracebackType
from typing import Self, TypeVar

from hwdse.finn import messages
from hwdse.finn.environment import Environment, FinnError

SCRIPT = Path(__file__).parents[1] / "finn_worker" / "__main__.py"
START_SECONDS = 120.0  # to import FINN, which takes 5 on an idle machine
LOG = "worker.log"

Answer = TypeVar("Answer")


@dataclass
class _Running:
    process: Popen[bytes]
    requests: int  # file descriptors
    answers: int
    unread: bytes = b""

    def end(self) -> None:
        """Ends it, with all that it has started."""
        for descriptor in (self.requests, self.answers):
            os.close(descriptor)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class _EndedError(Exception):
    """The process closed its pipe."""


class Worker:
    """Answers requests, one after the other; started by the first one."""

    def __init__(self, environment: Environment, script: Path = SCRIPT) -> None:
        """`script` is what the environment's Python runs."""
        if not environment.ready:
            raise FinnError(f"FINN+ is {environment.state}")
        self.environment = environment
        self._script = script
        self._folder = tempfile.TemporaryDirectory(prefix="hwdse-finn-")
        self._running: _Running | None = None
        self._count = 0

    @property
    def folder(self) -> Path:
        """For files between the two sides; gone when the worker is closed."""
        return Path(self._folder.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and removes its files."""
        self._end()
        self._folder.cleanup()

    def ask(self, request: messages.Request[Answer], timeout_seconds: float) -> Answer:
        """The answer; FinnError if there is none in time. What starts the process is not counted."""
        if self._running is None:
            self._running = self._start()
            if not isinstance(request, messages.Hello):
                self._import()
        return self._exchange(request, timeout_seconds)

    def _import(self) -> None:
        try:
            self._exchange(messages.Hello(), START_SECONDS)
        except FinnError as error:
            how = f"remove {self.environment.folder} and run `{self.environment.command}`"
            raise FinnError(f"{error}; where its environment is broken, {how}") from None

    def _start(self) -> _Running:
        requests, to_worker = os.pipe()
        from_worker, answers = os.pipe()
        argv = (str(self.environment.python), "-I", str(self._script), str(requests), str(answers))
        try:
            with (self.folder / LOG).open("wb") as log:
                process = Popen(
                    argv,
                    cwd=self.folder,
                    # Without the second FINN makes a folder in the user's home.
                    env={**os.environ, "FINN_BUILD_DIR": str(self.folder), "FINN_SETTINGS": str(self.folder / "none")},
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=STDOUT,
                    pass_fds=(requests, answers),
                    start_new_session=True,
                )
        except OSError as error:
            for descriptor in (to_worker, from_worker):
                os.close(descriptor)
            raise FinnError(f"the Python of FINN+ cannot be run: {argv[0]}: {error.strerror}") from None
        finally:
            for descriptor in (requests, answers):
                os.close(descriptor)
        return _Running(process, to_worker, from_worker)

    def _end(self) -> None:
        if self._running is not None:
            self._running.end()
            self._running = None

    def _exchange(self, request: messages.Request[Answer], timeout_seconds: float) -> Answer:
        """One request and its answer; whatever goes wrong but an error that FINN itself gives ends the process."""
        assert self._running is not None
        what = type(request).__name__
        self._count += 1
        try:
            self._send(f"{self._count} {messages.dump(request)}\n".encode(), timeout_seconds)
            line = self._line(timeout_seconds)
            error, answer = self._read(line, request)
        except TimeoutError:
            problem = f"was not done with {what} after {timeout_seconds:g} s"
        except (_EndedError, BrokenPipeError):
            problem = f"{self._how_it_ended()} at {what}"
        except (ValueError, KeyError, TypeError) as wrong:
            problem = f"answered {what} with what is no answer: {wrong}"
        except BaseException:  # an interrupt: the answer would come to the next request
            self._end()
            raise
        else:
            if error is not None:
                raise FinnError(f"FINN+ refuses {what}: {error}")
            return answer
        said = self._said()
        self._end()
        raise FinnError(f"the process of FINN+ {problem}{said}")

    def _send(self, line: bytes, timeout_seconds: float) -> None:
        assert self._running is not None
        until = time.monotonic() + timeout_seconds
        os.set_blocking(self._running.requests, False)
        while line:
            _, ready, _ = select.select([], [self._running.requests], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            line = line[os.write(self._running.requests, line) :]

    def _line(self, timeout_seconds: float) -> bytes:
        running = self._running
        assert running is not None
        until = time.monotonic() + timeout_seconds
        while b"\n" not in running.unread:
            ready, _, _ = select.select([running.answers], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            more = os.read(running.answers, 1 << 16)
            if not more:
                raise _EndedError
            running.unread += more
        line, running.unread = running.unread.split(b"\n", 1)
        return line

    def _read(self, line: bytes, request: messages.Request[Answer]) -> tuple[str | None, Answer]:
        """The error that FINN gave, or the answer of this very request."""
        try:
            number, text = line.decode().split(" ", 1)
            data = json.loads(text)
        except ValueError:
            raise ValueError(repr(line[:60].decode(errors="replace"))) from None
        if number != str(self._count):
            raise ValueError(f"the answer to request {number[:20]} and not {self._count}")
        if not isinstance(data, dict) or set(data) not in ({"error"}, {"answer"}):
            raise ValueError(repr(text[:60]))
        if "error" in data:
            return str(data["error"]), None  # type: ignore[return-value]  # not looked at
        return None, messages.read(messages.answer_of(type(request)), data["answer"])

    def _how_it_ended(self) -> str:
        assert self._running is not None
        try:
            code = self._running.process.wait(1.0)  # it has closed its pipes, so that it ends
        except Exception:  # it has not: it is ended
            return "closed its pipe"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def _said(self) -> str:
        """` (...)`: the last line that it printed, to find the reason by."""
        lines = (self.folder / LOG).read_text(errors="replace").strip().splitlines()
        return f" ({lines[-1].strip()[:200]})" if lines else ""
