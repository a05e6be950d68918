"""One way to talk to an SQLite file and to a database server, so that what is kept in them is written once.

A statement is SQL that SQLite and PostgreSQL both understand, with `?` for each value and `@` before
the name of each table: in a database that belongs to others too, our tables carry a prefix. A server
may restart: a statement that it lost is sent again, for at most `PATIENCE_SECONDS`.
"""

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

PATIENCE_SECONDS = 60  # for another process's transaction, and for a server that restarts
PAUSE_SECONDS = 0.2  # before a statement that a server lost is sent again
RACES = 3  # lost ones, until it must be something else
PREFIX = "hwdse_"  # of our tables in a database of others
NOW = "SELECT (julianday('now') - 2440587.5) * 86400.0"  # SQLite's; 2440587.5 is 1970-01-01 as a Julian date

Row = tuple[object, ...]
T = TypeVar("T")


class Database(Protocol):
    """What can hold our tables; every method raises ValueError with one sentence where the database fails."""

    @property
    def name(self) -> str:
        """For messages: a path, or a URL without its password."""

    def read(self, query: str, *values: object) -> list[Row]:
        """The rows of a query."""

    def write(self, statement: str, *values: object) -> int:
        """Does it in a transaction of its own; the number of rows that changed."""

    def insert(self, statement: str, *values: object) -> bool:
        """Inserts a row in a transaction of its own; False if one with its key is there."""

    def seconds(self) -> float:
        """The database's clock, which all its users share, since 1970."""

    def close(self) -> None:
        """Ends its connections."""


class SqliteFile:
    """An SQLite file that is ours alone; several threads may use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._lock = threading.Lock()
        with self._said():
            self._connection = sqlite3.connect(
                path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
            )

    def read(self, query: str, *values: object) -> list[Row]:
        """The rows of a query."""
        with self._said(), self._lock:
            return self._connection.execute(query.replace("@", ""), values).fetchall()

    def write(self, statement: str, *values: object) -> int:
        """Does it; the number of rows that changed."""
        with self._said(), self._lock:
            return self._connection.execute(statement.replace("@", ""), values).rowcount

    def insert(self, statement: str, *values: object) -> bool:
        """Inserts a row; False if one with its key is there."""
        with self._said(), self._lock:
            try:
                self._connection.execute(statement.replace("@", ""), values)
            except sqlite3.IntegrityError:
                return False
        return True

    def seconds(self) -> float:
        """The clock of this machine, as SQLite reads it."""
        ((now,),) = self.read(NOW)
        return _number(now)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ValueError(f"the evaluation store {self.path} cannot be used: {error}") from error


class Server:
    """A database behind SQLAlchemy; `kind` names what it holds in messages. Several threads may use it."""

    def __init__(self, engine: "Engine", kind: str) -> None:
        self._engine = engine
        self.name = engine.url.render_as_string(hide_password=True)
        self._kind = kind

    @classmethod
    def at(cls, url: str, kind: str) -> "Server":
        """The database at an SQLAlchemy URL; ValueError if there is none, at once."""
        from sqlalchemy import create_engine, text

        try:
            server = cls(create_engine(url, pool_pre_ping=True), kind)
            with server._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except Exception as error:  # SQLAlchemy's, the driver's, or that there is no driver
            raise ValueError(f"the {kind} {hidden(url)} cannot be used: {first_line(error)}") from error
        return server

    def read(self, query: str, *values: object) -> list[Row]:
        """The rows of a query."""
        return self._patiently(lambda connection: [tuple(row) for row in _execute(connection, query, values)])

    def write(self, statement: str, *values: object) -> int:
        """Does it in a transaction of its own; the number of rows that changed."""
        return self._patiently(lambda connection: int(_execute(connection, statement, values).rowcount))

    def insert(self, statement: str, *values: object) -> bool:
        """Inserts a row in a transaction of its own; False if one with its key is there."""
        from sqlalchemy.exc import IntegrityError

        try:
            self.write(statement, *values)
        except IntegrityError:
            return False
        return True

    def seconds(self) -> float:
        """The server's clock."""
        if self._engine.dialect.name == "sqlite":
            ((now,),) = self.read(NOW)
            return _number(now)
        ((now,),) = self.read("SELECT CURRENT_TIMESTAMP")
        assert isinstance(now, datetime)
        return (now if now.tzinfo is not None else now.replace(tzinfo=UTC)).timestamp()

    def make(self, table: str) -> None:
        """Makes a table if it is not there."""
        racing(lambda: self.write(table))

    def close(self) -> None:
        """Ends the connections."""
        self._engine.dispose()

    def _patiently(self, work: "Callable[[Connection], T]") -> T:
        """What `work` gives in one transaction, which is begun again while the server cannot be reached."""
        from sqlalchemy.exc import DataError, InterfaceError, InternalError, OperationalError

        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except (OperationalError, InterfaceError) as error:
                if time.monotonic() > until:
                    said = f"the {self._kind} {self.name} was lost, run again to continue: {first_line(error)}"
                    raise ValueError(said) from error
            except (DataError, InternalError) as error:
                raise ValueError(f"the {self._kind} {self.name} cannot be used: {first_line(error)}") from error
            time.sleep(PAUSE_SECONDS)


def racing(make: Callable[[], T]) -> T:
    """What `make` gives, which makes tables: PostgreSQL refuses all but one who do so at the same moment."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for _ in range(RACES):
        try:
            return make()
        except (IntegrityError, ProgrammingError):  # the others will be done in a moment
            time.sleep(PAUSE_SECONDS)
    return make()


def hidden(url: str) -> str:
    """`url` without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def first_line(error: Exception) -> str:
    """What `error` says first."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _execute(connection: "Connection", statement: str, values: tuple[object, ...]):  # type: ignore[no-untyped-def]
    from sqlalchemy import text

    parts = statement.replace("@", PREFIX).split("?")
    named = "".join(f"{part}:v{i}" for i, part in enumerate(parts[:-1])) + parts[-1]
    return connection.execute(text(named), {f"v{i}": value for i, value in enumerate(values)})


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value
