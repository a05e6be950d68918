"""`hwdse build --flow triton` and `hwdse verify` of what it writes, on a run of a study for an FPGA."""

import json
import re
from pathlib import Path

import pytest

from hwdse.cli import main
from hwdse.design import Design
from hwdse.run import load
from hwdse.target import gpus
from tests.hwdse.test_build_command import STUDY
from tests.hwdse.test_cli import ran
from tests.hwdse.test_hardware_commands import refused, told


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose first trial has weights of 3 bits."""
    return ran(STUDY, tmp_path_factory.mktemp("run"))


def test_a_design_of_an_fpga_becomes_a_model_for_a_gpu(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "built"
    command = ("build", str(finished), "1", "--flow", "triton", "--device", "h200", "--out", str(out), "--images", "30")
    *layers, total = told(capsys, *command)
    assert [row["layer"] for row in layers] == ["fc1", "fc2", "fc3"]
    assert {row["weights"] for row in layers} == {"int3:channel"}
    assert all(
        re.match(r"(a8|a16|gemv) (int8|fp8|float16) \d+x\d+:w\d+:s\d+:k\d+:t\d+$", row["kernel"]) for row in layers
    )
    for key in ("packed bytes", "float32 bytes", "codes", "moved"):
        assert total[key] == sum(row[key] for row in layers)
    assert 0 < total["codes"] <= 30 * (64 + 64 + 64)
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["device"], manifest["trial"], manifest["batch"]) == ("h200", 1, 1)
    assert manifest["agreement"]["images"] == 30
    assert Design.parse((out / "design.toml").read_text()) == load(finished).trial(1).evaluation.design
    page = (out / "README.md").read_text()
    assert all(f"| {row['layer']} | int3:channel | {row['activations']} | {row['kernel']} |" in page for row in layers)
    rows = told(capsys, "verify", str(out))
    assert {row["layer"] for row in rows} == {"fc1", "fc2", "fc3"}
    assert all(row["in the hardware"] == row["in the design"] for row in rows)


def test_what_is_printed(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "built"
    command = ("build", str(finished), "1", "--flow", "triton", "--device", "l40s", "--out", str(out), "--images", "5")
    assert main([*command, "--batch", "64"]) == 0
    said = capsys.readouterr()
    assert "compared with Brevitas's model on 5 images" in said.err
    codes = (
        r"^\d+ of [\d,]+ codes on 5 images differ, by roundings; sums are apart by \d+ % at most of what .* of them\. "
    )
    assert re.search(rf"{codes}.*; 5 of 5 classes are Brevitas's\.$", said.out, re.M)
    assert "Times on l40s are not measured" in said.out
    assert {one["product"]["m"] for one in json.loads((out / "manifest.json").read_text())["packed"]} == {64}


GPUS = ", ".join(gpus())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), f"the study is for 'ecp5_25f', which is no GPU: give --device, one of {GPUS}"),
        (("--device", "ecp5_25f"), f"no GPU 'ecp5_25f'; known: {GPUS}"),
        (("--device", "h300"), f"no GPU 'h300'; known: {GPUS}"),
        (("--board", "icebreaker"), "a GPU has no board, so that --board icebreaker is not for the flow 'triton'"),
        (("--fps", "100"), "--fps and --folding are for FINN, not for the flow 'triton'"),
        (("--device", "h200", "--batch", "0"), "a batch has at least 1 image, not 0"),
        (("--device", "h200", "--images", "0"), "a build for a GPU compares at least 1 image, not 0"),
        (
            ("--device", "h200", "--images", "451"),
            "a build compares at most the 450 images of the test split, not 451",
        ),
    ],
)
def test_bad_input(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    command = ("build", str(finished), "best", "--flow", "triton", "--out", str(tmp_path / "built"))
    assert refused(capsys, *command, *arguments) == f"hwdse: {message}"
    assert list(tmp_path.iterdir()) == []


def test_a_batch_is_for_a_gpu(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "build", str(finished), "best", "--out", str(tmp_path / "built"), "--batch", "4")
    assert said == "hwdse: --batch is for a GPU, not for the flow 'open'"
