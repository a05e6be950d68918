"""`hwdse fold`: the best folding as a table, as a front and as a file, and bad input in one sentence."""

import json
from math import inf, nextafter
from pathlib import Path
from typing import Any

import pytest

from hwdse.cli import main
from hwdse.cost_model import FpgaCostModel
from hwdse.design import Quantizer
from hwdse.fold_command import Wish, cycles_of, fold
from hwdse.foldings.limits import Limits
from hwdse.pricing import Asked, Question, asked
from tests.hwdse.test_cli import finished, refused

__all__ = ["finished"]  # the fixture

CNN = ("fold", "digits-cnn", "--device", "xczu3eg", "--clock", "200")
FOUR = ("--weights", "int4:channel", "--activations", "uint4")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_fastest_that_fits_is_written_and_priced_alike(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = told(capsys, *CNN, *FOUR, "--out", str(tmp_path / "design.toml"))
    *layers, total = found["rows"]
    assert found["fits"] is True
    assert found["objective"] == "utilization"
    assert (found["limit_lut"], found["limit_weight_bits"]) == (1.0, None)
    assert total["LUT"] == sum(row["LUT"] for row in layers)
    assert total["cycles"] == max(row["cycles"] for row in layers)
    assert all(row["folding"] for row in layers)
    made = next(row["made of"] for row in layers if "multipliers" in (row["made of"] or ""))
    assert "multipliers: " in made
    assert "takes less of the device. `hwdse cost` gives this design the same LUTs and utilization.\n" in found["note"]
    priced = told(capsys, "cost", *CNN[1:], "--design", str(tmp_path / "design.toml"))
    assert priced["rows"][-1]["LUT"] == total["LUT"]
    assert priced["frames_per_second"] == found["frames_per_second"]
    again = told(capsys, *CNN, "--design", str(tmp_path / "design.toml"))
    assert again["rows"] == found["rows"]


def test_the_smallest_at_a_rate_and_the_front(capsys: pytest.CaptureFixture[str]) -> None:
    rows = told(capsys, *CNN, *FOUR, "--front")["rows"]
    assert rows == sorted(rows, key=lambda row: -int(row["cycles"]))
    assert [row["utilization"] for row in rows] == sorted(row["utilization"] for row in rows)
    middle = rows[len(rows) // 2]
    one = told(capsys, *CNN, *FOUR, "--fps", str(middle["frames_per_second"]))
    assert (one["rows"][-1]["LUT"], one["utilization"]) == (middle["LUT"], middle["utilization"])
    fastest = told(capsys, *CNN, *FOUR)
    assert fastest["rows"][-1]["cycles"] == rows[-1]["cycles"]


@pytest.mark.parametrize("clock_mhz", [200.0, 333.3])
def test_a_printed_rate_gives_its_own_cycles(clock_mhz: float) -> None:
    assert all(cycles_of(clock_mhz * 1e6 / cycles, clock_mhz) == cycles for cycles in range(1, 300_001))
    assert [cycles_of(rate, 200.0) for rate in (3e7, 66_666_667.0, 1e8, 1.9e8, 1e300)] == [6, 2, 2, 1, 0]
    assert all(
        clock_mhz * 1e6 / (cycles_of(nextafter(clock_mhz * 1e6 / cycles, inf), clock_mhz) or inf)
        > clock_mhz * 1e6 / cycles
        for cycles in range(2, 3000)
    )


def test_a_resource_that_is_scarce_and_limits(capsys: pytest.CaptureFixture[str]) -> None:
    plain = told(capsys, *CNN, "--fps", "10000")["rows"][-1]
    few = told(capsys, *CNN, "--fps", "10000", "--objective", "lut")
    assert few["rows"][-1]["LUT"] < plain["LUT"]
    assert "takes fewer LUT, or as many and less of the device. `hwdse cost` makes the parts of" in few["note"]
    none = told(capsys, *CNN, "--fps", "10000", "--limit", "dsp=0", "--limit", "lut=0.9")
    assert none["rows"][-1]["DSP"] == 0 < plain["DSP"]
    narrow = told(capsys, *CNN, "--max-weight-bits", "32", "--max-stream-bits", "32", "--limit", "lut=inf")
    assert narrow["rows"][-1]["cycles"] > told(capsys, *CNN)["rows"][-1]["cycles"]
    assert (narrow["limit_weight_bits"], narrow["limit_stream_bits"], narrow["limit_lut"]) == (32, 32, None)
    wide = told(capsys, *CNN, "--fps", "10000", "--accumulator", "paper", "--multiplier", "lut")["rows"][-1]
    assert wide["DSP"] == 0


def test_people_read_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*CNN, *FOUR, "--front"]) == 0
    printed = capsys.readouterr().out
    assert "Front of digits-cnn over all legal foldings" in printed
    assert " %" in printed
    assert "On xczu3eg at 200 MHz. Of all legal foldings, proven: none that is as fast and within the limits" in printed


