"""A run that writes down every evaluation that it does: `python shared_run.py STUDY OUT LOG SECONDS STORAGE`.

One line per evaluation: process, design, split. `SECONDS` is what each takes at least, and none ends before there
is a file `go` beside the log, so that no run is over before another one has begun.
"""

import os
import sys
import time
from pathlib import Path

from hwdse import accuracy
from hwdse.design import Design
from hwdse.evaluation import Accuracy
from hwdse.run import run
from hwdse.workers import Workers

plain = accuracy.Evaluator.accuracy


def record(log: Path, seconds: float) -> None:
    """Makes this process write down what it evaluates."""

    def accuracy_of(self: accuracy.Evaluator, design: Design, split: str) -> Accuracy:
        with log.open("a") as lines:
            lines.write(f"{os.getpid()} {design.digest} {split}\n")
        while not log.with_name("go").exists():
            time.sleep(0.02)
        time.sleep(seconds)
        return plain(self, design, split)

    accuracy.Evaluator.accuracy = accuracy_of  # type: ignore[method-assign]


if __name__ == "__main__":
    study, out, log, seconds, storage = sys.argv[1:6]
    record(Path(log), float(seconds))
    who = Workers(patience_seconds=6.0)
    run(study, out, storage=storage, workers=who, report=lambda p: print(p.stage, p.done, flush=True))
