"""All trials as rows, and as CSV files."""

from dataclasses import dataclass

import pandas as pd

from hwdse.cost import FpgaCost, GpuCost
from hwdse.evaluation import Accuracy, Difference, Ratio, paired, perplexity_ratio
from hwdse.report.describe import (
    activation_quantizers,
    family_of,
    mean_weight_bits,
    recipe_in_words,
    runs,
    weight_quantizers,
)
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
    search_perplexity: float | None  # None, as the next four: of images
    test_perplexity: float | None
    test_ratio: float | None  # of perplexities, to that of the float model, paired
    test_ratio_low: float | None
    test_ratio_high: float | None
    lut: int | None  # None, as the next four: of a GPU
    ff: int | None
    dsp: int | None
    bram: int | None
    uram: int | None
    weight_bytes: int | None  # packed, in the memory of a GPU; None: of an FPGA
    frames_per_second: float
    latency_seconds: float  # of one frame, or of a batch on a GPU
    predicted_mhz: float | None  # that the slowest layer reaches; None: no clock is predicted
    energy_joules: float | None  # of one frame, by a stated model; None: the cost model states none
    energy_label: str  # whether static power is in it
    weight_bits: int
    mean_weight_bits: float
    weights: str  # formats in the order of the layers
    activations: str
    recipe: str  # of techniques
    digest: str  # of the design


OF_FPGAS = ("lut", "ff", "dsp", "bram", "uram", "predicted_mhz", "energy_joules", "energy_label")
OF_GPUS = ("weight_bytes",)
OF_TEXTS = ("search_perplexity", "test_perplexity", "test_ratio", "test_ratio_low", "test_ratio_high")


def rows(result: Result) -> tuple[Row, ...]:
    """One row per trial, by number."""
    return tuple(_row(result, trial) for trial in result.trials)


def _row(result: Result, trial: Trial) -> Row:
    evaluation, workload = trial.evaluation, result.workload
    search, test = evaluation.accuracy("search"), tested_accuracy(evaluation)
    difference, ratio = tested_difference(result, trial), tested_ratio(result, trial)
    cost = evaluation.predicted
    on_fpga = cost if isinstance(cost, FpgaCost) else None
    area, energy = (None, None) if on_fpga is None else (on_fpga.area, on_fpga.energy)
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
        search_perplexity=_perplexity(search),
        test_perplexity=_perplexity(test),
        test_ratio=None if ratio is None else ratio.value,
        test_ratio_low=None if ratio is None else ratio.interval.low,
        test_ratio_high=None if ratio is None else ratio.interval.high,
        lut=None if area is None else area.luts,
        ff=None if area is None else area.ffs,
        dsp=None if area is None else area.dsps,
        bram=None if area is None else area.brams,
        uram=None if area is None else area.urams,
        weight_bytes=cost.weight_bytes if isinstance(cost, GpuCost) else None,
        frames_per_second=cost.frames_per_second,
        latency_seconds=cost.seconds if isinstance(cost, GpuCost) else cost.latency_seconds,
        predicted_mhz=None if on_fpga is None or on_fpga.clock is None else on_fpga.clock.mhz,
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


def tested_ratio(result: Result, trial: Trial) -> Ratio | None:
    """The perplexity over that of the float model on the test split, if the trial was evaluated there on a text."""
    test = tested_accuracy(trial.evaluation)
    return perplexity_ratio(test, result.float_accuracy("test")) if test is not None and test.of_text else None


def _perplexity(accuracy: Accuracy | None) -> float | None:
    return accuracy.perplexity if accuracy is not None and accuracy.of_text else None


def csv(table: tuple[Row, ...]) -> str:
    """The rows as CSV, numbers in full, unknown values empty; without what this kind of device or data lacks."""
    columns = list(Row.__dataclass_fields__)
    absent: tuple[str, ...] = OF_FPGAS if table and table[0].lut is None else OF_GPUS
    absent += OF_TEXTS if not table or table[0].search_perplexity is None else ()
    frame = pd.DataFrame(table, columns=columns).drop(columns=list(absent))
    return str(frame.to_csv(index=False, lineterminator="\n"))