def test_a_design_of_a_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = told(capsys, "fold", str(finished), "best", "--fps", "1000")
    shown = told(capsys, "show", str(finished), "best")
    assert own["clock_mhz"] == shown["clock_mhz"]
    assert own["device"] == "ecp5_25f"
    assert [row["layer"] for row in own["rows"]] == [row["layer"] for row in shown["rows"]]
    other = told(capsys, "fold", str(finished), "best", "--device", "xczu3eg", "--clock", "250", "--front")
    assert "On xczu3eg at 250 MHz. " in other["note"]


MODEL = ("fold", "digits-mlp", "--device", "ecp5_25f")
SENTENCES = {
    ("fold", "digits-mlp"): "a network is folded for a device; give --device, see `hwdse devices`",
    (*MODEL, "--limit", "area=1"): "no limit 'area'; known: lut, ff, dsp, bram, uram",
    (*MODEL, "--limit", "lut"): "a limit is written RESOURCE=SHARE, e.g. lut=0.8, not 'lut'",
    (*MODEL, "--limit", "lut=-1"): "a limit is a share of the device, at least 0, not lut = -1",
    (*MODEL, "--max-weight-bits", "0"): "a stream has at least 1 bit, not 0",
    (*MODEL, "--max-weight-bits", "7"): "layer 'fc1' has a stream of weights of at least 8 bits, more than 7",
    (*MODEL, "--objective", "area"): "an objective is utilization, lut, ff, dsp, bram, uram, not 'area'",
    (*MODEL, "--fps", "0"): "a rate is positive and finite, not 0 frames per second",
    (*MODEL, "--clock", "-1"): "a rate is positive and finite, not -1 MHz",
    (*MODEL, "--fps", "1e9"): "layer 'fc1' needs at least 1 cycles per frame, more than 0",
    (*MODEL, "--front", "--fps", "10"): "a front has all rates, so that --front goes without --fps",
    (*MODEL, "--front", "--out", "x.toml"): "--out is for one design, so that it goes without --front",
    (*MODEL, "--design", "x.toml", "--weights", "int4"): (
        "a design has its own quantizers, so that --design goes without --weights and --activations"
    ),
    (*MODEL, "--accumulator", "wide"): "accumulator is tight or paper, not 'wide'",
    ("fold", "run", "best", "--weights", "int4"): (
        "a run has its own network, formats and cost model, so that it goes without --weights"
    ),
    ("fold", "run", "best", "--layerwise"): (
        "a run has its own network, formats and cost model, so that it goes without --layerwise"
    ),
}


@pytest.mark.parametrize("arguments", SENTENCES, ids=lambda arguments: " ".join(arguments[1:]))
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *arguments) == SENTENCES[arguments]


def test_what_fits_nowhere_says_what_is_overfull(capsys: pytest.CaptureFixture[str]) -> None:
    small = refused(capsys, "fold", "cifar-resnet20", "--device", "ice40_up5k", "--front")
    assert small.startswith("no folding of 'cifar-resnet20' with at most ")
    assert " is within the limits on ice40_up5k: the least overfull takes " in small


class Other(FpgaCostModel):
    """A model whose parts nobody can choose."""

    name = "other"
    claims = calibration = layer = None  # type: ignore[assignment]


def test_another_cost_model_has_nothing_to_choose() -> None:
    what = asked(Question("digits-mlp", "ecp5_25f"), (Quantizer.parse("int8"), Quantizer.parse("int8")))
    other = Asked(what.workload, what.design, what.target, Other())
    with pytest.raises(ValueError, match=r"^cost model 'other' offers nothing to choose from; use dataflow$"):
        fold(other, Wish("lut", None, 100.0, Limits()), None, front=False)
