"""A study whose designs are priced as FINN estimates them: the search, what is refused in it, the report, one price."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from hwdse.cli import main
from hwdse.cost import FpgaCost
from hwdse.cost_models.finn import Finn
from hwdse.result import Result
from hwdse.run import load, pick
from hwdse.study import load as load_study
from hwdse.target import fpga
from tests.hwdse.run import small
from tests.hwdse.test_hardware_commands import refused, told

STUDY = small.study(
    '[search]\nsampler = "grid"\n',
    weights=("int8", "int3", "e2m1"),
    device="xczu3eg",
    frames=100_000,
    target='cost_model = "finn"',
).replace("[target]", 'activations = ["int8", "e2m1"]\npairs = ["all"]\n[target]')
ON_DEVICE = ("--device", "xczu3eg", "--cost-model", "finn")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A finished run."""
    folder = tmp_path_factory.mktemp("finn")
    (folder / "finn.toml").write_text(STUDY)
    assert main(["run", str(folder / "finn.toml"), "--out", str(folder / "run")]) == 0
    return folder / "run", load(folder / "run")


def costs(result: Result) -> Mapping[str, FpgaCost]:
    """The price of each design by the format of its weights; their activations are int8."""
    designs = {trial.evaluation.design.weights[0][1].format.name: trial for trial in result.trials}
    return {name: trial.evaluation.fpga for name, trial in designs.items()}


def test_designs_have_the_prices_of_finn(done: tuple[Path, Result]) -> None:
    _, result = done
    for trial in result.trials:
        cost, design = trial.evaluation.fpga, trial.evaluation.design
        assert cost == Finn().cost(result.workload, design, fpga("xczu3eg"), 100)
        assert (cost.model, cost.area.ffs) == ("finn", 0)


def test_minifloat_weights_are_integers(done: tuple[Path, Result]) -> None:
    found = costs(done[1])
    assert set(found) == {"int8", "int3", "e2m1"}
    assert [term.variant for term in found["e2m1"].layers[0].terms] == ["MVAU_rtl", "Thresholding_rtl"]
    assert [term.variant for term in found["int3"].layers[0].terms] == ["MVAU_hls", "Thresholding_rtl"]


def test_minifloats_between_layers_are_trials_that_failed(done: tuple[Path, Result]) -> None:
    rule = "FINN maps activations that are integers with one scale"
    rule = f"{rule}, unlike ue2m2 at site 'input' of layer 'fc1'"
    assert [why for _, why in done[1].failures] == [rule] * 3


def test_the_run_says_whose_numbers_they_are(done: tuple[Path, Result]) -> None:
    folder, result = done
    report = (folder / "report.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "Estimates of FINN+ 1.6.1 for xczu3eg" in report
    assert load_study(folder / "study.toml").target.model == Finn()
    assert pick(result, "best").evaluation.fpga.calibration == Finn().calibration(fpga("xczu3eg"))


def test_a_price_of_one_design(capsys: pytest.CaptureFixture[str]) -> None:
    *layers, total = told(capsys, "cost", "digits-cnn", *ON_DEVICE, "--weights", "int4", "--activations", "uint4")
    assert [row["layer"] for row in layers] == ["conv1", "depthwise", "conv2", "conv3", "fc1", "fc2"]
    assert total["DSP"] == sum(row["DSP"] for row in layers) == 5  # five units in RTL
    terms = told(capsys, "cost", "digits-mlp", *ON_DEVICE, "--explain")
    assert [row["made of"] for row in terms[:2]] == ["MVAU_rtl", "Thresholding_rtl"]


def test_what_has_no_price(capsys: pytest.CaptureFixture[str]) -> None:
    settings = refused(capsys, "cost", "digits-mlp", *ON_DEVICE, "--multiplier", "dsp")
    assert settings == "hwdse: no setting 'multiplier' of cost model 'finn'; known: none"
    device = refused(capsys, "cost", "digits-mlp", "--device", "ecp5_25f", "--cost-model", "finn")
    assert device == "hwdse: cost model 'finn' does not price device 'ecp5_25f'"
    norm = refused(capsys, "cost", "digits-vit", *ON_DEVICE)
    assert norm == "hwdse: FINN has no unit for norm, which layer 'blocks.0.norm1' is"
