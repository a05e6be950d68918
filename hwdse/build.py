"""What is run outside of Python, as a value: files, commands, and the folder in a cache that their digest names.

Planning is pure. A run is complete when `done.json`, written last, is in place; a folder gets its place by one
rename, so that a kill at any moment leaves either a whole result or none; the next run goes on behind the last command
that had finished.
"""

import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from shutil import rmtree
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from threading import Lock

from hwdse.progress import abandon, mark, resume
from hwdse.target import Use

ATTEMPTS = 2  # of a command that crashes; one that hangs is not tried again
LONGEST = 200  # characters of a log's line in a message
_USED = re.compile(r"(\w+):\s+(\d+)/\s*(\d+)\s+\d+%")  # a line of nextpnr's utilisation

Programs = Mapping[str, tuple[str, ...]]  # a tool's name -> the first words of its command line on this machine


class BuildError(ValueError):
    """One sentence: which tool, what happened, and where its log lies."""


class OverfullError(BuildError):
    """What was placed needs more than the device has."""


@dataclass(frozen=True, slots=True)
class Command:
    """A tool's name and its arguments; `log` keeps what it prints."""

    argv: tuple[str, ...]
    timeout_seconds: float
    log: str


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """Files, then commands in their folder, one after the other; `results` are the files that must come out."""

    files: tuple[tuple[str, bytes], ...]
    commands: tuple[Command, ...]
    tools: tuple[tuple[str, str], ...]  # (name, version)
    results: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.files]
        for name in (*names, *self.results, *(command.log for command in self.commands)):
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not name:
                raise ValueError(f"a plan's files lie in its own folder, unlike {name!r}")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"a plan writes a file once, but {name!r} {names.count(name)} times")
        known = [name for name, _ in self.tools]
        for command in self.commands:
            if command.argv[0] not in known:
                raise ValueError(f"a plan lists its tools, but not {command.argv[0]!r}; known: {', '.join(known)}")

    @property
    def digest(self) -> str:
        """Names everything that decides the results: files, arguments, tools with their versions; not the timeouts."""
        files = [(name, blake2b(content).hexdigest()) for name, content in sorted(self.files)]
        value = [files, [command.argv for command in self.commands], sorted(self.tools), sorted(self.results)]
        return blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()

    def folder(self, cache: Path) -> Path:
        """Where its results lie once it has run."""
        return cache / self.digest[:2] / self.digest


def run(plan: BuildPlan, cache: Path, programs: Programs) -> Path:
    """The folder with the results of `plan`: a finished one from `cache`, or a new one.

    BuildError where a tool is missing, crashes twice, hangs or leaves no result, or where the disk is full, and
    OverfullError where a log says that the device is; a failed folder is kept in `cache / "failed"`.
    """
    return _Builder(cache, programs).run(plan)


@contextmanager
def beside(plan: BuildPlan, cache: Path, programs: Programs) -> Iterator[Callable[[], Path]]:
    """Runs `plan` while the body does something else, which gets its folder by a call, as from `run`.

    Where the body fails or is interrupted, the commands of the plan are ended too.
    """
    builder = _Builder(cache, programs)
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(builder.run, plan)
        try:
            yield future.result
        except BaseException:
            builder.stop()
            raise


def run_all(
    plans: Sequence[BuildPlan], cache: Path, programs: Programs, workers: int
) -> Generator[tuple[BuildPlan, Path | BuildError], None, None]:
    """Every plan, equal ones once, with its folder or what went wrong, in order of completion; `workers` at a time.

    Closing it, or an interrupt, ends the commands that run; what is finished is kept.
    """
    builder = _Builder(cache, programs)
    unique = {plan.digest: plan for plan in plans}
    with ThreadPoolExecutor(max_workers=workers) as pool:
        futures = {pool.submit(builder.run, plan): plan for plan in unique.values()}
        try:
            for future in as_completed(futures):
                yield futures[future], _outcome(future)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            builder.stop()


def seconds(folder: Path) -> tuple[float, ...]:
    """Of the wall clock, for each command of the run that finished in `folder`; none where it was not measured."""
    try:
        return tuple(map(float, json.loads((folder / "done.json").read_bytes()).get("seconds", ())))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no finished run: {type(error).__name__}: {error}") from None


def overfull(log: Path) -> tuple[Use, ...]:
    """What a design needs more of than the device has, by the utilisation in a log of nextpnr, in its names."""
    lines = _USED.findall(log.read_text(errors="replace")) if log.exists() else []
    uses = {name: Use(name, int(used), int(available)) for name, used, available in lines}
    return tuple(use for use in uses.values() if use.used > use.available)


def _outcome(future: Future[Path]) -> Path | BuildError:
    try:
        return future.result()
    except BuildError as error:
        return error


# ---- one run -------------------------------------------------------------------------------------


