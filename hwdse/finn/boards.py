"""The boards that FINN builds bitstreams for, by FINN's own tables."""

from hwdse.finn.environment import FinnError
from hwdse.finn.messages import Board, Boards
from hwdse.finn.process import Worker

SECONDS = 60.0


def board(worker: Worker, name: str | None) -> Board:
    """The board called `name`; FinnError lists those that there are."""
    known = worker.ask(Boards(), SECONDS).boards
    for one in known:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in known)
    if name is None:
        raise FinnError(f"a build with FINN is for a board; known: {names}")
    raise FinnError(f"FINN builds no bitstream for a board {name!r}; known: {names}")
