"""The program of a worker process: `python -m hwdse.workers.child FILENO`, started by `processes` alone."""

import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection

from hwdse.workers import evaluate
from hwdse.workers.pool import Broke, Ready, Refused


def serve(line: Connection) -> None:
    """Builds the network that the first message makes, then does job by job until the line is closed."""
    try:
        evaluator = pickle.loads(line.recv())()
        line.send(Ready(evaluator.context))
        while True:
            line.send(evaluate(evaluator, line.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
    except ValueError as error:  # what the network, its data or its recipe refuse
        line.send(Refused(str(error)))
    except Exception:
        line.send(Broke(traceback.format_exc()))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    serve(Connection(int(sys.argv[1])))
