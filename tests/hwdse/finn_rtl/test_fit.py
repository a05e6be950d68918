"""The table of FINN's units that is in the project, and the coefficients that are fitted to it."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copy

import numpy as np
import pytest

from hwdse import finn_fits, finn_parts
from hwdse.calibration.command import DATA
from hwdse.calibration.results import made
from hwdse.cli import main
from hwdse.cost import Resources
from hwdse.finn_fits import content, parse, price, text
from hwdse.finn_parts.matrix_vector import Packing, block_rams
from hwdse.finn_rtl import campaign, sample
from hwdse.finn_rtl.estimated import lut_ratios, node
from hwdse.finn_rtl.fit import fit
from hwdse.finn_rtl.plans import Unit, rtl_digest, sources_of
from hwdse.finn_rtl.sources import rtllib
from hwdse.finn_rtl.tops import KINDS
from hwdse.measurements import Measurement, read
from tests.hwdse.finn.fakes import real_environment

TABLE = DATA / finn_fits.TABLE
ROWS = read(TABLE)
STYLE = {"DEPTHWISE": 0, "PARALLEL": 0, "BLOCK": 0}
OF_A_PIXEL = {"C": 16, "SIMD": 4, "BITS": 4, "SIZE": 32, "K": 1, "STRIDE": 2, **STYLE}  # of a strided convolution
PIXEL = Unit(sample.DEVICE, "finn_window", tuple(OF_A_PIXEL.items()))


def of_kind(kind: str) -> list[Measurement]:
    """The measurements of a kind of unit."""
    return [row for row in ROWS if row.module == kind]


def test_the_table_has_the_units_of_the_sample() -> None:
    wanted = {(unit.device, unit.kind, unit.parameters) for unit in sample.units()}
    assert {(row.device, row.module, row.parameters) for row in ROWS} == wanted
    assert len(ROWS) == len(wanted) >= 120


def test_the_folder_says_which_tools_made_the_table() -> None:
    assert made(DATA)[finn_fits.TABLE] == campaign.MADE
    assert dict(campaign.MADE.tools) == {"finn-plus": "1.6.1", "yosys": "0.70"}


def test_the_rtl_that_was_measured_is_the_one_that_is_installed() -> None:
    folder = rtllib(real_environment())
    sources = {kind: sources_of(folder, kind) for kind in KINDS}
    wanted = {
        (unit.device, unit.kind, unit.parameters): rtl_digest(unit, sources[unit.kind]) for unit in sample.units()
    }
    assert {(row.device, row.module, row.parameters): row.rtl for row in ROWS} == wanted


def test_all_dsps_are_those_of_the_rule() -> None:
    for row in of_kind("finn_mvu"):
        p = dict(row.parameters)
        packing = Packing(p["VERSION"], p["W"], p["A"], bool(p["NARROW"]))
        assert packing.dsps(p["PE"], p["SIMD"]) == row.area.dsps, row.parameters
    assert {dict(row.parameters)["VERSION"] for row in of_kind("finn_mvu")} == {1, 2, 3}
    for row in of_kind("finn_vvu"):
        p = dict(row.parameters)
        assert p["PE"] * -(-p["SIMD"] // 3) == row.area.dsps, row.parameters


def test_all_block_rams_of_matrix_vector_units_are_those_of_the_rule() -> None:
    found = {row.parameters: row.area.brams for row in of_kind("finn_mvu")}
    assert {parameters: block_rams(dict(parameters)) for parameters in found} == found
    assert len(set(found.values())) > 1


def test_finns_own_rule_for_dsps_is_another_one() -> None:
    wrong = [p for p in map(dict, (row.parameters for row in of_kind("finn_mvu"))) if _of_finn(p) != _of_rtl(p)]
    assert len(wrong) > len(of_kind("finn_mvu")) // 4


def test_finns_formula_for_queues_which_it_fitted_to_vivado_is_near() -> None:
    ratios = lut_ratios("finn_fifo", of_kind("finn_fifo"))
    assert len(ratios) == 12
    assert 0.85 < ratios[0] <= ratios[-1] < 1.15  # yosys beside Vivado
    for row in of_kind("finn_fifo"):
        assert (beside := node("finn_fifo", dict(row.parameters))) is not None
        assert beside.bram18s == row.area.brams


def test_finn_has_no_node_for_a_memory_of_weights() -> None:
    assert lut_ratios("finn_memstream", of_kind("finn_memstream")) == ()


def _of_finn(p: dict[str, int]) -> int:
    return p["PE"] * -(-p["SIMD"] // 3) if p["VERSION"] == 3 else -(-p["PE"] // 4) * p["SIMD"]


def _of_rtl(p: dict[str, int]) -> int:
    return Packing(p["VERSION"], p["W"], p["A"], bool(p["NARROW"])).dsps(p["PE"], p["SIMD"])


def test_the_coefficients_are_those_that_the_table_gives() -> None:
    assert text(fit(ROWS)) == content()


def test_the_command_fits_the_table_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy(TABLE, tmp_path)
    assert main(["calibrate", "--finn", "--fit-only", "--out", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["kind"] for row in rows] == sorted(KINDS)
    assert (tmp_path / finn_fits.FILE).read_text() == content()


def test_the_text_of_fits_is_read_again() -> None:
    assert text(parse(content())) == content()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", finn_fits.COUNTS)
def test_predictions_are_as_near_as_the_file_says(kind: str, count: str) -> None:
    found = getattr(finn_fits.of(kind), count)
    errors = []
    for row in of_kind(kind):
        said, measured = getattr(price(kind, dict(row.parameters)), count)[0], getattr(row.area, count)
        errors.append(abs(said - measured) / measured)
    assert np.median(errors) <= found.median_error  # of units that were left out
    assert found.median_error <= found.ninth_decile_error
    assert found.low <= found.high
    assert found.runs == len(errors)


def test_a_window_of_one_pixel_that_is_not_in_the_sample() -> None:
    """As yosys has counted it; the next test counts again."""
    assert PIXEL not in sample.units()
    found = price(PIXEL.kind, dict(PIXEL.parameters))
    assert found.luts[1] <= 102 <= found.luts[2] < 120
    assert found.ffs[1] <= 61 <= found.ffs[2] < 70
    assert found.lutrams == (0, 0, 0)


@pytest.mark.slow  # yosys
def test_that_window_is_measured_so(tmp_path: Path) -> None:
    assert campaign.measure([PIXEL], real_environment(), tmp_path, tmp_path / "cache", 1, lambda done: None).done == 1
    (row,) = read(tmp_path / finn_fits.TABLE)
    assert (row.area.luts, row.area.ffs) == (102, 61)


def test_known_coefficients_are_found_again() -> None:
    known = {"control": 1.5, "counters": 0.5, "word": 2.0}
    rows = []
    for row in of_kind("finn_padding"):
        parts = finn_parts.KINDS["finn_padding"](dict(row.parameters))
        counts = [
            round(sum(known[name] * getattr(part, count) for name, part in parts.items())) for count in ("luts", "ffs")
        ]
        rows.append(replace(row, area=Resources(*counts)))
    for count in finn_fits.COUNTS:
        found = getattr(fit(rows)["finn_padding"], count)
        assert found.coefficients == pytest.approx(known, rel=0.15)  # drawn towards 1, of whole LUTs
        assert found.ninth_decile_error < 0.02


def test_a_folder_without_a_table_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--finn", "--fit-only", "--out", str(tmp_path)]) == 2
    wanted = f"hwdse: there are no measurements in {tmp_path / finn_fits.TABLE}: `hwdse calibrate --finn` makes them\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.parametrize("more", [["u250"], ["--placed"], ["--chains"], ["--runs", "3"]])
def test_finns_sample_is_one_of_its_own(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--finn", *more]) == 2
    rule = "--finn has a sample of its own, so that it goes without DEVICE, --runs, --placed and --chains"
    assert capsys.readouterr().err == f"hwdse: {rule}\n"


def test_an_unknown_kind_lists_the_known() -> None:
    known = ", ".join(sorted(KINDS))
    with pytest.raises(ValueError, match=f"^'finn_magic' of FINN has not been measured; known: {known}$"):
        finn_fits.of("finn_magic")
