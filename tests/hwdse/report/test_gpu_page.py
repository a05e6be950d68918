"""The report of a study of a GPU: kernels in the place of LUTs, and nothing that a GPU does not have."""

import csv
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from hwdse.cost import GpuCost, KernelCost
from hwdse.cost_model import Run
from hwdse.design import Design, Quantizer
from hwdse.report import write
from hwdse.report.beside import beside
from hwdse.report.claim import Claim
from hwdse.report.figures import axis, cost_objectives, plots
from hwdse.report.gpu_words import (
    bounds_in_words,
    calibration,
    fit,
    label,
    less_time,
    padding_in_words,
    run_in_words,
    speed,
    uses,
)
from hwdse.report.kernels import formats, kernels
from hwdse.report.page import checks, choices
from hwdse.report.places import cost_columns, costs, place
from hwdse.report.rows import rows
from hwdse.report.table import columns
from hwdse.report.words import answer, trust
from hwdse.result import Objective, Result
from hwdse.target import gpu
from hwdse.workload import Workload

H200 = gpu("h200")
CONV = KernelCost(
    "conv1", "a16 float16 64x16:w16:s4:k1:t4", 6e-6, "launch", 4_000, 50_000, 1024, 16, 9, 5e-6, 8e-6, 1_000
)
FC = KernelCost("fc", "gemv", 2e-6, "memory", 96_000, 97_000, 16, 10, 32, 1e-6, 3e-6, 24_000)
COST = GpuCost(
    (CONV, FC), 16, "h200", "gpu", "uncalibrated: nothing was measured on h200. Not counted: sums", ("norm",)
)


def test_speed_and_what_bounds_it() -> None:
    assert bounds_in_words(COST) == "75 % of the time is bound by launch, 25 % by memory"
    text = "16 frames together take 8 us of products, one kernel after the other: "
    assert speed(COST) == Claim("2,000,000 frame/s", f"{text}{bounds_in_words(COST)}.")
    assert speed(replace(COST, batch=1)).text.startswith("A frame alone takes 8 us of products, one kernel ")


def test_fit() -> None:
    taken = "its packed weights take 100 kB (whole tiles; 25 % is padding) of the 141 GB"
    text = f"On h200 ({H200.part}) {taken}; activations and what runs beside them "
    assert fit(H200, COST) == Claim("fits", f"{text}are not counted.")
    (use,) = uses(COST, H200)
    assert (use.name, use.used, use.available) == ("MB of memory", 1, 141_000)
    large = replace(COST, layers=(replace(FC, weight_bytes=150 * 10**9),))
    text = (
        f"h200 ({H200.part}) is too small: its packed weights take 150 GB (whole tiles; 0 % is padding) of the 141 GB."
    )
    assert fit(H200, large) == Claim("does not fit", text)


def test_padding() -> None:
    assert padding_in_words(COST) == "whole tiles; 25 % is padding"
    assert padding_in_words(replace(COST, layers=(CONV, replace(FC, padding_bytes=None)))) == "whole tiles"
    assert padding_in_words(replace(COST, layers=(replace(FC, padding_bytes=0),))) == "whole tiles; 0 % is padding"


def test_how_far_to_trust_it() -> None:
    assert trust(COST) == (
        Claim("Predicted, uncalibrated", "Times come from the cost model gpu; nothing was run on a GPU for this page."),
        Claim("Calibration", "Nothing was measured on h200. Not counted: sums"),
        Claim("Outside the total", "norm; not in any time."),
    )
    fitted = replace(COST, calibration="fitted to 90 products", outside=())
    assert (label(fitted), calibration(fitted)) == ("Predicted, not measured", "Fitted to 90 products")
    assert trust(fitted)[-1].text == "Nothing: every layer is inside."
    many = replace(COST, outside=tuple(f"norm{i}" for i in range(7)))
    assert trust(many)[-1].text == "7 layers; not in any time."


def test_time_that_is_saved() -> None:
    less = replace(COST, layers=(CONV,))
    assert less_time(less, COST) == Claim("25.0 % less time", "25.0 % less time (6 us instead of 8 us)")
    assert less_time(COST, less).head == "33.3 % more time"
    assert less_time(COST, COST) == Claim("as much time", "as much time (8 us)")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run(), "one frame at a time"),
        (Run(64), "batches of 64"),
    ],
)
def test_how_it_runs(run: Run, words: str) -> None:
    assert run_in_words(run) == words


def test_how_a_text_runs() -> None:
    assert run_in_words(Run(), "sequence") == "one sequence at a time"
    assert run_in_words(Run(1, "one"), "token") == "one sequence at a time, one token of each"
    assert run_in_words(Run(8, "one"), "token") == "batches of 8, one token of each"
    assert speed(COST, "token").head == "2,000,000 token/s"
    assert speed(COST, "sequence").text.startswith("16 sequences together take 8 us of products, ")
    assert speed(replace(COST, batch=1), "token").text.startswith("A token alone takes 8 us of products, ")


