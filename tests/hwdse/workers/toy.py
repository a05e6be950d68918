"""An evaluator of designs that works with files: workers write down what they did, and die when told to."""

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hwdse.design import Design, Quantizer
from hwdse.evaluation import Accuracy
from hwdse.workers import Evaluator, Job, Maker


def design(weights: str) -> Design:
    """A design of one layer."""
    return Design.of({"fc": Quantizer.parse(weights)}, {"x": Quantizer.parse("int8")})


def job(weights: str) -> Job:
    return Job(design(weights), "search")


@dataclass(frozen=True)
class Toy:
    """Its accuracy has as many images as its weights have bits; each evaluation is a line in `folder`/log."""

    folder: Path
    context: str = "toy"
    deadly: str = ""  # weights over which a worker dies
    deaths: int = 0  # how often
    broken: str = ""  # weights over which a worker fails with an error of the code
    seconds: float = 0.0  # that an evaluation takes

    def float_accuracy(self, split: str) -> Accuracy:
        raise AssertionError("never asked for")

    def accuracy(self, design: Design, split: str) -> Accuracy:
        weights = dict(design.weights)["fc"]
        with (self.folder / "log").open("a") as log:
            log.write(f"{os.getpid()} {weights.name} {os.environ.get('OMP_NUM_THREADS')}\n")
        time.sleep(self.seconds)
        if weights.name == self.deadly and self._died() <= self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        if weights.name == self.broken:
            raise TypeError("this is a bug")
        if weights.format.bits == 2:
            raise ValueError("layer 'fc' cannot have 2 bits")
        return Accuracy(split, weights.format.bits, "00", 1.0, None)

    def _died(self) -> int:
        return sum(line.split()[1] == self.deadly for line in self.log)

    @property
    def log(self) -> list[str]:
        """What was evaluated, by whom."""
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []


def maker(toy: Toy) -> Maker:
    return partial(made, toy)


def made(toy: Toy) -> Evaluator:
    return toy


def refuse() -> Evaluator:
    raise ValueError("no model 'digits-mlpp'")


def die() -> Evaluator:
    os._exit(7)
