"""`hwdse cost --explain` and `hwdse synth`: the terms of a price, and the real units beside it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hwdse.cli import main
from hwdse.run import load
from tests.hwdse.test_cli import STUDY, finished

__all__ = ["finished"]  # the fixture


Row = dict[str, Any]


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Row]:
    """The rows that a command prints as JSON."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    rows: list[Row] = json.loads(capsys.readouterr().out)["rows"]
    return rows


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence with which a command ends in exit code 2."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    return capsys.readouterr().err.strip()


def test_terms_add_up_and_lie_in_their_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    *terms, total = told(capsys, "cost", "digits-mlp", "--device", "ecp5_25f", "--explain")
    assert sum(row["LUT"] for row in terms) == total["LUT"]
    known = [row for row in terms if row["to"] is not None]
    assert {"multipliers", "thresholds", "fifo"} <= {row["term"] for row in known}
    assert all(row["LUT from"] <= row["LUT"] <= row["to"] for row in known)
    assert total["LUT from"] <= total["LUT"] <= total["to"]
    made = {row["term"]: row["made of"] for row in terms}
    assert made["multipliers"] in ("LUTs", "tables", "DSPs")
    assert made["weights"] in ("LUTs", "block RAM")
    assert made["thresholds"].split(", ")[0] in ("searched", "compared at once")
    assert made["fifo"] is None is total["made of"]


