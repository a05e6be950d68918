"""`hwdse build` and `hwdse verify`: a design of a run as a folder, and what is refused."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hwdse.run import load
from hwdse.vitis_simulation import ap_types
from tests.hwdse.test_cli import finished
from tests.hwdse.test_hardware_commands import refused, told

__all__ = ["finished"]  # the fixture


@pytest.mark.slow
def test_a_design_becomes_a_bitstream_that_make_makes_again(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "built"
    rows = {row[""]: row for row in told(capsys, "build", str(finished), "best", "--out", str(out), "--images", "20")}
    assert rows["cycles an image"]["predicted"] == int(rows["cycles an image"]["placed"])
    assert abs(rows["LUT"]["predicted"] / rows["LUT"]["placed"] - 1) < 0.25
    assert len({row["layer"] for row in told(capsys, "verify", str(out))}) == 3
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["equality"]["in_float64"], manifest["proof"]["wrong"]) == (0, 0)
    (kept,) = load(finished).trial(manifest["trial"]).evaluation.measured
    assert kept.area.luts == rows["LUT"]["placed"]
    bitstream = (out / "synth" / "board.bit").read_bytes()
    (out / "synth" / "board.bit").unlink()
    for target in ("all", "simulate"):
        subprocess.run(("make", target, f"PYTHON={sys.executable}"), cwd=out, check=True, timeout=1200)
    assert (out / "synth" / "board.bit").read_bytes() == bitstream


def test_a_vitis_project(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hls"
    arguments = ("build", str(finished), "best", "--flow", "vitis", "--device", "xc7z020", "--out", str(out))
    files = {row["file"]: row["bytes"] for row in told(capsys, *arguments)}
    assert {"top.cpp", "testbench.cpp", "run.sh", "run.tcl", "hls_config.cfg", "design.toml"} <= files.keys()
    assert all((out / name).stat().st_size == size for name, size in files.items())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["part"] == "xc7z020clg400-1"
    assert manifest["simulated"] == ("all sums of 100 images are equal" if ap_types() else None)
    assert len({row["layer"] for row in told(capsys, "verify", str(out))}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--flow", "magic"), "no flow 'magic' builds; known: open, vitis"),
        (("--images", "3"), "a build simulates at least 8 images, not 3"),
        (("--board", "breadboard"), r"no board 'breadboard'; known: \w+(, \w+)+"),
        (
            ("--board", "icebreaker", "--device", "ecp5_85f"),
            "board 'icebreaker' carries device 'ice40_up5k', not 'ecp5_85f'",
        ),
        (("--device", "u250"), r"no board is known for device 'u250'; known for: \w+(, \w+)+"),
        (
            ("--flow", "vitis", "--device", "ecp5_25f"),
            r"Vitis HLS builds for a device of AMD, without a board, not for 'ecp5_25f'; known: u250(, \w+)+",
        ),
    ],
)
def test_bad_input(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    said = refused(capsys, "build", str(finished), "best", "--out", str(tmp_path / "built"), *arguments)
    assert re.fullmatch(f"hwdse: {message}", said), said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "verify", str(tmp_path))
    assert said == f"hwdse: {tmp_path} is no build: there is no manifest.json to read in it"
