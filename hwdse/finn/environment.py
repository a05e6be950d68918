"""The Python environment of FINN+: where it lies, what is in it, and how it is made with pip.

It is ready when a file that is written last says so; what was left half-built is built again. The environment that
hwdse itself runs in is never touched.
"""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
VARIABLE = "HWDSE_FINN"  # names another folder
STEP_SECONDS = 1800.0  # of one step of pip, on a slow line
READY, STARTED, LOG = "hwdse-ready", "hwdse-started", "hwdse-setup.log"  # files of ours in the folder
_VERSION = 'import importlib.metadata as m; print("torch==" + m.version("torch"))'
_ALL = "import importlib.metadata as m, sys; [m.version(name) for name in sys.argv[1:]]"
PROBE_SECONDS = 60.0


class FinnError(ValueError):
    """One sentence: what FINN+ or its environment could not do, and where it says more."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the set-up; what it prints goes to the log, or to the file `output`."""

    what: str
    argv: tuple[str, ...]
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder with a Python of its own."""

    folder: Path

    @classmethod
    def default(cls) -> "Environment":
        """The one that `$HWDSE_FINN` names, or else that of the requirements below ~/.cache/hwdse."""
        named = os.environ.get(VARIABLE)
        place = Path(named) if named else Path.home() / ".cache" / "hwdse" / f"finn-{digest()}"
        return cls(place.absolute())

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether all requirements of this version of hwdse are in it."""
        marker = self.folder / READY
        return marker.is_file() and marker.read_text().strip() == digest() and self.python.exists()

    @property
    def state(self) -> str:
        """`finn-plus==1.6.1 in FOLDER`, or what is wrong and how to mend it."""
        if self.ready:
            return f"{requirements()[-1]} in {self.folder}"
        how = "half-built or of another version" if (self.folder / STARTED).exists() else "absent"
        return f"{how}: run `{self.command}`"

    @property
    def command(self) -> str:
        """What makes it."""
        return "hwdse setup finn" if self == Environment.default() else f"hwdse setup finn --at {self.folder}"


def examined(environment: Environment) -> str:
    """Its state, for which its Python is asked for every package: one that says it is ready may have been broken."""
    if not environment.ready:
        return environment.state
    names = [re.split(r"[\[<>=]", line)[0] for line in requirements()]
    argv = (str(environment.python), "-I", "-c", _ALL, *names)
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PROBE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return _broken(environment, str(error))
    if done.returncode:
        return _broken(environment, (done.stderr.strip() or f"it ends with {done.returncode}").splitlines()[-1])
    return environment.state


def _broken(environment: Environment, why: str) -> str:
    return f"broken ({why}): remove {environment.folder} and run `{environment.command}`"


def requirements() -> tuple[str, ...]:
    """torch first, FINN+ last."""
    lines = (re.sub(r"(^|\s+)#.*", "", line).strip() for line in REQUIREMENTS.read_text().splitlines())
    return tuple(line for line in lines if line)


def digest() -> str:
    """Names the requirements."""
    return blake2b("\n".join(requirements()).encode(), digest_size=6).hexdigest()


def steps(folder: Path) -> tuple[Step, ...]:
    """What makes the environment in `folder`, which has only the files of ours."""
    torch, *rest, finn = requirements()
    python = str(folder / "bin" / "python")
    pip = (python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    constraints = str(folder / "constraints.txt")
    return (
        Step("make a virtual environment", (sys.executable, "-m", "venv", str(folder))),
        Step(f"install {torch}", (*pip, torch)),
        Step("read the version of torch", (python, "-I", "-c", _VERSION), "constraints.txt"),
        Step("install what FINN+ needs", (*pip, "--constraint", constraints, *rest)),
        Step(f"install {finn}", (*pip, "--no-deps", finn)),
    )


def build(environment: Environment, say: Callable[[str], None]) -> bool:
    """Makes `environment` unless it is ready; whether it had to be made. `say` is told of every step before it."""
    if environment.ready:
        return False
    with _locked(environment.folder):
        if environment.ready:  # by another process, meanwhile
            return False
        _clear(environment.folder)
        for step in steps(environment.folder):
            say(step.what)
            _run(step, environment.folder)
        (environment.folder / READY).write_text(f"{digest()}\n")
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process builds, the others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _clear(folder: Path) -> None:
    """An empty folder; ValueError where something lies that is not of ours."""
    if folder.exists():
        ours = folder.is_dir() and ((folder / STARTED).exists() or not any(folder.iterdir()))
        if not ours:
            raise ValueError(f"the environment of FINN+ goes into a folder of its own, unlike {folder}")
        rmtree(folder)
    folder.mkdir()
    (folder / STARTED).touch()


def _run(step: Step, folder: Path) -> None:
    log = folder / LOG
    with log.open("ab") as errors:
        try:
            done = subprocess.run(
                step.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, timeout=STEP_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise FinnError(f"the set-up of FINN+ could not {step.what} in {STEP_SECONDS:g} s; see {log}") from None
        errors.write(done.stdout)
    if done.returncode:
        raise FinnError(f"the set-up of FINN+ could not {step.what}: {_last_line(log)}; see {log}")
    if step.output is not None:
        (folder / step.output).write_bytes(done.stdout)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
