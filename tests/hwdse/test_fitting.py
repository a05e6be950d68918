"""Which design of a front is advised where one does not fit: the nearest below it, and never itself."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

from hwdse.cost import FpgaCost, LayerCost, Resources, Term, dataflow
from hwdse.cost_model import FpgaCostModel
from hwdse.design import Design, Quantizer
from hwdse.evaluation import Accuracy, pack
from hwdse.fitting import Fitting
from hwdse.result import Result, Trial
from hwdse.target import Device, FpgaTarget, fpga
from hwdse.workload import Layer, Workload
from tests.hwdse.test_result import RESULT

TARGET = fpga("ecp5_25f")  # 24,288 LUTs, 56 block RAMs, 28 DSPs
AREAS = {
    "int2": Resources(luts=1_000),
    "int3": Resources(luts=9_000),
    "int4": Resources(luts=2_000, brams=45),
    "int5": Resources(luts=23_000),
    "int6": Resources(luts=25_000),
    "int7": Resources(luts=2_000, urams=1),
}
FORMATS = tuple(AREAS)


@dataclass(frozen=True)
class Known(FpgaCostModel):
    """Areas by the format of the one layer."""

    @property
    def name(self) -> str:
        """Of this test."""
        return "known"

    def claims(self, device: Device) -> bool:
        """All."""
        return True

    def calibration(self, target: FpgaTarget) -> str:
        """None."""
        return "uncalibrated"

    def layer(self, layer: Layer, design: Design, target: FpgaTarget) -> LayerCost:
        """Not asked for."""
        raise NotImplementedError

    def cost(self, workload: Workload, design: Design, target: FpgaTarget, clock_mhz: float) -> FpgaCost:
        """That of the format, with a tenth to either side."""
        area = AREAS[dict(design.weights)["fc"].name]
        term = Term("all", area, replace(area, luts=area.luts * 9 // 10), replace(area, luts=area.luts * 11 // 10))
        return dataflow(
            [LayerCost("fc", (term,), 1, 1)], clock_mhz=clock_mhz, device=target.name, model="known", calibration=""
        )


def trial(number: int) -> Trial:
    """The design with format `number`; the later, the more accurate."""
    design = Design.of({"fc": Quantizer.parse(FORMATS[number])}, {})
    hits = pack(np.arange(10) < 4 + number)
    accuracy = Accuracy("search", 10, hits, 0.25, None)
    return replace(
        RESULT.trials[0],
        number=number,
        evaluation=replace(RESULT.trials[0].evaluation, design=design, accuracies=(accuracy,)),
    )


def result(*front: int) -> Result:
    """A result with all designs, and those on its front."""
    return replace(RESULT, trials=tuple(map(trial, range(len(FORMATS)))), front=front)


def fitting(*front: int) -> Fitting:
    return Fitting(result(*front), Known(), TARGET)


@pytest.mark.parametrize(
    ("failed", "front", "advised"),
    [
        (4, (0, 1, 2, 3, 4), 3),  # 103 % of the LUTs: 95 % of them
        (3, (0, 1, 2, 3, 4), 2),  # 95 %, which was placed and did not fit: 80 % of the block RAMs
        (2, (0, 1, 2, 3, 4), 1),
        (5, (0, 1), 1),  # of what the device has not
        (1, (0, 1), 0),
    ],
)
def test_the_nearest_below(failed: int, front: tuple[int, ...], advised: int) -> None:
    words = f"Of the front trial {advised} is predicted to fit, with a top-1 of {10 * (4 + advised)}.00 %"
    assert fitting(*front).advice(trial(failed)) == f"{words} on the search split"


def test_no_other_fits() -> None:
    assert fitting(0).advice(trial(0)) == "No other design of the front is predicted to fit ecp5_25f"
    assert fitting(4, 5).advice(trial(4)) == "No other design of the front is predicted to fit ecp5_25f"


def test_even_the_least_is_too_much() -> None:
    def check(number: int, luts: int) -> None:
        area = Resources(luts=luts)
        cost = Known().cost(RESULT.workload, trial(number).evaluation.design, TARGET, 25.0)
        term = Term("all", area, replace(area, luts=luts * 9 // 10), area)
        fitting(0, 4).check(trial(number), replace(cost, layers=(LayerCost("fc", (term,), 1, 1),)))

    check(4, 25_000)  # it may fit
    other = "Of the front trial 0 is predicted to fit, with a top-1 of 40.00 % on the search split"
    message = f"trial 4 is predicted to need 30,000 LUT of the 24,288 on ecp5_25f, 24 % more than fits. {other}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check(4, 30_000)


def test_what_the_device_has_not() -> None:
    only = trial(5)
    cost = Known().cost(RESULT.workload, only.evaluation.design, TARGET, 25.0)
    other = "Of the front trial 0 is predicted to fit, with a top-1 of 40.00 % on the search split"
    message = f"trial 5 is predicted to need 1 URAM of the 0 on ecp5_25f. {other}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fitting(0, 5).check(only, cost)
