"""The outcome of a study, as one value: what the report, the tables and the exports are made from."""

from dataclasses import dataclass, field, replace
from typing import Self

from hwdse.cost import LATER
from hwdse.cost_model import Run
from hwdse.evaluation import Accuracy, Built, Evaluation
from hwdse.target import Device, FpgaTarget
from hwdse.workload import Workload

FOR_GPUS = "of it there are show, report, export and build --flow triton"
MAX_PERPLEXITY_RATIO = 1.05  # unless a study says otherwise


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and the way it should go."""

    metric: str
    direction: str  # maximize or minimize

    def __post_init__(self) -> None:
        if self.direction not in ("maximize", "minimize"):
            raise ValueError(f"an objective is to maximize or minimize, not to {self.direction!r}")

    def loss(self, value: float) -> float:
        """`value` so that less is better."""
        return -value if self.direction == "maximize" else value


@dataclass(frozen=True, slots=True)
class Constraint:
    """A metric that must not pass a bound; `low` and `high` are inclusive, None is unbounded."""

    metric: str
    low: float | None = None
    high: float | None = None

    def violation(self, value: float) -> float:
        """How far `value` is beyond the bound, relative to it; 0 or less is feasible."""
        over = 0.0 if self.high is None else (value - self.high) / max(abs(self.high), 1e-12)
        under = 0.0 if self.low is None else (self.low - value) / max(abs(self.low), 1e-12)
        return max(over, under)


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluated design of a study."""

    number: int
    origin: str  # uniform, baseline, or the sampler's name
    evaluation: Evaluation
    values: tuple[float, ...]  # of the objectives, on the search split
    feasible: bool
    # Of the search, from the end of the trial before to that of this one; None: it was not kept.
    seconds: float | None = field(default=None, compare=False, metadata=LATER)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What becomes of the baseline on the search split where one tensor has another format of the menu."""

    kind: str  # weights or activations
    place: str  # a layer, or a site
    written: str  # the quantiser as a study writes it: signed
    quantizer: str  # that was used: without a sign where it would be wasted
    loss: float | None  # mean cross entropy, nats; None, as the others: the design could not be evaluated
    top1: float | None
    sqnr_db: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """Everything a report says."""

    study: str  # its name
    question: str  # in words, from the study file
    workload: Workload
    target: Device
    clock_mhz: float | None  # assumed; a GPU has its own
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    float_accuracies: tuple[Accuracy, ...]  # of the unquantised network, one per split
    trials: tuple[Trial, ...]  # by number
    failures: tuple[tuple[int, str], ...]  # trial number and why
    front: tuple[int, ...]  # numbers, cheapest first; every one has a test accuracy
    baseline: int | None  # the design that savings are counted against
    best: int
    knee: int
    max_loss: float  # the top-1 that `best` was allowed to lose on the search split, of images
    reference_point: tuple[float, ...]  # of the hypervolume, as losses
    hypervolume: tuple[tuple[int, float], ...]  # after each trial
    manifest: tuple[tuple[str, str], ...]  # versions, seed, commit, device source, study file
    sensitivities: tuple[Sensitivity, ...] = field(default=(), metadata=LATER)  # in network order; () if not asked for
    racing: float | None = field(default=None, metadata=LATER)  # the confidence of races; None: all images, always
    run: Run | None = field(default=None, metadata=LATER)  # how the network runs on a GPU
    # Of text the perplexity that `best` was allowed to have there, over that of the float network.
    max_perplexity_ratio: float = field(default=MAX_PERPLEXITY_RATIO, metadata=LATER)

    @property
    def fpga(self) -> FpgaTarget:
        """The device of a study of an FPGA; ValueError, which names what there is instead, of a GPU."""
        if not isinstance(self.target, FpgaTarget):
            raise ValueError(f"study {self.study!r} is of {self.target.name}, a GPU, and this is for FPGAs; {FOR_GPUS}")
        return self.target

    @property
    def clock(self) -> float:
        """The assumed clock of a study of an FPGA, MHz."""
        if self.clock_mhz is None:
            raise ValueError(f"study {self.study!r} assumes no clock of {self.target.name}")
        return self.clock_mhz

    @property
    def of_text(self) -> bool:
        """Whether the network predicts text, whose quality is its perplexity."""
        return self.float_accuracy("search").of_text

    def trial(self, number: int) -> Trial:
        """The trial with this number."""
        for trial in self.trials:
            if trial.number == number:
                return trial
        raise ValueError(f"no finished trial {number}; known: {', '.join(str(t.number) for t in self.trials)}")

    def having(self, trial: Trial) -> Self:
        """The result with `trial` in the place of the one of its number."""
        return replace(self, trials=tuple(trial if one.number == trial.number else one for one in self.trials))

    def having_built(self, trial: Trial, built: Built) -> Self:
        """The result with a build of `trial`, in place of an older one for the same board."""
        others = tuple(old for old in trial.evaluation.built if old.board != built.board)
        return self.having(replace(trial, evaluation=replace(trial.evaluation, built=(*others, built))))

    def float_accuracy(self, split: str) -> Accuracy:
        """Of the unquantised network on `split`."""
        for accuracy in self.float_accuracies:
            if accuracy.split == split:
                return accuracy
        raise ValueError(f"the float model was not evaluated on the {split} split")
