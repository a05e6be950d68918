"""`hwdse estimate`: FINN's numbers for a design at the folding of the design, beside the prediction."""

from pathlib import Path

import pytest

from hwdse import estimate_command
from hwdse.finn.environment import FinnError
from hwdse.run import load
from hwdse.target import fpga
from tests.hwdse.finn.fakes import real_environment
from tests.hwdse.test_cli import ran
from tests.hwdse.test_hardware_commands import told

STUDY = """
question = "What does FINN say of it?"
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int8", "int4"]
[target]
device = "xczu3eg"
clock_mhz = 200
frames_per_second = 100000
[[objectives]]
metric = "top1"
[search]
sampler = "grid"
"""
LAYERS = ("fc1", "fc2", "fc3")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with one design."""
    real_environment()
    return ran(STUDY, tmp_path_factory.mktemp("study"))


def test_finn_stands_beside_the_prediction(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = told(capsys, "estimate", str(finished), "best")
    assert [row["layer"] for row in rows] == [name for name in (*LAYERS, "total") for _ in range(3)]
    assert [row["by"] for row in rows] == ["dataflow", "finn-plus 1.6.1", "finn-corrected"] * 4
    trial = load(finished).trial(load(finished).best)
    predicted, (own, corrected) = trial.evaluation.fpga, trial.evaluation.estimates
    units = {layer.layer: layer for layer in own.layers}
    for layer in predicted.layers:  # one accelerator: matrix-vector units of FINN take MW / SIMD x MH / PE cycles
        (unit,) = (term for term in units[layer.layer].terms if term.name == "unit")
        assert (unit.variant, unit.area.luts) == ("MVAU_rtl", 0)
        assert units[layer.layer].cycles == layer.cycles
    assert own.interval_cycles == corrected.interval_cycles == predicted.interval_cycles
    assert own.area.luts < corrected.area.luts
    assert (own.area.brams, own.area.urams) == (corrected.area.brams, corrected.area.urams)
    assert own.calibration.startswith(
        "FINN's own estimates for xczu3eg-sbva484-1-e; behind each of its steps 4 images have the logits of the "
        "Brevitas model. Matrix-vector units in RTL (from 4 bits up)"
    )
    page = (finished / "report.html").read_text()
    assert "beside other estimates" in page
    assert "finn-plus 1.6.1 counts 0 LUT for 3 MVAU_rtl" in page
    assert "units and all else" in page


def test_a_device_that_is_not_of_amd_is_refused() -> None:
    known = "u250, vck190, xc7z020, xczu3eg, xczu7ev"
    rule = f"FINN makes accelerators for devices of AMD, unlike 'ecp5_25f'; known: {known}"
    with pytest.raises(FinnError, match=f"^{rule}$"):
        estimate_command.check(fpga("ecp5_25f"))