def test_kernels(on_gpu: Result) -> None:
    design = Design.of({"conv1": Quantizer.parse("int4:channel")}, {"image": Quantizer.parse("uint8")})
    found = kernels(COST, design, on_gpu.workload)
    assert [(b.name, b.share, b.colour) for b in found.legend] == [("launch", 0.75, "part0"), ("memory", 0.25, "part1")]
    conv, fc = found.lines
    assert (conv.layer, conv.time, conv.share, conv.interval, conv.shape) == (
        "conv1",
        "6 us",
        "75.0 %",
        "5 us to 8 us",
        "1,024 x 16 x 9",
    )
    assert (conv.weights, conv.inputs, conv.kernel, conv.weight_bytes) == ("int4:channel", "uint8", CONV.kernel, "4 kB")
    assert (fc.weights, fc.inputs) == ("float", "float") == formats(design, on_gpu.workload, "fc")
    assert fc.width == pytest.approx(1 / 3)
    assert (fc.colour, fc.bound, fc.moved_bytes) == ("part1", "memory", "97 kB")
    assert (found.time, found.weight_bytes, found.moved_bytes, found.outside) == ("8 us", "100 kB", "147 kB", ("norm",))
    assert found.known
    assert found.padding == "whole tiles; 25 % is padding"
    unknown = replace(COST, layers=tuple(replace(layer, low=None, high=None) for layer in COST.layers))
    assert not kernels(unknown, design, on_gpu.workload).known


def test_the_answer(on_gpu: Result) -> None:
    said = answer(on_gpu)
    assert said.lead.startswith(f"Run trial {on_gpu.best} on h200: ")
    assert re.search(r"^[\d.]+ % (less|more) time$|^as much time$", said.saving.head)
    assert "bytes of weights" in said.saving.text
    assert said.trust[0].head == "Predicted, uncalibrated"


def test_where_and_what_it_costs(on_gpu: Result, result: Result) -> None:
    assert place(on_gpu) == "h200, batches of 16"
    assert place(result) == "small7 at 100 MHz"
    assert place(replace(on_gpu, run=None)) == "h200"
    assert cost_columns(on_gpu.target) == ("time of a batch", "packed weights")
    assert costs(COST, 99) == ("8 us", "100 kB")
    assert [choice.fit.head for choice in choices(on_gpu)[:-1]] == ["fits"] * (len(choices(on_gpu)) - 1)
    assert choices(on_gpu)[-1].design == "FP32, not a GPU design"
    assert choices(on_gpu)[-1].costs == ("", "")


def test_plots(on_gpu: Result) -> None:
    names = [plot.name for plot in plots(on_gpu)]
    assert names == ["front", "front-weight_bytes", "bits", "hypervolume"]
    first, second, *_ = plots(on_gpu)
    assert (first.x_label, second.x_label) == ("latency (us) on h200", "packed weights (kB) on h200")
    marks = [mark for series in first.series for mark in series.marks if mark.hover]
    assert all(re.search(r"\n[\d.]+ us, [\d.]+ kB of weights\n", mark.hover) for mark in marks)
    assert not any("LUT" in mark.hover for mark in marks)
    accuracies = replace(on_gpu, objectives=(Objective("top1", "maximize"),))
    assert cost_objectives(accuracies) == (Objective("latency", "minimize"),)


@pytest.mark.parametrize(
    ("metric", "label", "factor"), [("weight_bytes", "packed weights (kB)", 1e-3), ("latency", "latency (us)", 1e6)]
)
def test_axes(on_gpu: Result, metric: str, label: str, factor: float) -> None:
    found = axis(Objective(metric, "minimize"), on_gpu.trials)
    assert found.label == label
    assert found.factor == pytest.approx(factor)


def test_the_table_of_trials(on_gpu: Result) -> None:
    titles = [column.title for column in columns(on_gpu)]
    assert titles[7:11] == ["time", "packed weights", "frame/s", "bits/weight"]
    assert not {"LUT", "DSP", "BRAM18", "MHz", "stated energy", "latency"} & set(titles)
    (first, *_) = rows(on_gpu)
    evaluation = on_gpu.trials[0].evaluation
    assert (first.latency_seconds, first.weight_bytes) == (evaluation.gpu.seconds, evaluation.gpu.weight_bytes)
    assert (first.lut, first.predicted_mhz, first.energy_joules) == (None, None, None)


def test_the_files(on_gpu: Result, tmp_path: Path) -> None:
    page = write(on_gpu, tmp_path).read_text()
    trials = list(csv.DictReader(StringIO((tmp_path / "trials.csv").read_text())))
    assert len(trials) == len(on_gpu.trials)
    assert {"weight_bytes", "latency_seconds", "frames_per_second"} <= set(trials[0])
    assert not {"lut", "ff", "dsp", "bram", "uram", "predicted_mhz", "energy_joules", "energy_label"} & set(trials[0])
    body = page[page.index("<main>") : page.index("</main>")]
    for absent in ("LUT", "BRAM", "MHz", "FPGA", "None", "acc. bits", "accelerator"):
        assert absent not in body, absent
    best = on_gpu.trial(on_gpu.best)
    assert f"Where the time of trial {best.number} goes" in body
    assert "Predicted, uncalibrated" in body
    assert "Packed weights are whole tiles; 20 % is padding: what a kernel reads at once is filled up." in body
    assert "Not in the total: softmax." in body
    for layer in best.evaluation.gpu.layers:
        assert layer.kernel in body


def test_there_is_nothing_beside_and_nothing_built(on_gpu: Result) -> None:
    assert beside(on_gpu) == ()
    assert checks(on_gpu) == ()


def test_the_formats_of_a_layer(on_gpu: Result) -> None:
    workload: Workload = on_gpu.workload
    design = on_gpu.trial(on_gpu.best).evaluation.design
    for layer in workload.weighted:
        weights, inputs = formats(design, workload, layer.name)
        assert weights == dict(design.weights)[layer.name].name
        assert inputs == dict(design.activations)[layer.inputs[0]].name