@dataclass
class _Builder:
    """Runs plans, from several threads, until it is stopped."""

    cache: Path
    programs: Programs
    running: set[Popen[bytes]] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)
    stopped: bool = False

    def run(self, plan: BuildPlan) -> Path:
        """As the function of this name."""
        place = plan.folder(self.cache)
        if (place / "done.json").exists():
            return place
        try:
            return self._build(plan, place)
        except OSError as error:
            raise BuildError(f"cannot write to {self.cache}: {error.strerror or error}") from None

    def stop(self) -> None:
        """Ends what runs, and lets nothing begin."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                _kill(process)

    def _build(self, plan: BuildPlan, place: Path) -> Path:
        (self.cache / "tmp").mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{plan.digest}.{os.getpid()}.", dir=self.cache / "tmp"))
        try:
            _write(plan, folder)
            taken = resume(folder)
            failure = self._commands(plan, folder, taken)
            if failure is not None:
                failed = self.cache / "failed" / plan.digest
                _replace(folder, failed)
                full = any(overfull(failed / command.log) for command in plan.commands)
                raise (OverfullError if full else BuildError)(f"{failure}; see {failed}")
            _keep(plan, folder)
            (folder / "done.json").write_text(_done(plan, taken))
            return _settle(folder, place)
        except BaseException as error:
            if self.stopped or not isinstance(error, BuildError):
                abandon(folder)
            raise
        finally:
            rmtree(folder, ignore_errors=True)

    def _commands(self, plan: BuildPlan, folder: Path, taken: list[float]) -> str | None:
        """What went wrong, in words, or nothing; `taken`: the seconds of the commands that are done."""
        for command in plan.commands[len(taken) :]:
            begin = time.monotonic()
            failure = self._command(command, folder)
            taken.append(round(time.monotonic() - begin, 3))
            if failure is not None:
                return failure + _said(folder / command.log)
            if len(taken) < len(plan.commands):
                mark(folder, taken)
        for name in plan.results:
            if not (folder / name).exists() or (folder / name).stat().st_size == 0:
                last = plan.commands[-1]
                return f"{last.argv[0]} left no {name}{_said(folder / last.log)}"
        return None

    def _command(self, command: Command, folder: Path) -> str | None:
        tool = command.argv[0]
        if tool not in self.programs:
            return f"{tool} is not on this machine"
        argv = (*self.programs[tool], *command.argv[1:])
        for _ in range(ATTEMPTS):
            try:
                code = self._process(argv, folder, command)
            except TimeoutExpired:
                return f"{tool} was not done after {command.timeout_seconds:g} s"
            except (FileNotFoundError, PermissionError):
                return f"{tool} cannot be run: there is no program {argv[0]}"
            if code == 0:
                return None
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"failed with exit status {code}"
        return f"{tool} {how}, {ATTEMPTS} times"

    def _process(self, argv: tuple[str, ...], folder: Path, command: Command) -> int:
        """The exit status of one attempt."""
        with (folder / command.log).open("ab") as log:
            with self.lock:
                if self.stopped:
                    raise BuildError(f"{command.argv[0]} was not run: the work was stopped")
                process = Popen(argv, cwd=folder, stdin=DEVNULL, stdout=log, stderr=STDOUT, start_new_session=True)
                self.running.add(process)
            try:
                return process.wait(command.timeout_seconds)
            finally:
                with self.lock:
                    self.running.discard(process)
                _kill(process)


def _kill(process: Popen[bytes]) -> None:
    """Ends a command that still runs, with all that it has started: they are one process group."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _write(plan: BuildPlan, folder: Path) -> None:
    for name, content in plan.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _keep(plan: BuildPlan, folder: Path) -> None:
    """Removes what is on the way to a result: a cache of thousands of runs is large."""
    kept = {*(name for name, _ in plan.files), *plan.results, *(command.log for command in plan.commands)}
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.is_dir() and path.relative_to(folder).as_posix() not in kept:
            path.unlink()


def _done(plan: BuildPlan, taken: Sequence[float]) -> str:
    commands = [" ".join(command.argv) for command in plan.commands]
    said = {"digest": plan.digest, "tools": dict(plan.tools), "commands": commands, "seconds": taken}
    return json.dumps(said, indent=1) + "\n"


def _settle(folder: Path, place: Path) -> Path:
    """`place`, with what is in `folder`, or with what another process has put there meanwhile."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(place)
    except OSError:
        if not (place / "done.json").exists():  # a folder that somebody has touched
            _replace(folder, place)
    return place


def _replace(folder: Path, place: Path) -> None:
    rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(place)


def _said(log: Path) -> str:
    """` (...)`: the last error in a log, or else its last line, and what does not fit; '' where it is empty."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()] if log.exists() else []
    lines = [line for line in lines if line]
    errors = [line for line in lines if re.search("error:", line, re.IGNORECASE)]
    large = [f"; {use.name}: {use.used} of {use.available}" for use in overfull(log)]
    return f" ({(errors or lines)[-1][:LONGEST]}{''.join(large)})" if lines else ""
