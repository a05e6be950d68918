"""FINN's own builder on a delivered folder, as its `run.sh` starts it, in a process of FINN's environment."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hwdse.finn import reports
from hwdse.finn.environment import Environment, FinnError
from hwdse.finn.reports import NetworkEstimate

SECONDS = 900.0
OUTPUT, RUN = "output", "run.sh"
# Of hwdse's own Python, and a test's: FINN raises what it catches elsewhere where pytest runs.
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTEST_CURRENT_TEST")


def estimate(
    environment: Environment, folder: Path, steps: Sequence[str], images: int, seconds: float = SECONDS
) -> NetworkEstimate:
    """Runs the estimate part of `folder` and reads what FINN says, if all of it is right.

    `steps`: FINN's verifications that it has, each of `images` images.
    """
    code, said = run(environment, folder, ("estimate",), {}, seconds)
    if code:
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        raise FinnError(f"the estimate part of the build ends with {code}: {last[0].strip()[:400]}")
    reports.check_status(folder / OUTPUT)
    reports.check_verification(folder / OUTPUT, steps, images)
    return reports.estimates(folder / OUTPUT)


def run(
    environment: Environment, folder: Path, arguments: Sequence[str], variables: dict[str, str], seconds: float
) -> tuple[int, str]:
    """The status of `run.sh` with `arguments`, and what it said; FinnError if it was not done in time."""
    own = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    own |= {"PYTHON": str(environment.python), "FINN_SETTINGS": str(folder / "no-settings"), **variables}
    process = subprocess.Popen(
        ("sh", RUN, *arguments),
        cwd=folder,
        env=own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise FinnError(f"FINN's builder was not done after {seconds:g} s") from None
    finally:
        with suppress(ProcessLookupError):  # with all that it has started
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, said
