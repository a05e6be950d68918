"""`hwdse fold RUN DESIGN --rules finn`: a table, a front, FINN's folding file, and bad input in one sentence."""

import json
from pathlib import Path

import pytest

from hwdse.finn import folding_file
from hwdse.finn.messages import Folded
from hwdse.finn_fold_command import DERIVED, UNREAD
from tests.hwdse.finn.fakes import real_environment
from tests.hwdse.test_cli import finished, refused
from tests.hwdse.test_fold_command import told

__all__ = ["finished"]  # the fixture

PROVEN = (
    "Of all foldings (PE, SIMD, window generators at once) and settings of memories and multipliers that FINN's "
    "estimates trade, with depthwise nodes coupled as FINN's own SetFolding couples them, proven: none that is as fast "
    "and within the limits"
)
FINN = ("--rules", "finn", "--device", "xczu3eg", "--clock", "200")


def test_the_smallest_at_a_rate_is_written_as_finns_file(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    real_environment()
    out = tmp_path / "folding_config.json"
    found = told(capsys, "fold", str(finished), "baseline", *FINN, "--fps", "200000", "--out", str(out))
    *nodes, total = found["rows"]
    assert total["cycles"] == max(row["cycles"] for row in nodes) <= 1000
    assert found["frames_per_second"] == 200e6 / total["cycles"]
    for name in ("LUT", "BRAM18", "URAM", "DSP"):
        assert total[name] == sum(row[name] for row in nodes)
    assert (found["rules"], found["objective"], found["limit_weight_bits"]) == ("finn", "shares", 36)
    assert folding_file.read(out.read_text()) == tuple(Folded(row["node"], row["PE"], row["SIMD"]) for row in nodes)
    assert json.loads(out.read_text())["Defaults"] == {}


def test_the_front(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real_environment()
    asked = (*FINN, "--front", "--objective", "dsp", "--limit", "dsp=0.1", "--max-weight-bits", "64")
    found = told(capsys, "fold", str(finished), "baseline", *asked)
    rows = found["rows"]
    assert len(rows) > 3
    assert [row["cycles"] for row in rows] == sorted({row["cycles"] for row in rows}, reverse=True)
    assert [row["DSP"] for row in rows] == sorted(row["DSP"] for row in rows)
    assert rows[-1]["DSP"] <= 36
    assert (found["limit_dsp"], found["limit_weight_bits"]) == (0.1, 64)
    less = "fewer DSP, or as many and less of the device by FINN's estimates."
    assert found["note"].endswith(f"{PROVEN} takes {less} {UNREAD}")


def test_a_network_without_finn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwdse.finn.process.Worker._start", lambda self: pytest.fail("FINN was started"))
    asked = ("fold", "digits-cnn", *FINN, "--weights", "int4:channel", "--activations", "uint4")
    whole = told(capsys, *asked, "--front")
    rows = whole["rows"]
    assert len(rows) > 10
    assert whole["note"].endswith(f"{PROVEN} takes less of the device by FINN's estimates. {DERIVED}")
    counted = ("cycles", "LUT", "BRAM18", "URAM", "DSP")
    for row in rows:
        one = told(capsys, *asked, "--fps", str(row["frames_per_second"]))
        *nodes, total = one["rows"]
        assert [total[name] for name in counted] == [row[name] for name in counted]
    assert {"conv1 window", "conv1 unit", "conv1 thresholds"} <= {row["node"] for row in nodes}
    assert one["note"].endswith(f"{PROVEN} takes less of the device by FINN's estimates. {DERIVED}")


RUN = ("fold", "run", "best", "--rules", "finn")
NETWORK = ("fold", "digits-mlp", "--rules", "finn", "--device", "xczu3eg")
WITHOUT = "FINN has its own formulas and streams, so that --rules finn goes without"
ALONE = "a run has its own network, formats and cost model, so that it goes without"
SENTENCES = {
    ("fold", "digits-mlp", "--rules", "finn"): "a network is folded for a device; give --device, see `hwdse devices`",
    ("fold", "run", "best", "--rules", "fin"): "rules are own or finn, not 'fin'",
    (*RUN, "--weights", "int4"): f"{ALONE} --weights",
    (*RUN, "--multiplier", "lut"): f"{WITHOUT} --multiplier",
    (*RUN, "--max-stream-bits", "64"): f"{WITHOUT} --max-stream-bits",
    (*RUN, "--limit", "ff=1"): "no limit 'ff'; known: lut, bram, uram, dsp",
    (*RUN, "--limit", "dsp=1", "--limit", "dsp=0.5"): "a resource has one limit, not dsp twice",
    (*RUN, "--limit", "dsp=-1"): "a limit is a share of the device, at least 0, not dsp = -1",
    (*RUN, "--max-weight-bits", "0"): "the weights of a PE have at least 1 bit, not 0",
    (*RUN, "--objective", "ff"): "an objective for FINN is shares, utilization, lut, bram, uram, dsp, not 'ff'",
    (*RUN, "--front", "--fps", "10"): "a front has all rates, so that --front goes without --fps",
    (*RUN, "--front", "--out", "x.json"): "--out is for one design, so that it goes without --front",
    (*NETWORK, "--front", "--fps", "10"): "a front has all rates, so that --front goes without --fps",
    (*NETWORK, "--out", "x.json"): (
        "FINN's file has the names of FINN's nodes, so that --out is for a design of a run"
    ),
    (*NETWORK[:-1], "ecp5_25f"): "FINN is for devices of AMD, unlike ecp5_25f",
}


@pytest.mark.parametrize("arguments", SENTENCES, ids=lambda arguments: " ".join(arguments[1:]))
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *arguments) == SENTENCES[arguments]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--clock", "0"), "a rate is positive and finite, not 0 MHz"),
        (("--fps", "-1"), "a rate is positive and finite, not -1 frames per second"),
        (("--fps", "1e-305"), "a rate of 1e-305 frames per second takes more cycles than can be counted"),
    ],
)
def test_rates_are_positive(
    finished: Path, more: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, "fold", str(finished), "best", *FINN[:4], *more) == sentence


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--device", "ecp5_25f"), "FINN is for devices of AMD, unlike ecp5_25f"),
        (("--out", "nowhere/x.json"), "no folder 'nowhere' to write 'x.json' into"),
    ],
)
def test_a_run_is_checked_before_finn_starts(
    finished: Path,
    more: tuple[str, ...],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hwdse.finn.process.Worker._start", lambda self: pytest.fail("FINN was started"))
    assert refused(capsys, "fold", str(finished), "best", *FINN[:4], *more) == sentence
