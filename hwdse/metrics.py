"""The quantities that a study may optimise or constrain, each read off an evaluation."""

from collections.abc import Callable
from dataclasses import dataclass

from hwdse.cost import FpgaCost
from hwdse.energy import joules
from hwdse.evaluation import Evaluation
from hwdse.memory import utilization
from hwdse.target import fpga

KINDS = ("FPGA", "GPU")


@dataclass(frozen=True, slots=True)
class Metric:
    """One quantity: how to read it, which way is better, how to print it."""

    name: str
    label: str
    unit: str
    better: str  # maximize or minimize
    read: Callable[[Evaluation, str], float]  # of an evaluation, on a data split
    kinds: tuple[str, ...] = KINDS  # of devices that have it

    def show(self, value: float) -> str:
        """`value` for people."""
        if self.unit == "%":
            return f"{100 * value:.2f} %"
        if self.unit == "s":
            return f"{1e6 * value:,.1f} us"
        if self.unit == "J":
            return joules(value)
        if self.unit == "B":
            return in_bytes(value)
        whole = float(value).is_integer() or abs(value) >= 1000
        return f"{value:{',.0f' if whole else '.4g'}}" + f" {self.unit}" * bool(self.unit)


def byte_unit(value: float) -> tuple[str, float]:
    """The unit that suits a number of bytes, and how many it is."""
    units = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
    return next(((unit, size) for unit, size in units if value >= size), ("B", 1.0))


def in_bytes(value: float) -> str:
    """A number of bytes in the unit that suits it: `12.35 kB`."""
    unit, size = byte_unit(value)
    return f"{value / size:.4g} {unit}"


def _utilization(evaluation: Evaluation, _: str) -> float:
    return utilization(evaluation.fpga.area, fpga(evaluation.predicted.device))


def _energy(evaluation: Evaluation, _: str) -> float:
    energy = evaluation.fpga.energy
    if energy is None:
        raise ValueError(f"the cost of {evaluation.predicted.model!r} has no energy: its model states none")
    return energy.joules


def _sqnr(evaluation: Evaluation, split: str) -> float:
    value = evaluation.accuracy(split).sqnr_db
    if value is None:
        raise ValueError("the float model has no SQNR against itself")
    return value


def _mhz(evaluation: Evaluation, _: str) -> float:
    cost = evaluation.fpga
    if cost.clock is None:
        raise ValueError(f"metric 'mhz' is a predicted clock, which {cost.model!r} does not have for {cost.device!r}")
    return cost.clock.mhz


def _latency(evaluation: Evaluation, _: str) -> float:
    cost = evaluation.predicted
    return cost.latency_seconds if isinstance(cost, FpgaCost) else cost.seconds


_FPGA, _GPU = KINDS[:1], KINDS[1:]
_ALL = (
    Metric("top1", "top-1 accuracy", "%", "maximize", lambda e, s: e.accuracy(s).top1),
    Metric("loss", "cross entropy", "nat", "minimize", lambda e, s: e.accuracy(s).loss),
    Metric("sqnr", "SQNR of the logits", "dB", "maximize", _sqnr),
    Metric("perplexity", "perplexity", "", "minimize", lambda e, s: e.accuracy(s).perplexity),
    Metric("lut", "LUT", "", "minimize", lambda e, s: e.fpga.area.luts, _FPGA),
    Metric("ff", "FF", "", "minimize", lambda e, s: e.fpga.area.ffs, _FPGA),
    Metric("dsp", "DSP", "", "minimize", lambda e, s: e.fpga.area.dsps, _FPGA),
    Metric("bram", "BRAM18", "", "minimize", lambda e, s: e.fpga.area.brams, _FPGA),
    Metric("utilization", "utilization", "%", "minimize", _utilization, _FPGA),
    Metric("latency", "latency", "s", "minimize", _latency),
    Metric("throughput", "throughput", "frame/s", "maximize", lambda e, s: e.predicted.frames_per_second),
    Metric("mhz", "predicted clock", "MHz", "maximize", _mhz, _FPGA),
    Metric("energy", "stated energy per frame", "J", "minimize", _energy, _FPGA),
    Metric("weight_bytes", "packed weights", "B", "minimize", lambda e, s: e.gpu.weight_bytes, _GPU),
    Metric("weight_bits", "weight memory", "bit", "minimize", lambda e, s: e.weight_bits),
)
ACCURACIES = (
    "top1",
    "loss",
    "sqnr",
    "perplexity",
)  # metrics that need an evaluation; all others are costs, which are predicted
METRICS = {metric.name: metric for metric in _ALL}


TEXT_METRICS = ("perplexity",)  # that data of no other kind has


def metrics_of(kind: str, *, text: bool = False) -> tuple[str, ...]:
    """The names of the metrics that an `FPGA` or a `GPU` has; those of text where the data is."""
    return tuple(one.name for one in _ALL if kind in one.kinds and (text or one.name not in TEXT_METRICS))


def metric(name: str) -> Metric:
    """The metric called `name`."""
    if name not in METRICS:
        raise ValueError(f"no metric {name!r}; known: {', '.join(METRICS)}")
    return METRICS[name]
