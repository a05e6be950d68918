"""The folder of a run: it belongs to one study, one process works in it at a time, and files appear whole."""

import fcntl
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from hwdse import study as studies
from hwdse.codec import decode, encode
from hwdse.result import Result
from hwdse.study import Study


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run keeps its study, its history, its evaluations and its result."""

    path: Path

    @property
    def history(self) -> Path:
        """Optuna's, unless the user names a storage."""
        return self.path / "history.sqlite"

    @property
    def store(self) -> Path:
        """The evaluation store, unless the user names one."""
        return self.path / "evaluations.sqlite"

    @property
    def tensors(self) -> Path:
        """What the workers share while a run goes on."""
        return self.path / "tensors"

    @property
    def study_file(self) -> Path:
        """The study with its defaults written out; it owns the folder."""
        return self.path / "study.toml"

    @property
    def context_file(self) -> Path:
        """The digests of the weights, data, prices and versions that all its trials share."""
        return self.path / "context"

    @property
    def result_file(self) -> Path:
        """There when the run is finished."""
        return self.path / "result.json"

    def finished(self, study: Study, context: str) -> bool:
        """Whether the result of exactly this study is there; ValueError if it is of another study or context."""
        self.check_owner(study)
        self._check_context(context)
        return self.result_file.exists() and self.study_file.read_text(encoding="utf-8") == study.text

    @contextmanager
    def claimed(self, study: Study, context: str) -> Iterator[str]:
        """The folder, made and locked; nothing is left changed if it is another's, or if `begin` is not reached.

        What it gives is a name that no other folder has: one process at a time claims work with it.
        """
        self.check_owner(study)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"the run folder {self.path} cannot be made: {error.strerror}") from None
        with _locked(self.path) as name:
            self.check_owner(study)
            self._check_context(context)
            shutil.rmtree(self.tensors, ignore_errors=True)  # of a run that was killed
            try:
                yield name
            finally:
                shutil.rmtree(self.tensors, ignore_errors=True)
                if not self.study_file.exists():  # nothing began, and what is here was made since
                    shutil.rmtree(self.path)

    def begin(self, study: Study, context: str) -> None:
        """Makes the folder this study's; a result of another budget or choice goes, its history stays."""
        self.result_file.unlink(missing_ok=True)
        write(self.context_file, context)
        write(self.study_file, study.text)

    def save(self, result: Result) -> None:
        """Finishes the run."""
        write(self.result_file, encode(result))

    def load(self) -> Result:
        """The result of a finished run."""
        if not self.study_file.exists() and (inner := self._inner()):
            raise ValueError(f"{self.path} holds {len(inner)} runs; name one: {', '.join(inner)}")
        if not self.study_file.exists():
            raise ValueError(f"{self.path} is no run folder: it has no {self.study_file.name}")
        if not self.result_file.exists():
            raise ValueError(f"the run in {self.path} is not finished; the command that started it continues it")
        try:
            return decode(Result, self.result_file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{self.result_file} cannot be read: {error}") from None

    def _inner(self) -> list[str]:
        """The folders of runs in this one: of networks, of targets, or of both."""
        found = (file for depth in ("*", "*/*") for file in self.path.glob(f"{depth}/study.toml"))
        return sorted(str(self.path / file.parent.relative_to(self.path)) for file in found)

    def check_owner(self, study: Study) -> None:
        """ValueError if the folder is another study's, or none of ours."""
        if self.study_file.exists():
            owner = studies.load(self.study_file)
            if owner.digest != study.digest:
                names = f"{owner.name!r} ({owner.digest}), not of {study.name!r} ({study.digest})"
                raise ValueError(f"{self.path} is the run folder of another study, {names}; choose another folder")
        elif self.path.exists() and (not self.path.is_dir() or {f.name for f in self.path.iterdir()} - {_LOCK}):
            raise ValueError(f"{self.path} exists and is no run folder; choose another folder")

    def _check_context(self, context: str) -> None:
        if self.context_file.exists() and self.context_file.read_text(encoding="utf-8") != context:
            raise ValueError(
                f"the run in {self.path} was made with other weights, data, prices or versions; choose another folder"
            )


_LOCK = "lock"


@contextmanager
def _locked(folder: Path) -> Iterator[str]:
    """Holds the folder, whose name is in the lock; the lock of a killed process is free."""
    with (folder / _LOCK).open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is working in the run folder {folder}") from None
        lock.seek(0)
        if not (name := lock.read()):
            lock.write(name := uuid4().hex)
            lock.flush()
        yield f"{platform.node()} {name}"  # with the machine, so that a copied folder elsewhere is another one


def write(path: Path, text: str) -> None:
    """Writes a file that is absent or whole at any moment."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
