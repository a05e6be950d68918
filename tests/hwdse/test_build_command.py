"""`hwdse build` and `hwdse verify`: a design of a run as a folder, and what is refused."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from hwdse import build_command
from hwdse.assembly import Assembly
from hwdse.boards import board
from hwdse.build import BuildError, BuildPlan, OverfullError, Programs, seconds
from hwdse.cli import main
from hwdse.design import Design
from hwdse.evaluation import Built
from hwdse.flow import Measured
from hwdse.network import Codes
from hwdse.proof import Proof
from hwdse.run import load
from hwdse.vitis_simulation import ap_types
from tests.hwdse.test_cli import ran
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
    return ran(STUDY, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the simulations, which builds share."""
    return tmp_path_factory.mktemp("cache")


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
    (progress,) = cache.glob("tmp/*/progress.json")
    (yosys,) = json.loads(progress.read_text())["seconds"]
    rows = {row[""]: row for row in told(capsys, *arguments)}
    assert rows["cycles an image"]["predicted"] == rows["cycles an image"]["placed"]
    assert abs(rows["LUT"]["predicted"] / rows["LUT"]["placed"] - 1) < 0.25
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["equality"]["in_float64"], manifest["proof"]["wrong"]) == (0, 0)
    assert seconds(cache / manifest["plan"][:2] / manifest["plan"])[0] == yosys  # it was not run again
    (kept,) = load(finished).trial(manifest["trial"]).evaluation.built
    assert (kept.board, kept.measured.area.luts) == ("ulx3s_25f", rows["LUT"]["placed"])
    assert [tool for tool, _ in kept.seconds] == ["yosys", "nextpnr-ecp5", "ecppack"]
    check_shown(capsys, finished, kept)
    check_made_again(capsys, out)


def check_shown(capsys: pytest.CaptureFixture[str], finished: Path, kept: Built) -> None:
    """A build is in the report and beside its design."""
    page = (finished / "report.html").read_text()
    assert f'<td class="number">{kept.measured.area.luts:,}</td>' in page
    assert f'<td>wall time of yosys, s</td><td class="number"></td><td class="number">{kept.seconds[0][1]:.1f}' in page
    assert main(["show", str(finished), SMALL]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"^Built for ulx3s_25f: [\d,]+ of 24,288 LUT .* Wall time: yosys [\d.]+ s, nextpnr-ecp5 ", said, re.M
    )


def check_made_again(capsys: pytest.CaptureFixture[str], out: Path) -> None:
    """`make` gives the same bits, simulation the same sums, and what they leave is no part of the build."""
    assert len({row["layer"] for row in told(capsys, "verify", str(out))}) == 3
    bitstream = (out / "synth" / "board.bit").read_bytes()
    own = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    make = ("make", f"PYTHON={sys.executable}")
    subprocess.run((*make, "clean"), cwd=out, env=own, check=True, timeout=60)
    said = refused(capsys, "verify", str(out))
    assert said == f"hwdse: the build in {out} lacks the file 'synth/board.bit'"
    for target in ("all", "simulate"):
        subprocess.run((*make, target), cwd=out, env=own, check=True, timeout=1200)
    assert (out / "synth" / "board.bit").read_bytes() == bitstream
    assert len({row["layer"] for row in told(capsys, "verify", str(out))}) == 3


