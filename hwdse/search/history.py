"""The history of a search in an Optuna storage: what was tried, in which order, with what result.

Several processes may work on one history. Which trial is whose is a claim in the same database.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from hwdse import claims
from hwdse.database import PATIENCE_SECONDS, Server, first_line, hidden, racing

FINISHED = (TrialState.COMPLETE, TrialState.FAIL)
RETRIES = 3  # after losing a server without one more trial in between
PAUSE_SECONDS = 1.0  # before the next attempt to reach it

T = TypeVar("T")


class LostError(ValueError):
    """A server that could be used, and then could not."""


@contextmanager
def open_history(storage: str | Path, name: str, directions: Sequence[str]) -> Iterator[optuna.Study]:
    """The study `name` in an SQLite file or at an Optuna URL, made if it is new; ValueError where that fails."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shown = hidden(str(storage))
    try:
        opened = _sqlite(storage) if isinstance(storage, Path) else racing(lambda: _server(storage))
        ways = [StudyDirection[direction.upper()] for direction in directions]
        study = optuna.create_study(storage=opened, study_name=name, directions=ways, load_if_exists=True)
    except Exception as error:  # SQLAlchemy's, the database driver's, or that there is no driver
        raise ValueError(f"the storage {shown} cannot be used: {first_line(error)}") from error
    try:
        yield study
    except StorageInternalError as error:
        raise LostError(f"the storage {shown} was lost, run again to continue: {first_line(error)}") from error
    finally:
        opened.engine.dispose()


def lasting(storage: str | Path, name: str, directions: Sequence[str], work: Callable[[optuna.Study], T]) -> T:
    """What `work` gives of the study; where a server restarts, `work` is begun again and goes on from what is there."""
    left, known = RETRIES, -1
    while True:
        try:
            with open_history(storage, name, directions) as study:
                found = len(trials(study, *FINISHED))
                left, known = (RETRIES if found > known else left - 1), found
                return work(study)
        except LostError as error:
            if isinstance(storage, Path) or left == 0 or not _is_back(storage):
                raise ValueError(str(error)) from error


def claims_of(study: optuna.Study, owner: str, patience_seconds: float) -> claims.Claims:
    """The claims to the trials of `study`, in its database."""
    server = Server(study._storage._backend.engine, "storage")  # type: ignore[attr-defined]  # Optuna wraps ours
    server.make(claims.TABLE)
    return claims.Claims(server, owner, patience_seconds)


def _is_back(storage: str) -> bool:
    """Waits until the server can be reached again, but not for ever."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        time.sleep(PAUSE_SECONDS)
        try:
            Server.at(storage, "storage").close()
        except ValueError:
            continue
        return True
    return False


def trials(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """The trials in these states, or all, by number; not to be changed."""
    return study.get_trials(deepcopy=False, states=states or None)


def resume(study: optuna.Study, trial: FrozenTrial) -> Trial:
    """A trial that a killed process left running, with its number and the choices it had."""
    return Trial(study, trial._trial_id)


def _server(url: str) -> RDBStorage:
    return RDBStorage(url, {"pool_pre_ping": True})


def _sqlite(path: Path) -> RDBStorage:
    return RDBStorage(f"sqlite:///{path}", engine_kwargs={"creator": partial(_connect, path)})


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that survives a killed process, without waiting for the disk at every choice of every trial."""
    connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection
