"""Metrics: each reads one number off an evaluation, and prints it for people."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from hwdse.cost import Clock, GpuCost, KernelCost, LayerCost, Resources, Term, dataflow
from hwdse.design import Design
from hwdse.energy import Energy, Stated
from hwdse.evaluation import Accuracy, Evaluation, pack
from hwdse.metrics import METRICS, in_bytes, metric, metrics_of

AREA = Resources(luts=1234, ffs=567, dsps=8, brams=9, lutrams=11)
CLOCK = Clock(87.5, 80.0, 95.0)
COST = dataflow(
    [LayerCost("fc", (Term("multipliers", AREA),), 1000, 500, clock=CLOCK, energy=Energy(1e6, 2e6, 3e6, 4e6))],
    clock_mhz=100.0,
    device="xc7z020",
    model="m",
    calibration="none",
    stated=Stated("a test", 0.5),
)
SEARCH = Accuracy("search", 4, pack(np.array([True, True, True, False])), 0.25, 20.5)
TEST = Accuracy("test", 4, pack(np.array([True, False, False, False])), 1.5, None)
EVALUATION = Evaluation(Design(), (SEARCH, TEST), COST, (), 4321)
KERNELS = tuple(KernelCost(f"fc{i}", "a16", i * 1e-6, "memory", i * 1000, 9000, 8, 16, 32) for i in (1, 2))
ON_GPU = Evaluation(
    Design(),
    (SEARCH, TEST),
    GpuCost((*KERNELS[:1], replace(KERNELS[1], weight_bytes=4678)), 8, "h200", "m", "none"),
    (),
    4321,
)


@pytest.mark.parametrize(
    ("name", "better", "value", "shown"),
    [
        ("top1", "maximize", 0.75, "75.00 %"),
        ("loss", "minimize", 0.25, "0.25 nat"),
        ("sqnr", "maximize", 20.5, "20.5 dB"),
        ("perplexity", "minimize", math.exp(0.25), "1.284"),
        ("lut", "minimize", 1234, "1,234"),
        ("ff", "minimize", 567, "567"),
        ("dsp", "minimize", 8, "8"),
        ("bram", "minimize", 9, "9"),
        ("utilization", "minimize", 8 / 220, "3.64 %"),
        ("latency", "minimize", 15e-6, "15.0 us"),
        ("throughput", "maximize", 1e5, "100,000 frame/s"),
        ("mhz", "maximize", 87.5, "87.5 MHz"),
        ("energy", "minimize", 15e-6, "15 uJ"),  # 10 uJ of switching, and 0.5 W for 10 us
        ("weight_bytes", "minimize", 5678, "5.678 kB"),
        ("weight_bits", "minimize", 4321, "4,321 bit"),
    ],
)
def test_every_metric(name: str, better: str, value: float, shown: str) -> None:
    one = metric(name)
    assert (one.name, one.better) == (name, better)
    assert one.read(ON_GPU if name == "weight_bytes" else EVALUATION, "search") == value
    assert one.show(value) == shown


def test_a_gpu_takes_the_time_of_a_batch() -> None:
    assert metric("latency").read(ON_GPU, "search") == 3e-6
    assert metric("throughput").read(ON_GPU, "search") == pytest.approx(8 / 3e-6)
    assert metric("weight_bits").read(ON_GPU, "search") == 4321


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].kinds == ("FPGA",)])
def test_what_an_fpga_has_is_not_read_off_a_gpu(name: str) -> None:
    message = f"^design {Design().digest} is priced on h200, which is no FPGA$"
    with pytest.raises(ValueError, match=message):
        metric(name).read(ON_GPU, "search")


def test_what_a_gpu_has_is_not_read_off_an_fpga() -> None:
    with pytest.raises(ValueError, match=f"^design {Design().digest} is priced on xc7z020, which is no GPU$"):
        metric("weight_bytes").read(EVALUATION, "search")


def test_metrics_by_kind_of_device() -> None:
    shared = {"top1", "loss", "sqnr", "latency", "throughput", "weight_bits"}
    assert set(metrics_of("FPGA")) & set(metrics_of("GPU")) == shared
    assert set(metrics_of("GPU")) - shared == {"weight_bytes"}
    assert set(metrics_of("GPU", text=True)) - set(metrics_of("GPU")) == {"perplexity"}
    assert set(metrics_of("FPGA", text=True)) | set(metrics_of("GPU")) == set(METRICS)


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1.2345e6, "1.234 MB"), (141e9, "141 GB")]
)
def test_bytes(value: float, shown: str) -> None:
    assert in_bytes(value) == shown


def test_all_metrics_are_tested() -> None:
    (mark,) = (mark for mark in test_every_metric.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    assert [row[0] for row in mark.args[1]] == list(METRICS)


def test_the_split_is_the_one_asked_for() -> None:
    assert (metric("top1").read(EVALUATION, "test"), metric("loss").read(EVALUATION, "test")) == (0.25, 1.5)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("top1", 1.0, "100.00 %"),
        ("top1", 0.0, "0.00 %"),
        ("latency", 0.0123456, "12,345.6 us"),
        ("energy", 0.0123456, "12.35 mJ"),
        ("energy", 3e-13, "0.3 pJ"),
        ("energy", 0.0, "0 pJ"),
        ("energy", 2.5, "2.5 J"),
        ("throughput", 12345.67, "12,346 frame/s"),
        ("throughput", 12.3456, "12.35 frame/s"),
        ("loss", 0.000123456, "0.0001235 nat"),
        ("sqnr", -3.0, "-3 dB"),
        ("sqnr", math.inf, "inf dB"),
        ("lut", 0, "0"),
    ],
)
def test_show(name: str, value: float, shown: str) -> None:
    assert metric(name).show(value) == shown


def test_the_float_model_has_no_sqnr() -> None:
    with pytest.raises(ValueError, match=r"^the float model has no SQNR against itself$"):
        metric("sqnr").read(EVALUATION, "test")


def test_a_clock_that_nobody_predicts_is_an_error() -> None:
    layers = tuple(replace(layer, clock=None) for layer in COST.layers)
    assumed = replace(EVALUATION, predicted=replace(COST, layers=layers))
    message = "metric 'mhz' is a predicted clock, which 'm' does not have for 'xc7z020'"
    with pytest.raises(ValueError, match=f"^{message}$"):
        metric("mhz").read(assumed, "search")


def test_energy_where_none_is_stated() -> None:
    silent = replace(EVALUATION, predicted=replace(COST, stated=None))
    with pytest.raises(ValueError, match=r"^the cost of 'm' has no energy: its model states none$"):
        metric("energy").read(silent, "search")


def test_a_missing_split_is_an_error() -> None:
    message = f"design {Design().digest} was not evaluated on the calibration split"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        metric("top1").read(EVALUATION, "calibration")


def test_unknown_metrics_list_the_known() -> None:
    known = (
        "top1, loss, sqnr, perplexity, lut, ff, dsp, bram, utilization, latency, throughput, mhz, energy, "
        "weight_bytes, weight_bits"
    )
    with pytest.raises(ValueError, match=f"^no metric 'luts'; known: {known}$"):
        metric("luts")
