"""The boards that FINN builds bitstreams for, by FINN's own tables."""

from hwdse.finn.environment import FinnError
from hwdse.finn.messages import Board, Boards
from hwdse.finn.process import Worker

SECONDS = 60.0


def board(worker: Worker, name: str) -> Board:
    """The board called `name`; FinnError lists those that there are."""
    known = worker.ask(Boards(), SECONDS).boards
    for one in known:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in known)
    raise FinnError(f"FINN builds no bitstream for a board {name!r}; known: {names}")
