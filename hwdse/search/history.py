"""The history of a search in an Optuna storage: what was tried, in which order, with what result."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

PATIENCE_SECONDS = 60  # for another process's transaction


@contextmanager
def open_history(storage: str | Path, name: str, directions: Sequence[str]) -> Iterator[optuna.Study]:
    """The study `name` in an SQLite file or at an Optuna URL, made if it is new; ValueError where that fails."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shown = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", str(storage))
    try:
        opened = _sqlite(storage) if isinstance(storage, Path) else RDBStorage(storage)
        ways = [StudyDirection[direction.upper()] for direction in directions]
        study = optuna.create_study(storage=opened, study_name=name, directions=ways, load_if_exists=True)
    except Exception as error:  # SQLAlchemy's, the database driver's, or that there is no driver
        raise ValueError(f"the storage {shown} cannot be used: {_first_line(error)}") from error
    try:
        yield study
    except StorageInternalError as error:
        raise ValueError(f"the storage {shown} was lost, run again to continue: {_first_line(error)}") from error
    finally:
        opened.engine.dispose()


def trials(study: optuna.Study, *states: TrialState) -> list[FrozenTrial]:
    """The trials in these states, or all, by number; not to be changed."""
    return study.get_trials(deepcopy=False, states=states or None)


def resume(study: optuna.Study, trial: FrozenTrial) -> Trial:
    """A trial that a killed process left running, with its number and the choices it had."""
    return Trial(study, trial._trial_id)


def _sqlite(path: Path) -> RDBStorage:
    return RDBStorage(f"sqlite:///{path}", engine_kwargs={"creator": partial(_connect, path)})


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that survives a killed process, without waiting for the disk at every choice of every trial."""
    connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
