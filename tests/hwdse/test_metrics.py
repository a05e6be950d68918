"""Metrics: each reads one number off an evaluation, and prints it for people."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from hwdse.cost import Clock, LayerCost, Resources, Term, dataflow
from hwdse.design import Design
from hwdse.energy import Energy, Stated
from hwdse.evaluation import Accuracy, Evaluation, pack
from hwdse.metrics import METRICS, metric

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


@pytest.mark.parametrize(
    ("name", "better", "value", "shown"),
    [
        ("top1", "maximize", 0.75, "75.00 %"),
        ("loss", "minimize", 0.25, "0.25 nat"),
        ("sqnr", "maximize", 20.5, "20.5 dB"),
        ("lut", "minimize", 1234, "1,234"),
        ("ff", "minimize", 567, "567"),
        ("dsp", "minimize", 8, "8"),
        ("bram", "minimize", 9, "9"),
        ("utilization", "minimize", 8 / 220, "3.64 %"),
        ("latency", "minimize", 15e-6, "15.0 us"),
        ("throughput", "maximize", 1e5, "100,000 frame/s"),
        ("mhz", "maximize", 87.5, "87.5 MHz"),
        ("energy", "minimize", 15e-6, "15 uJ"),  # 10 uJ of switching, and 0.5 W for 10 us
        ("weight_bits", "minimize", 4321, "4,321 bit"),
    ],
)
def test_every_metric(name: str, better: str, value: float, shown: str) -> None:
    one = metric(name)
    assert (one.name, one.better) == (name, better)
    assert one.read(EVALUATION, "search") == value
    assert one.show(value) == shown


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
    known = "top1, loss, sqnr, lut, ff, dsp, bram, utilization, latency, throughput, mhz, energy, weight_bits"
    with pytest.raises(ValueError, match=f"^no metric 'luts'; known: {known}$"):
        metric("luts")
