"""A study whose designs are priced as FINN's RTL really is: its label goes into the run and the report."""

from pathlib import Path

import pytest

from hwdse.cli import main
from hwdse.cost_models.finn_corrected import FinnCorrected
from hwdse.run import load, pick
from hwdse.study import load as load_study
from hwdse.target import fpga
from tests.hwdse.run import small
from tests.hwdse.test_hardware_commands import told

STUDY = small.study(
    '[search]\nsampler = "grid"\n',
    weights=("int8", "int4"),
    device="xczu3eg",
    frames=100_000,
    target='cost_model = "finn-corrected"',
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a finished run."""
    above = tmp_path_factory.mktemp("finn-corrected")
    (above / "finn.toml").write_text(STUDY)
    assert main(["run", str(above / "finn.toml"), "--out", str(above / "run")]) == 0
    return above / "run"


def test_a_run_is_labelled(folder: Path) -> None:
    result = load(folder)
    assert load_study(folder / "study.toml").target.model == FinnCorrected()
    for trial in result.trials:
        cost = trial.evaluation.fpga
        assert cost == FinnCorrected().cost(result.workload, trial.evaluation.design, fpga("xczu3eg"), 100)
        assert cost.model == "finn-corrected"
        assert cost.area.ffs > 0


def test_the_report_says_that_these_are_no_estimates_of_finn(folder: Path) -> None:
    report = (folder / "report.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "No estimates of FINN's own for xczu3eg" in report.replace("&#39;", "'")
    assert pick(load(folder), "best").evaluation.fpga.calibration == FinnCorrected().calibration(fpga("xczu3eg"))


def test_a_price_says_which_terms_are_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--device", "xczu3eg", "--cost-model", "finn-corrected", "--explain")
    *terms, _ = told(capsys, "cost", "digits-mlp", *options)
    assert [row["made of"] for row in terms[:2]] == ["MVAU_rtl, corrected", "Thresholding_rtl, corrected"]
    assert terms[-1]["made of"] == "ElementwiseAdd_hls, FINN's own formula"