def test_products_are_in_dsps_where_that_uses_less_and_nobody_forbids_it(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("cost", "digits-mlp", "--device", "ecp5_25f", "--fps", "100000", "--explain")
    for multiplier, dsps in (("auto", True), ("lut", False)):
        *terms, total = told(capsys, *command, "--multiplier", multiplier)
        assert (total["DSP"] > 0) == dsps
        assert all((row["made of"] == "DSPs") == (row["DSP"] > 0) for row in terms if row["term"] == "multipliers")


def test_the_energy_of_a_price_and_what_it_is_by(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("cost", "digits-mlp", "--device", "ecp5_25f", "--fps", "1000", "--clock", "100")
    *layers, total = told(capsys, *arguments)
    assert sum(row["dynamic_joules"] for row in layers) == pytest.approx(total["dynamic_joules"], rel=1e-12)
    assert main([*arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["energy_dynamic_joules"] == total["dynamic_joules"]
    static = 0.1247 * total["cycles"] / 100e6
    assert facts["energy_joules"] - facts["energy_dynamic_joules"] == pytest.approx(static, rel=1e-9)
    assert facts["energy_label"] == "dynamic and static"
    for explain in ((), ("--explain",)):
        assert main([*arguments, *explain]) == 0
        said = capsys.readouterr().out
        assert re.search(r"^Energy: [\d.]+ uJ per frame, dynamic and static \(products ", said, re.MULTILINE)
        assert facts["energy_source"] in said
        assert "a stated model, not calibrated" in said


@pytest.mark.parametrize(
    ("device", "clock", "words"),
    [
        (
            "ecp5_25f",
            "5",
            r"an assumed 5 MHz, below the \d+ MHz that the slowest layer is predicted to reach "
            r"\(90 % of single units: \d+ to \d+\)",
        ),
        (
            "ecp5_25f",
            "500",
            r"an assumed 500 MHz, ABOVE the \d+ MHz that the slowest layer is predicted to reach "
            r"\(90 % of single units: \d+ to \d+\)",
        ),
        ("xczu3eg", "100", r"100 MHz \(assumed\)"),
    ],
)
def test_the_clock_of_a_price(capsys: pytest.CaptureFixture[str], device: str, clock: str, words: str) -> None:
    assert main(["cost", "digits-mlp", "--device", device, "--fps", "1000", "--clock", clock]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"^{device} at {words}: [\d,]+ frames/s, [\d,.]+ us latency; ", said, re.MULTILINE), said


def test_the_clock_of_a_front(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    assert main(["show", str(finished)]) == 0
    words = (
        r"^ecp5_25f at an assumed 100 MHz, ABOVE the \d+ MHz that the slowest layer is predicted to reach "
        r"\(90 % of single units: \d+ to \d+\)\. Predicted, calibrated on ecp5: "
    )
    said = capsys.readouterr().out
    assert re.search(words, said, re.MULTILINE), said


def test_the_energy_of_a_design_of_a_run(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    assert main(["show", str(finished), "best"]) == 0
    assert "per frame, dynamic and static (products" in capsys.readouterr().out
    page = (finished / "report.html").read_text()
    assert "<dt>Energy</dt><dd>" in page
    assert re.search(
        r"<dt>Energy</dt><dd>[\d.\u00a0]+uJ per frame, dynamic and static \(products [^()]+\); "
        r"a stated model, not calibrated: docs/energy\.md\.</dd>",
        page,
    )
    assert "without an interval" not in page
    assert "energy_joules,energy_label" in (finished / "trials.csv").read_text()


def test_a_layer_synthesised(capsys: pytest.CaptureFixture[str], finished: Path, tmp_path: Path) -> None:
    layer = told(capsys, "show", str(finished), "best")[0]["layer"]
    arguments = ("synth", str(finished), "best", "--unit", str(layer), "--cache", str(tmp_path))
    *rows, total = told(capsys, *arguments)
    assert {row["layer"] for row in rows} == {layer}
    assert [row["unit"] for row in rows][:2] == ["matrix", "thresholds"]
    assert sum(row["synthesised"] for row in rows) == total["synthesised"]
    assert total["90 % from"] * 0.8 < total["synthesised"] < total["to"] * 1.25


def test_a_whole_design_is_in_the_report(capsys: pytest.CaptureFixture[str], finished: Path, tmp_path: Path) -> None:
    assert "Predicted and measured" not in (finished / "report.html").read_text()
    for _ in range(2):  # again: from the cache, in place of the first
        *rows, total = told(capsys, "synth", str(finished), "best", "--cache", str(tmp_path))
    result = load(finished)
    (measured,) = result.trial(result.best).evaluation.measured
    assert measured.model == "yosys 0.70"
    assert measured.energy is None  # nothing of it was measured
    assert (measured.area.luts, measured.area.ffs) == (total["synthesised"], total["synthesised "])
    assert [layer.layer for layer in measured.layers] == list(dict.fromkeys(row["layer"] for row in rows))
    page = (finished / "report.html").read_text()
    assert "Predicted and measured" in page
    assert f"{measured.area.luts:,}" in page


def test_a_layer_that_is_not_there(capsys: pytest.CaptureFixture[str], finished: Path) -> None:
    said = refused(capsys, "synth", str(finished), "best", "--unit", "fc9")
    assert re.fullmatch(r"(?:hwdse: )?no layer 'fc9' in the accelerator; known: [\w., ]+", said), said


def test_a_family_without_synthesis(capsys: pytest.CaptureFixture[str], finished: Path, tmp_path: Path) -> None:
    text = STUDY.replace("ecp5_25f", "vck190")
    (tmp_path / "versal.toml").write_text(text)
    assert main(["run", str(tmp_path / "versal.toml"), "--out", str(tmp_path / "out")]) == 0
    said = refused(capsys, "synth", str(tmp_path / "out"), "best", "--cache", str(tmp_path / "cache"))
    known = "ecp5_25f, ecp5_85f, gw1nr9, ice40_hx8k, ice40_up5k, lifcl40, u250, xc7z020, xczu3eg, xczu7ev"
    assert said.endswith(f"no open tool synthesises for 'vck190'; known: {known}")


def test_a_family_without_place_and_route(capsys: pytest.CaptureFixture[str], finished: Path, tmp_path: Path) -> None:
    (tmp_path / "amd.toml").write_text(STUDY.replace("ecp5_25f", "xczu3eg"))
    assert main(["run", str(tmp_path / "amd.toml"), "--out", str(tmp_path / "out")]) == 0
    said = refused(capsys, "synth", str(tmp_path / "out"), "best", "--placed", "--cache", str(tmp_path / "cache"))
    known = "ecp5_25f, ecp5_85f, gw1nr9, ice40_hx8k, ice40_up5k, lifcl40"
    assert said.endswith(f"no open tool places 'xczu3eg'; known: {known}")


def test_a_layer_placed(capsys: pytest.CaptureFixture[str], finished: Path, tmp_path: Path) -> None:
    *rows, total = told(capsys, "synth", str(finished), "best", "--unit", "fc2", "--placed", "--cache", str(tmp_path))
    assert {row["layer"] for row in rows} == {"fc2"}
    assert total["routed"] == min(row["routed"] for row in rows)
    assert total["MHz"] == min(row["MHz"] for row in rows)
    assert "synthesised" not in total
    assert sum(row["placed"] for row in rows) == total["placed"]
    assert sum(row["placed "] for row in rows) == total["placed "]  # flip-flops
