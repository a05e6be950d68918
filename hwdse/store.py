"""The evaluation store: everything that was paid for, keyed by what it depends on.

One SQLite file, shared by studies, searches and processes, so that nothing is paid for twice. A
design is named by its digest; a `context` names the rest (weights, data, library versions). Every
`put` is one transaction, so a process that is killed loses at most the one in flight. WAL mode lets
readers and a writer work at once, on a local disk.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from hwdse.codec import decode, encode
from hwdse.cost import FpgaCost
from hwdse.design import Design
from hwdse.evaluation import Accuracy

APPLICATION = 0x68776473  # 'hwds', in the file's header
SCHEMA = 1  # in the file's header too: files of another schema are refused
PATIENCE_SECONDS = 60  # for another process's transaction

_TABLES = (
    "CREATE TABLE designs (digest TEXT PRIMARY KEY, text TEXT NOT NULL)",
    """CREATE TABLE accuracies (
        design TEXT, context TEXT, split TEXT, value TEXT NOT NULL, PRIMARY KEY (design, context, split))""",
    """CREATE TABLE measurements (
        design TEXT, context TEXT, device TEXT, clock_mhz REAL, model TEXT, value TEXT NOT NULL,
        PRIMARY KEY (design, context, device, clock_mhz, model))""",
    "CREATE TABLE failures (design TEXT, context TEXT, message TEXT NOT NULL, PRIMARY KEY (design, context))",
)


class Store:
    """An open store; every method raises ValueError with one sentence where the file fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._said():
            if not path.exists():
                _create(path)
            self._connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None)
        try:
            self._check()
        except ValueError:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, design: Design) -> None:
        """Remembers what the digest of `design` stands for."""
        self._write("INSERT OR IGNORE INTO designs VALUES (?, ?)", design.digest, design.text)

    def design(self, digest: str) -> Design:
        """The design with this digest."""
        text = self._read("SELECT text FROM designs WHERE digest = ?", digest)
        if text is None:
            raise ValueError(f"the evaluation store {self.path} has no design {digest}")
        return Design.parse(text)

    def put_accuracy(self, design: str, context: str, accuracy: Accuracy) -> None:
        """Keeps what the design with this digest reached; `design` may also be `float`, the unquantised network."""
        values = design, context, accuracy.split, encode(accuracy)
        self._write("INSERT OR REPLACE INTO accuracies VALUES (?, ?, ?, ?)", *values)

    def accuracy(self, design: str, context: str, split: str) -> Accuracy | None:
        """What the design reached on `split`, if that is known."""
        query = "SELECT value FROM accuracies WHERE design = ? AND context = ? AND split = ?"
        text = self._read(query, design, context, split)
        with self._said():
            return None if text is None else decode(Accuracy, text)

    def put_measurement(self, design: str, context: str, cost: FpgaCost) -> None:
        """Keeps a cost that a tool reported; one per device, clock and tool."""
        values = design, context, cost.device, cost.clock_mhz, cost.model, encode(cost)
        self._write("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?, ?, ?)", *values)

    def measurements(self, design: str, context: str, device: str) -> tuple[FpgaCost, ...]:
        """What tools reported on `device`, sorted by tool and clock."""
        query = """SELECT value FROM measurements WHERE design = ? AND context = ? AND device = ?
            ORDER BY model, clock_mhz"""
        with self._said():
            rows = self._connection.execute(query, (design, context, device)).fetchall()
            return tuple(decode(FpgaCost, text) for (text,) in rows)

    def put_failure(self, design: str, context: str, message: str) -> None:
        """Keeps why the design cannot be evaluated."""
        self._write("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", design, context, message)

    def failure(self, design: str, context: str) -> str | None:
        """Why the design cannot be evaluated, if that is known."""
        return self._read("SELECT message FROM failures WHERE design = ? AND context = ?", design, context)

    def _read(self, query: str, *values: object) -> str | None:
        with self._said():
            row = self._connection.execute(query, values).fetchone()
        return None if row is None else str(row[0])

    def _write(self, statement: str, *values: object) -> None:
        with self._said():
            self._connection.execute(statement, values)

    def _check(self) -> None:
        """Refuses a file of another program or schema, before anything is written to it."""
        with self._said():
            application, schema = (_number(self._connection, f"PRAGMA {x}") for x in ("application_id", "user_version"))
        if application != APPLICATION:
            raise ValueError(f"{self.path} is no evaluation store")
        if schema != SCHEMA:
            raise ValueError(f"the evaluation store {self.path} has schema {schema}, and this hwdse reads {SCHEMA}")
        with self._said():
            self._connection.execute("PRAGMA synchronous = NORMAL")  # in WAL mode a killed process loses nothing by it

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            raise ValueError(f"the evaluation store {self.path} cannot be used: {error}") from error


def _create(path: Path) -> None:
    """Makes an empty store; `path` is either absent or complete, also when several processes try at once."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)  # of a process that was killed and had this number
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            header = (f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {SCHEMA}")
            for statement in ("PRAGMA journal_mode = WAL", *header, *_TABLES):
                connection.execute(statement)
        with suppress(FileExistsError):  # another process was faster
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])
