"""`hwdse calibrate` from its words to the fits, with yosys on tiny units, and what it says where something is wrong."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse import units
from hwdse.calibrated import parse, text
from hwdse.calibration import plan
from hwdse.calibration.results import Made, made
from hwdse.calibration.sample import Point
from hwdse.cli import main
from hwdse.formats import IntFormat
from hwdse.measurements import read
from hwdse.netlist import rtl_digest
from tests.hwdse.calibration.tiny import Tiny, queues

ROOT = Path(__file__).parents[3]
FOUR = (units.branch(4), units.fifo(4, 1), units.fifo(4, 2), units.residual_add(IntFormat(4), 1))


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """The flow that counts letters, and a sample of 3 queues, in the place of yosys and of its sample."""
    flow = Tiny(str(tmp_path / "log"))
    monkeypatch.setattr(plan, "Yosys", lambda: flow)
    monkeypatch.setattr(plan, "points", lambda target, runs, seed, matrices: tuple(queues(1, 2, 3)))
    return flow


def words(folder: Path, *more: str) -> list[str]:
    """A calibration of one device in `folder`."""
    out = ("--out", str(folder / "data"), "--cache", str(folder / "cache"), "--workers", "1")
    return ["calibrate", "ecp5_25f", *out, *more]


def answers(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> list[dict[str, object]]:
    """The tables of a command that succeeds, as programs read them."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return [json.loads(line) for line in output.out.splitlines()]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that ends with exit code 2."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    return capsys.readouterr().err.removeprefix("hwdse: ").removesuffix("\n")


def test_from_units_to_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        plan, "points", lambda target, runs, seed, matrices: tuple(Point(u, target.name) for u in FOUR[:runs])
    )
    measured, fitted = answers(capsys, words(tmp_path, "--runs", "4"))
    assert measured["rows"] == [{"device": "ecp5_25f", "table": "ecp5.netlist.csv", "units": 4, "failed": 0}]
    table = tmp_path / "data" / "ecp5.netlist.csv"
    rows = {(row.module, dict(row.parameters).get("DEPTH")): row for row in read(table)}
    assert len(rows) == 4
    # Of 1 beat: 4 registers and `out_valid`. Of 2: twice 4 registers and two bits; 4 LUTs choose between them.
    assert rows["fifo", 1].area.ffs == 4 + 1
    assert rows["fifo", 2].area.ffs == 2 * 4 + 2
    assert rows["fifo", 2].area.luts > 4
    # Two int4, whose sum has 5 bits: a chain of 6, in pairs, and gates around it; 5 registers and `out_valid`.
    assert rows["residual_add", None].area.luts > 6
    assert rows["residual_add", None].area.ffs == 5 + 1
    assert {row.rtl for row in rows.values()} == {rtl_digest(module) for module in ("branch", "fifo", "residual_add")}
    assert made(table.parent) == {table.name: Made((("yosys", "0.70"),), plan.SEED)}
    fits = parse((table.parent / "fits.json").read_text())
    assert {module: one.luts.runs for module, one in fits["ecp5"].items()} == {"fifo": 2}  # of one unit is no fit
    listed = fitted["rows"]
    assert isinstance(listed, list)
    assert [(row["family"], row["module"], row["units"]) for row in listed] == [("ecp5", "fifo", 2)]
    before = {file.name: file.read_bytes() for file in table.parent.iterdir()}
    (tmp_path / "cache").rename(tmp_path / "lost")
    monkeypatch.setattr("hwdse.flows.yosys.yosys_program", lambda: {})  # nothing is run again
    assert answers(capsys, words(tmp_path, "--runs", "4")) == [measured, fitted]
    assert answers(capsys, words(tmp_path, "--fit-only")) == [fitted]
    assert {file.name: file.read_bytes() for file in table.parent.iterdir()} == before


def test_it_is_read_by_people_too(tmp_path: Path, tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(tmp_path)) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert "ecp5.netlist.csv" in output.out
    assert re.search(r"ecp5 +fifo +3 ", output.out)


def test_what_fails_is_listed_and_the_rest_is_fitted(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "Yosys", lambda: replace(tiny, fails="DEPTH=2,"))
    assert main(words(tmp_path)) == 2
    output = capsys.readouterr()
    assert re.search("ecp5_25f +ecp5.netlist.csv +3 +1", output.out)
    name = "fifo(BITS=8, DEPTH=2, BLOCK=0)"
    (folder,) = (tmp_path / "cache" / "failed").iterdir()
    assert output.err.splitlines() == [
        "hwdse: 1 of 3 runs failed; the others are kept, and the same command tries these again:",
        f"{name} on ecp5_25f: count failed with exit status 1, 2 times (no {name}); see {folder}",
    ]
    assert parse((tmp_path / "data" / "fits.json").read_text())["ecp5"]["fifo"].luts.runs == 2
    monkeypatch.setattr(plan, "Yosys", lambda: tiny)
    assert main(words(tmp_path)) == 0
    assert parse((tmp_path / "data" / "fits.json").read_text())["ecp5"]["fifo"].luts.runs == 3


def test_other_tools_measure_anew(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path)) == 0
    assert main(words(tmp_path)) == 0
    assert tiny.runs == 3
    monkeypatch.setattr(plan, "Yosys", lambda: replace(tiny, version="2"))
    assert main(words(tmp_path)) == 0
    assert tiny.runs == 6
    assert made(tmp_path / "data")["ecp5.netlist.csv"].tools == (("count", "2"),)


