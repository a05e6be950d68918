"""The evaluation store: everything that was paid for, keyed by what it depends on.

One SQLite file or one PostgreSQL database, shared by studies, searches, processes and machines, so
that nothing is paid for twice. A design is named by its digest; a `context` names the rest (weights,
data, library versions). Every `put` is one transaction, so a process that is killed loses at most the
one in flight. WAL mode lets readers and a writer work at once on a file, on a local disk.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from hwdse import claims
from hwdse.codec import decode, encode
from hwdse.cost import FpgaCost
from hwdse.database import Database, Server, SqliteFile, first_line, hidden
from hwdse.design import Design
from hwdse.evaluation import Accuracy

APPLICATION = 0x68776473  # 'hwds', in a file's header
SCHEMA = 2  # in a file's header too: 2 added the claims, and files of 1 are given them; others are refused
KIND = "evaluation store"

_TABLES = (
    "CREATE TABLE IF NOT EXISTS @designs (digest TEXT PRIMARY KEY, text TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS @accuracies (
        design TEXT, context TEXT, split TEXT, value TEXT NOT NULL, PRIMARY KEY (design, context, split))""",
    """CREATE TABLE IF NOT EXISTS @measurements (
        design TEXT, context TEXT, device TEXT, clock_mhz DOUBLE PRECISION, model TEXT, value TEXT NOT NULL,
        PRIMARY KEY (design, context, device, clock_mhz, model))""",
    """CREATE TABLE IF NOT EXISTS @failures (
        design TEXT, context TEXT, message TEXT NOT NULL, PRIMARY KEY (design, context))""",
    claims.TABLE,
)


class Store:
    """An open store; every method raises ValueError with one sentence where the file or the server fails."""

    def __init__(self, place: Path | str) -> None:
        """Opens, and makes if it is new, the store in a file or at a `postgresql://` URL."""
        self.database = _file(place) if isinstance(place, Path) else _server(place)
        self._added = set[str]()  # digests of designs that are there

    def close(self) -> None:
        """Ends the connection."""
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, design: Design) -> None:
        """Remembers what the digest of `design` stands for; a search that goes on writes nothing again."""
        if design.digest in self._added:
            return
        if self._read("SELECT text FROM @designs WHERE digest = ?", design.digest) is None:
            self._write("INSERT INTO @designs VALUES (?, ?) ON CONFLICT DO NOTHING", design.digest, design.text)
        self._added.add(design.digest)

    def design(self, digest: str) -> Design:
        """The design with this digest."""
        text = self._read("SELECT text FROM @designs WHERE digest = ?", digest)
        if text is None:
            raise ValueError(f"the {KIND} {self.database.name} has no design {digest}")
        return Design.parse(text)

    def put_accuracy(self, design: str, context: str, accuracy: Accuracy) -> None:
        """Keeps what the design with this digest reached; `design` may also be `float`, the unquantised network."""
        values = design, context, accuracy.split, encode(accuracy)
        self._write(f"INSERT INTO @accuracies VALUES (?, ?, ?, ?) {_replacing('design, context, split')}", *values)

    def accuracy(self, design: str, context: str, split: str) -> Accuracy | None:
        """What the design reached on `split`, if that is known."""
        query = "SELECT value FROM @accuracies WHERE design = ? AND context = ? AND split = ?"
        text = self._read(query, design, context, split)
        with self._said():
            return None if text is None else decode(Accuracy, text)

    def put_measurement(self, design: str, context: str, cost: FpgaCost) -> None:
        """Keeps a cost that a tool reported; one per device, clock and tool."""
        values = design, context, cost.device, cost.clock_mhz, cost.model, encode(cost)
        conflict = _replacing("design, context, device, clock_mhz, model")
        self._write(f"INSERT INTO @measurements VALUES (?, ?, ?, ?, ?, ?) {conflict}", *values)

    def measurements(self, design: str, context: str, device: str) -> tuple[FpgaCost, ...]:
        """What tools reported on `device`, sorted by tool and clock."""
        query = "SELECT value FROM @measurements WHERE design = ? AND context = ? AND device = ?"
        rows = self.database.read(query, design, context, device)
        with self._said():
            costs = [decode(FpgaCost, str(text)) for (text,) in rows]
        return tuple(sorted(costs, key=lambda cost: (cost.model, cost.clock_mhz)))  # servers sort texts in many ways

    def put_failure(self, design: str, context: str, message: str) -> None:
        """Keeps why the design cannot be evaluated."""
        conflict = _replacing("design, context", "message")
        self._write(f"INSERT INTO @failures VALUES (?, ?, ?) {conflict}", design, context, message)

    def failure(self, design: str, context: str) -> str | None:
        """Why the design cannot be evaluated, if that is known."""
        return self._read("SELECT message FROM @failures WHERE design = ? AND context = ?", design, context)

    def _read(self, query: str, *values: object) -> str | None:
        rows = self.database.read(query, *values)
        return str(rows[0][0]) if rows else None

    def _write(self, statement: str, *values: object) -> None:
        self.database.write(statement, *values)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise ValueError(f"the {KIND} {self.database.name} cannot be used: {error}") from error


def _file(path: Path) -> Database:
    try:
        if not path.exists():
            _create(path)
    except (sqlite3.Error, OSError) as error:
        raise ValueError(f"the {KIND} {path} cannot be used: {error}") from error
    database = SqliteFile(path)
    try:
        _check(database)
    except ValueError:
        database.close()
        raise
    return database


def _check(file: SqliteFile) -> None:
    """Refuses a file of another program or schema, before anything is written to it."""
    application, schema = (file.read(f"PRAGMA {x}")[0][0] for x in ("application_id", "user_version"))
    if application != APPLICATION:
        raise ValueError(f"{file.path} is no {KIND}")
    if schema not in (1, SCHEMA):
        raise ValueError(f"the {KIND} {file.path} has schema {schema}, and this hwdse reads {SCHEMA}")
    file.write("PRAGMA synchronous = NORMAL")  # in WAL mode a killed process loses nothing by it
    if schema == 1:
        file.write(claims.TABLE)
        file.write(f"PRAGMA user_version = {SCHEMA}")


def _server(url: str) -> Database:
    if not url.startswith("postgresql"):
        raise ValueError(f"an {KIND} is an SQLite file or a postgresql:// URL, not {hidden(url)!r}")
    server = Server.at(url, KIND)
    try:
        for table in _TABLES:
            server.make(table)
    except Exception as error:  # e.g. a user who may not make tables
        server.close()
        raise ValueError(f"the {KIND} {server.name} cannot be used: {first_line(error)}") from error
    return server


def _create(path: Path) -> None:
    """Makes an empty store; `path` is either absent or complete, also when several processes try at once."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)  # of a process that was killed and had this number
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            header = (f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {SCHEMA}")
            for statement in ("PRAGMA journal_mode = WAL", *header, *_TABLES):
                connection.execute(statement.replace("@", ""))
        with suppress(FileExistsError):  # another process was faster
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def _replacing(keys: str, column: str = "value") -> str:
    """The end of an insertion: the last word counts."""
    return f"ON CONFLICT ({keys}) DO UPDATE SET {column} = excluded.{column}"