def test_a_clock_that_is_missed(
    finished: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = replace(board("ulx3s_25f"), clock_mhz=300.0)
    monkeypatch.setattr(build_command, "board_of", lambda device: fast)
    monkeypatch.setattr("hwdse.flows.bitstream.board", lambda name: fast)
    assert main(arguments(finished, tmp_path / "built", cache)) == 0
    assert re.search(r"THE CLOCK OF 300 MHz IS MISSED: it reaches \d+\.\d MHz\.", capsys.readouterr().out)
    assert "THE CLOCK IS MISSED" in (tmp_path / "built" / "README.md").read_text()


# ---- what goes wrong -----------------------------------------------------------------------------


def arguments(run: Path, out: Path, cache: Path, design: str = SMALL) -> list[str]:
    """Of a build with the fewest images."""
    return ["build", str(run), design, "--out", str(out), "--images", "8", "--cache", str(cache)]


def ends(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The last line with which a command ends in exit code 2: the others say how far it is."""
    return refused(capsys, *arguments).splitlines()[-1]


def tools(outcome: Path | BuildError) -> Callable[..., AbstractContextManager[Callable[[], Path]]]:
    """In place of `beside`: tools that have left a folder, or end in an error."""

    @contextmanager
    def beside(plan: BuildPlan, cache: Path, programs: Programs) -> Iterator[Callable[[], Path]]:
        def finished() -> Path:
            if isinstance(outcome, BuildError):
                raise outcome
            return outcome

        yield finished

    return beside


def found(**changes: object) -> Callable[..., Proof]:
    """In place of `prove`: what simulation might find."""

    def prove(assembly: Assembly, codes: Codes, cache: Path) -> Proof:
        proof = Proof(8, 160, 0, assembly.cycles, (assembly.cycles,), 5)
        return replace(proof, **changes)  # type: ignore[arg-type]

    return prove


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (
            OverfullError("nextpnr-ecp5 failed; see there"),
            r"\. Of the front trial 1 is predicted to fit, with a top-1 of \d\d\.\d\d % on the search split",
        ),
        (BuildError("yosys is not on this machine; see there"), ""),
        (BuildError("nextpnr-ecp5 was not done after 3600 s; see there"), ""),
    ],
    ids=("full", "missing", "slow"),
)
def test_another_design_is_advised_where_one_is_too_large(
    finished: Path,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BuildError,
    more: str,
) -> None:
    monkeypatch.setattr(build_command, "beside", tools(error))
    monkeypatch.setattr(build_command, "prove", found())
    said = ends(capsys, *arguments(finished, tmp_path / "built", cache, LARGE))
    assert re.fullmatch(f"hwdse: {re.escape(str(error))}{more}", said), said
    said = ends(capsys, *arguments(finished, tmp_path / "built", cache, SMALL))
    assert said == f"hwdse: {error}{'. No other design of the front is predicted to fit ecp5_25f' * bool(more)}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wrong": 3}, "3 of 160 simulated sums are wrong"),
        ({"cycles": (1100, 1104)}, r"an image takes \d+ cycles by the model, but 1100 or 1104 in simulation"),
    ],
)
def test_hardware_that_is_not_the_model(
    finished: Path,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    message: str,
) -> None:
    monkeypatch.setattr(build_command, "beside", tools(tmp_path))
    monkeypatch.setattr(build_command, "prove", found(**changes))
    said = ends(capsys, *arguments(finished, tmp_path / "built", cache))
    assert re.fullmatch(f"hwdse: {message}", said), said
    assert list(tmp_path.iterdir()) == []


def test_a_design_without_a_clock(
    finished: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    area = load(finished).trial(1).evaluation.fpga.area
    monkeypatch.setattr("hwdse.flows.bitstream.Bitstream.read", lambda *of: Measured(area, None, "placed", ()))
    monkeypatch.setattr(build_command, "beside", tools(tmp_path))
    monkeypatch.setattr(build_command, "prove", found())
    said = ends(capsys, *arguments(finished, tmp_path / "built", cache))
    assert said == f"hwdse: nextpnr has found no clock in the design; see {tmp_path}"
    assert list(tmp_path.iterdir()) == []


def test_an_occupied_folder_is_refused_first(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwdse.run.load", None)  # nothing is read before
    (tmp_path / "thesis.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    for out, place in ((".", tmp_path), ("thesis.txt", tmp_path / "thesis.txt")):
        said = refused(capsys, "build", str(finished), SMALL, "--out", out)
        assert said == f"hwdse: the folder of a build is new, empty or a build, unlike {place}"


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
    assert (manifest["part"], manifest["clock_ns"], manifest["device"]) == ("xc7z020clg400-1", 40.0, "xc7z020")
    assert manifest["hwdse"] == version("hwdse")
    assert manifest["tools"].keys() == ({"g++", "hls4ml"} if ap_types() else set())
    assert (manifest["network"], manifest["study"], manifest["trial"]) == ("digits-mlp", "small", 1)
    design = Design.parse((out / "design.toml").read_text())
    assert (manifest["design"], manifest["equality"]["in_float64"]) == (design.digest, 0)
    readme = (out / "README.md").read_text()
    assert all(name in readme for name in ("`design.toml`", "`manifest.json`", "`hwdse verify .`"))
    assert manifest["simulated"] == ("all sums of 100 images are equal" if ap_types() else None)
    assert len({row["layer"] for row in told(capsys, "verify", str(out))}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--flow", "magic"), "no flow 'magic' builds; known: open, vitis, finn, triton"),
        (("--images", "3"), "a build simulates at least 8 images, not 3"),
        (("--images", "451"), "a build simulates at most the 450 images of the test split, not 451"),
        (
            ("--images", "451", "--flow", "vitis", "--device", "xc7z020"),
            "a build simulates at most the 450 images of the test split, not 451",
        ),
        (("--board", "breadboard"), r"no board 'breadboard'; known: \w+(, \w+)+"),
        (
            ("--board", "icebreaker", "--device", "ecp5_85f"),
            "board 'icebreaker' carries device 'ice40_up5k', not 'ecp5_85f'",
        ),
        (("--device", "h200"), r"'h200' is a GPU, for which the flow 'open' does not build: say --flow triton"),
        (
            ("--device", "h200", "--flow", "vitis"),
            r"'h200' is a GPU, for which the flow 'vitis' does not build: say --flow triton",
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