def test_families_without_a_table_keep_their_fits(
    tmp_path: Path, tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path)) == 0
    file = tmp_path / "data" / "fits.json"
    fits = parse(file.read_text())
    file.write_text(text({**fits, "ice40": fits["ecp5"]}))
    assert main(words(tmp_path)) == 0
    assert parse(file.read_text()) == {**fits, "ice40": fits["ecp5"]}


# ---- bad input -----------------------------------------------------------------------------------

KNOWN = "ecp5_25f, ecp5_85f, gw1nr9, ice40_hx8k, ice40_up5k, lifcl40, u250"
REFUSED = {
    "device": (
        ("calibrate", "ecp6"),
        f"no device 'ecp6'; known: {KNOWN}, vck190, xc7z020, xczu3eg, xczu7ev",
    ),
    "no flow": (
        ("calibrate", "vck190"),
        f"no open tool gives the netlist counts of 'vck190'; known: {KNOWN}, xc7z020, xczu3eg, xczu7ev",
    ),
    "no router": (
        ("calibrate", "u250", "--placed"),
        "no open tool gives the placed counts of 'u250'; known: " + KNOWN.removesuffix(", u250"),
    ),
    "second device": (
        ("calibrate", "ecp5_25f", "ecp6", "--runs", "1"),
        f"no device 'ecp6'; known: {KNOWN}, vck190, xc7z020, xczu3eg, xczu7ev",
    ),
    "runs": (("calibrate", "ecp5_25f", "--runs", "0"), "a calibration has at least one run, not 0"),
    "workers": (
        ("calibrate", "ecp5_25f", "--runs", "1", "--workers", "0"),
        "a calibration has at least one worker, not 0",
    ),
    "fit only": (
        ("calibrate", "--fit-only", "--runs", "4"),
        "--fit-only runs nothing, so that it goes without --runs, --placed and --chains",
    ),
    "chains and runs": (
        ("calibrate", "--chains", "--runs", "4"),
        "--chains places its own layers, so that it goes without --runs and --placed",
    ),
    "chains without a router": (
        ("calibrate", "u250", "--chains"),
        "no open tool gives the placed counts of 'u250'; known: " + KNOWN.removesuffix(", u250"),
    ),
    "placed without netlists": (
        ("calibrate", "lifcl40", "--placed"),
        "placed units are fitted beside a table of netlists, which {out} lacks for nexus: "
        "run hwdse calibrate lifcl40 first",
    ),
    "nothing measured": (
        ("calibrate", "--fit-only"),
        "there are no measurements in {out}: `hwdse calibrate` makes them",
    ),
    "device not measured": (
        ("calibrate", "u250", "--fit-only"),
        "there are no measurements in {out}/xcup.netlist.csv: `hwdse calibrate` makes them",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence(tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, sentence = REFUSED[case]
    out = tmp_path / "data"
    found = refused(capsys, *arguments, "--out", str(out), "--cache", str(tmp_path / "cache"))
    assert found == sentence.format(out=out)
    assert not list(tmp_path.glob("data/*.csv"))


def test_a_missing_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("hwdse.flows._script.installed", lambda wheel: None)
    sentence = "pyosys 0.70 is needed, which is not installed: pip install 'hwdse[synthesis]'"
    assert refused(capsys, *words(tmp_path, "--runs", "1")) == sentence
    assert not (tmp_path / "data").exists()


def test_garbage_in_the_folder(tmp_path: Path, tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "data" / "ecp5.netlist.csv"
    table.parent.mkdir()
    table.write_text("garbage\n")
    columns = "device,counted,module,parameters,luts,ffs,dsps,brams,urams,lutrams,mhz,rtl"
    sentence = f"a table of measurements begins with {columns}, unlike {table}"
    assert refused(capsys, *words(tmp_path)) == sentence
    assert refused(capsys, *words(tmp_path, "--fit-only")) == sentence
    assert table.read_text() == "garbage\n"
    assert tiny.runs == 0


def test_places_that_cannot_be_written(tmp_path: Path, tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "/proc/data/tools.json cannot be written: No such file or directory"
    assert refused(capsys, "calibrate", "ecp5_25f", "--out", "/proc/data") == sentence
    assert refused(capsys, *words(tmp_path), "--cache", "/proc/cache").splitlines() == [
        "3 of 3 runs failed; the others are kept, and the same command tries these again:",
        "fifo(BITS=8, DEPTH=1, BLOCK=0) on ecp5_25f and 2 more: cannot write to /proc/cache: No such file or directory",
    ]


INTERRUPTED = """
import signal
import sys
from pathlib import Path
from hwdse.calibration import plan
from hwdse.cli import main
from tests.hwdse.calibration.tiny import Tiny, queues

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets jobs in the background ignore it
folder = Path(sys.argv[1])
plan.Yosys = lambda: Tiny(str(folder / "log"), seconds=0.1)
plan.points = lambda target, runs, seed, matrices: tuple(queues(*range(1, 201)))
sys.exit(main(sys.argv[2:]))
"""


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path), *words(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log, end = Tiny(str(tmp_path / "log")), time.monotonic() + 60
    while log.runs < 4:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, said) == (
        "",
        "hwdse: stopped; what was evaluated is kept, and the same command goes on from here\n",
    )
    assert len(read(tmp_path / "data" / "ecp5.netlist.csv")) >= 2
