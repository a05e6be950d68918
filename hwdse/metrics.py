"""The quantities that a study may optimise or constrain, each read off an evaluation."""

from collections.abc import Callable
from dataclasses import dataclass

from hwdse.energy import joules
from hwdse.evaluation import Evaluation
from hwdse.memory import utilization
from hwdse.target import fpga


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity: how to read it, which way is better, how to print it."""

    name: str
    label: str
    unit: str
    better: str  # maximize or minimize
    read: Callable[[Evaluation, str], float]  # of an evaluation, on a data split

    def show(self, value: float) -> str:
        """`value` for people."""
        if self.unit == "%":
            return f"{100 * value:.2f} %"
        if self.unit == "s":
            return f"{1e6 * value:,.1f} us"
        if self.unit == "J":
            return joules(value)
        whole = float(value).is_integer() or abs(value) >= 1000
        return f"{value:{',.0f' if whole else '.4g'}}" + f" {self.unit}" * bool(self.unit)


def _utilization(evaluation: Evaluation, _: str) -> float:
    return utilization(evaluation.predicted.area, fpga(evaluation.predicted.device))


def _energy(evaluation: Evaluation, _: str) -> float:
    energy = evaluation.predicted.energy
    if energy is None:
        raise ValueError(f"the cost of {evaluation.predicted.model!r} has no energy: its model states none")
    return energy.joules


def _sqnr(evaluation: Evaluation, split: str) -> float:
    value = evaluation.accuracy(split).sqnr_db
    if value is None:
        raise ValueError("the float model has no SQNR against itself")
    return value


def _mhz(evaluation: Evaluation, _: str) -> float:
    cost = evaluation.predicted
    if cost.clock is None:
        raise ValueError(f"metric 'mhz' is a predicted clock, which {cost.model!r} does not have for {cost.device!r}")
    return cost.clock.mhz


_ALL = (
    Metric("top1", "top-1 accuracy", "%", "maximize", lambda e, s: e.accuracy(s).top1),
    Metric("loss", "cross entropy", "nat", "minimize", lambda e, s: e.accuracy(s).loss),
    Metric("sqnr", "SQNR of the logits", "dB", "maximize", _sqnr),
    Metric("lut", "LUT", "", "minimize", lambda e, s: e.predicted.area.luts),
    Metric("ff", "FF", "", "minimize", lambda e, s: e.predicted.area.ffs),
    Metric("dsp", "DSP", "", "minimize", lambda e, s: e.predicted.area.dsps),
    Metric("bram", "BRAM18", "", "minimize", lambda e, s: e.predicted.area.brams),
    Metric("utilization", "utilization", "%", "minimize", _utilization),
    Metric("latency", "latency", "s", "minimize", lambda e, s: e.predicted.latency_seconds),
    Metric("throughput", "throughput", "frame/s", "maximize", lambda e, s: e.predicted.frames_per_second),
    Metric("mhz", "predicted clock", "MHz", "maximize", _mhz),
    Metric("energy", "stated energy per frame", "J", "minimize", _energy),
    Metric("weight_bits", "weight memory", "bit", "minimize", lambda e, s: e.weight_bits),
)
ACCURACIES = ("top1", "loss", "sqnr")  # metrics that need an evaluation; all others are costs, which are predicted
METRICS = {metric.name: metric for metric in _ALL}


def metric(name: str) -> Metric:
    """The metric called `name`."""
    if name not in METRICS:
        raise ValueError(f"no metric {name!r}; known: {', '.join(METRICS)}")
    return METRICS[name]
