"""`hwdse build` and `hwdse verify`: a design of a run as a folder, and what is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse import build_command
from hwdse.boards import board
from hwdse.cli import main
from hwdse.run import load
from hwdse.vitis_simulation import ap_types
from tests.hwdse.test_hardware_commands import refused, told

STUDY = """
question = "Does it build?"
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int3", "int8"]
[target]
device = "ecp5_25f"
clock_mhz = 25
frames_per_second = 1000
[[objectives]]
metric = "top1"
[[objectives]]
metric = "bram"
[search]
sampler = "grid"
"""
SMALL, LARGE = "1", "0"  # the trials of the front: 3 bits, and 8 bits


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a small and a large design on its front."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "small.toml").write_text(STUDY)
    assert main(["run", str(folder / "small.toml"), "--out", str(folder / "out")]) == 0
    return folder / "out"


def test_a_build_that_was_killed_becomes_a_bitstream_that_make_makes_again(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, cache = tmp_path / "built", tmp_path / "cache"
    arguments = ("build", str(finished), SMALL, "--out", str(out), "--images", "20", "--cache", str(cache))
    killed = subprocess.Popen([sys.executable, "-m", "hwdse.cli", *arguments], start_new_session=True)
    end = time.monotonic() + 600
    while not list(cache.glob("tmp/*/nextpnr.log")):
        assert time.monotonic() < end
        assert killed.poll() is None
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not out.exists()
    rows = {row[""]: row for row in told(capsys, *arguments)}
    assert rows["cycles an image"]["predicted"] == int(rows["cycles an image"]["placed"])
    assert abs(rows["LUT"]["predicted"] / rows["LUT"]["placed"] - 1) < 0.25
    assert len({row["layer"] for row in told(capsys, "verify", str(out))}) == 3
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["equality"]["in_float64"], manifest["proof"]["wrong"]) == (0, 0)
    (kept,) = load(finished).trial(manifest["trial"]).evaluation.measured
    assert kept.area.luts == rows["LUT"]["placed"]
    bitstream = (out / "synth" / "board.bit").read_bytes()
    (out / "synth" / "board.bit").unlink()
    own = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for target in ("all", "simulate"):
        subprocess.run(("make", target, f"PYTHON={sys.executable}"), cwd=out, env=own, check=True, timeout=1200)
    assert (out / "synth" / "board.bit").read_bytes() == bitstream


def test_a_clock_that_is_missed(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = replace(board("ulx3s_25f"), clock_mhz=300.0)
    monkeypatch.setattr(build_command, "board_of", lambda device: fast)
    monkeypatch.setattr("hwdse.flows.bitstream.board", lambda name: fast)
    assert (
        main(
            ["build", str(finished), SMALL, "--out", str(tmp_path / "built"), "--images", "8", "--cache", str(tmp_path)]
        )
        == 0
    )
    assert re.search(r"THE CLOCK OF 300 MHz IS MISSED: it reaches \d+\.\d MHz\.", capsys.readouterr().out)
    assert "THE CLOCK IS MISSED" in (tmp_path / "built" / "README.md").read_text()


def test_a_design_that_does_not_fit(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("build", str(finished), LARGE, "--out", str(tmp_path / "built"), "--board")
    what = r"trial 0 is predicted to need 49 BRAM18 of the 26 on gw1nr9, 88 % more than fits"
    other = r"Of the front trial 1 is predicted to fit, with a top-1 of \d\d\.\d\d % on the search split"
    assert re.fullmatch(rf"hwdse: {what}\. {other}", refused(capsys, *arguments, "tang_nano_9k"))
    assert list(tmp_path.iterdir()) == []


def test_a_vitis_project(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "hls"
    arguments = ("build", str(finished), SMALL, "--flow", "vitis", "--device", "xc7z020", "--out", str(out))
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
