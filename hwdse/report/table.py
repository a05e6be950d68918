"""All trials as rows: the CSV files, and the table that the page sorts and filters."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from hwdse.energy import joules
from hwdse.evaluation import Difference, paired
from hwdse.report.describe import (
    activation_quantizers,
    family_of,
    mean_weight_bits,
    recipe_in_words,
    runs,
    weight_quantizers,
    whole,
)
from hwdse.report.quantities import number, percent, seconds
from hwdse.report.words import tested_accuracy
from hwdse.result import Result, Trial


@dataclass(frozen=True, slots=True)
class Row:
    """One trial; the fields are the columns of the CSV files. Differences are to the float model, paired."""

    trial: int
    origin: str
    family: str
    on_front: bool
    feasible: bool
    search_images: int  # that the next three are of: not all, where a race was lost
    search_top1: float
    search_loss: float
    search_sqnr_db: float | None
    test_top1: float | None  # None: not evaluated on the test split
    test_loss: float | None
    test_difference: float | None
    test_difference_low: float | None
    test_difference_high: float | None
    lut: int
    ff: int
    dsp: int
    bram: int
    uram: int
    frames_per_second: float
    latency_seconds: float
    predicted_mhz: float | None  # that the slowest layer reaches; None: no clock is predicted
    energy_joules: float | None  # of one frame, by a stated model; None: the cost model states none
    energy_label: str  # whether static power is in it
    weight_bits: int
    mean_weight_bits: float
    weights: str  # formats in the order of the layers
    activations: str
    recipe: str  # of techniques
    digest: str  # of the design


def rows(result: Result) -> tuple[Row, ...]:
    """One row per trial, by number."""
    return tuple(_row(result, trial) for trial in result.trials)


def _row(result: Result, trial: Trial) -> Row:
    evaluation, workload = trial.evaluation, result.workload
    search, test = evaluation.accuracy("search"), tested_accuracy(evaluation)
    difference = tested_difference(result, trial)
    cost, area, energy = evaluation.predicted, evaluation.predicted.area, evaluation.predicted.energy
    return Row(
        trial=trial.number,
        origin=trial.origin,
        family=family_of(evaluation.design, workload),
        on_front=trial.number in result.front,
        feasible=trial.feasible,
        search_images=search.count,
        search_top1=search.top1,
        search_loss=search.loss,
        search_sqnr_db=search.sqnr_db,
        test_top1=None if test is None else test.top1,
        test_loss=None if test is None else test.loss,
        test_difference=None if difference is None else difference.value,
        test_difference_low=None if difference is None else difference.interval.low,
        test_difference_high=None if difference is None else difference.interval.high,
        lut=area.luts,
        ff=area.ffs,
        dsp=area.dsps,
        bram=area.brams,
        uram=area.urams,
        frames_per_second=cost.frames_per_second,
        latency_seconds=cost.latency_seconds,
        predicted_mhz=None if cost.clock is None else cost.clock.mhz,
        energy_joules=None if energy is None else energy.joules,
        energy_label="" if energy is None else energy.label,
        weight_bits=evaluation.weight_bits,
        mean_weight_bits=mean_weight_bits(evaluation, workload),
        weights=runs(weight_quantizers(evaluation.design, workload)),
        activations=runs(activation_quantizers(evaluation.design, workload)),
        recipe=recipe_in_words(evaluation.design),
        digest=evaluation.design.digest,
    )


def tested_difference(result: Result, trial: Trial) -> Difference | None:
    """Top-1 minus that of the float model on the test split, if the trial was evaluated there."""
    test = tested_accuracy(trial.evaluation)
    return None if test is None else paired(test, result.float_accuracy("test"))


def csv(table: tuple[Row, ...]) -> str:
    """The rows as CSV, numbers in full, unknown values empty."""
    columns = list(Row.__dataclass_fields__)
    return str(pd.DataFrame(table, columns=columns).to_csv(index=False, lineterminator="\n"))


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the page's table."""

    text: str
    key: str  # the number that it sorts by; '' comes last


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the page's table: with numbers to sort by, or of text."""

    title: str
    meaning: str
    text: Callable[[Row], str]
    key: Callable[[Row], float | None] | None = None

    @property
    def numeric(self) -> bool:
        """Whether it is sorted by numbers."""
        return self.key is not None

    def cell(self, row: Row) -> Cell:
        """What the table shows and sorts by for one trial."""
        key = None if self.key is None else self.key(row)
        return Cell(self.text(row), "" if key is None else str(key))


def _test(row: Row) -> str:
    return "" if row.test_top1 is None else percent(row.test_top1)


def _energy(row: Row) -> str:
    return "" if row.energy_joules is None else joules(row.energy_joules)


def _mhz(row: Row) -> str:
    return "" if row.predicted_mhz is None else number(round(row.predicted_mhz))


def _difference(row: Row) -> str:
    if row.test_difference is None or row.test_difference_low is None or row.test_difference_high is None:
        return ""
    low, high = 100 * row.test_difference_low, 100 * row.test_difference_high
    return f"{100 * row.test_difference:+.2f} [{low:+.2f}, {high:+.2f}]"


COLUMNS = (
    Column("trial", "number of the trial", lambda r: str(r.trial), lambda r: r.trial),
    Column("family", "integer, minifloat or mixed", lambda r: r.family),
    Column("weights", "formats by layer", lambda r: r.weights),
    Column("front", "on the Pareto front", lambda r: "front" * r.on_front),
    Column("top-1, search", "on the search split", lambda r: percent(r.search_top1), lambda r: r.search_top1),
    Column("top-1, test", "on the test split, of the front only", _test, lambda r: r.test_top1),
    Column(
        "to FP32, test", "points of top-1, paired, with the 95 % interval", _difference, lambda r: r.test_difference
    ),
    Column("LUT", "predicted", lambda r: number(r.lut), lambda r: r.lut),
    Column("DSP", "predicted", lambda r: number(r.dsp), lambda r: r.dsp),
    Column("BRAM18", "blocks of 18 Kib, predicted", lambda r: number(r.bram), lambda r: r.bram),
    Column("frame/s", "predicted", lambda r: number(r.frames_per_second), lambda r: r.frames_per_second),
    Column("latency", "of one frame, predicted", lambda r: seconds(r.latency_seconds), lambda r: r.latency_seconds),
    Column("MHz", "predicted clock, which the slowest layer sets", _mhz, lambda r: r.predicted_mhz),
    Column("stated energy", "of one frame, by a stated model, not calibrated", _energy, lambda r: r.energy_joules),
    Column("bits/weight", "mean", lambda r: f"{r.mean_weight_bits:.2f}", lambda r: r.mean_weight_bits),
    Column("activations", "formats by site", lambda r: r.activations),
    Column("origin", "who proposed it", lambda r: r.origin),
    Column("digest", "of the design", lambda r: r.digest[:8]),
)
IMAGES = Column("images", "of the search split", lambda r: number(r.search_images), lambda r: r.search_images)
RECIPE = Column("recipe", "techniques, in order", lambda r: r.recipe)


def columns(result: Result) -> tuple[Column, ...]:
    """The columns of the page's table; of images and recipes where trials differ in them."""
    several = len({trial.evaluation.design.recipe for trial in result.trials}) > 1
    partial = not all(whole(result, trial) for trial in result.trials)
    added = {"front": (IMAGES,) * partial, "weights": (RECIPE,) * several}
    return tuple(one for column in COLUMNS for one in (column, *added.get(column.title, ())))
