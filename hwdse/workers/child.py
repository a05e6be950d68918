"""The program of a worker process: `python -m hwdse.workers.child FILENO`, started by `processes` alone."""

import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from hwdse.workers.servant import Servant


def serve(line: Connection) -> None:
    """Builds the network that the first message makes, then does job by job until the line is closed."""
    servant = Servant()
    with suppress(EOFError, OSError):  # the parent is gone; what a servant meets is in its answers
        line.send(servant.build(line.recv()))
        while True:
            line.send(servant.do(line.recv()))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    serve(Connection(int(sys.argv[1])))
