"""Who is working on what: claims in a database, so that processes and machines do not repeat each other.

A claim names a subject (an evaluation, a trial) and its owner, and says when the owner was last alive,
by the database's clock. The owner renews its claims while it works; those of an owner that was not seen
for `patience_seconds` are anybody's. An owner is a run folder, in which one process works at a time, so
that a run that is started again has the claims of the process that was killed at once.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hwdse.database import Database

TABLE = """CREATE TABLE IF NOT EXISTS @claims (
    subject VARCHAR(255) PRIMARY KEY, owner VARCHAR(255) NOT NULL, beat DOUBLE PRECISION NOT NULL)"""
PATIENCE_SECONDS = 60.0  # after which a silent owner is dead
BEATS = 6  # in that time


class Claims:
    """The claims of one owner in a database that has the table of claims."""

    def __init__(self, database: Database, owner: str, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._database = database
        self.owner = owner
        self.patience_seconds = patience_seconds

    def claim(self, subject: str) -> bool:
        """Whether the subject is this owner's from now on: it was already, or nobody's, or that of a dead owner."""
        now = self._database.seconds()
        update = "UPDATE @claims SET owner = ?, beat = ? WHERE subject = ? AND (owner = ? OR beat < ?)"
        if self._database.write(update, self.owner, now, subject, self.owner, now - self.patience_seconds):
            return True
        insert = "INSERT INTO @claims (subject, owner, beat) VALUES (?, ?, ?)"
        return self._database.insert(insert, subject, self.owner, now) or self._is_mine(subject)

    def release(self, subject: str) -> None:
        """Gives the subject up, if it is this owner's."""
        self._database.write("DELETE FROM @claims WHERE subject = ? AND owner = ?", subject, self.owner)

    def release_all(self) -> None:
        """Gives up whatever this owner has."""
        self._database.write("DELETE FROM @claims WHERE owner = ?", self.owner)

    def beat(self) -> None:
        """Says that the owner is alive."""
        self._database.write("UPDATE @claims SET beat = ? WHERE owner = ?", self._database.seconds(), self.owner)

    def _is_mine(self, subject: str) -> bool:
        """Also where the server wrote a row but was lost before it said so."""
        return self._database.read("SELECT owner FROM @claims WHERE subject = ?", subject) == [(self.owner,)]


@contextmanager
def beating(claims: Claims) -> Iterator[None]:
    """Renews the claims of a living owner in a thread; what it still has at the end is released.

    Not after an error, which may be that of the database: then its claims grow old.
    """
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(claims, over), daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        over.set()
        raise
    except BaseException:  # e.g. Ctrl-C
        _end(claims, over, thread)
        raise
    _end(claims, over, thread)


def _end(claims: Claims, over: threading.Event, thread: threading.Thread) -> None:
    over.set()
    thread.join()
    with suppress(ValueError):  # of a database that is lost just now
        claims.release_all()


def _beat(claims: Claims, over: threading.Event) -> None:
    while not over.wait(claims.patience_seconds / BEATS):
        with suppress(ValueError):  # the thread that works meets the same and says so
            claims.beat()
