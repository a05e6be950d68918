"""The page of `docs/finn_comparison.py`: FINN's formula, what is done to FINN's RTL, and the committed numbers."""

import re
from pathlib import Path
from typing import Any

import pytest

from hwdse.design import Folding
from hwdse.finn_fits import price
from hwdse.finn_parts.matrix_vector import Packing
from hwdse.finn_rtl.sources import PATCHES, Patch
from tests.page_scripts import load

DOCS = Path(__file__).parents[1] / "docs"
TABLE = DOCS / "finn-comparison.csv"

script = load("finn_comparison")


def stand_in(name: str) -> bytes:
    """What is changed in a file of FINN's, and nothing else of it."""
    texts = [
        (one.old,) if isinstance(one, Patch) else (one.before, one.start, one.end) for one in PATCHES.get(name, ())
    ]
    return "\n".join(text for found in texts for text in found).encode()


SOURCES = {name: stand_in(name) for name in script.FINN_FILES}


def unit(row: Any) -> tuple[Any, ...]:
    """What a row is of."""
    return (row.design, row.products, row.weight_bits, row.activation_bits, row.pe, row.simd, row.weights_in)


# ---- FINN's formula ------------------------------------------------------------------------------


# One PE before the factor 1.1, by hand from MVAU_hls.lut_estimation of finn-plus 1.6.1, with 1,024 terms:
# int4: 8 * 3 * 8 + 8 * 15 + 18; int8: 8 * 5 * 16 + 16 * 15 + 26.
@pytest.mark.parametrize(("bits", "luts"), [(4, 330), (8, 906)])
def test_a_lane_by_finns_formula(bits: int, luts: int) -> None:
    assert script.finn_lane_luts(bits, bits, 8, 1024) == luts


def test_a_unit_by_finns_formula() -> None:
    folding = Folding(4, 8)  # 300 + 1.1 * 4 * (192 + 120 + 14), and 32 lanes * 4 bits in one LUT of RAM each
    assert script.finn_luts(4, 4, folding, 64, 32, lut_memory=False) == 1734
    assert script.finn_luts(4, 4, folding, 64, 32, lut_memory=True) == 1734 + 128


def test_the_words_of_a_memory_in_luts() -> None:
    folding = Folding(1, 1)  # 2,048 words of 4 bits: 32 LUTs a bit
    difference = [script.finn_luts(4, 8, folding, 64, 32, lut_memory=memory) for memory in (True, False)]
    assert difference[0] - difference[1] == 32 * 4


# ---- FINN's RTL ----------------------------------------------------------------------------------


def test_finns_rtl_is_mapped_by_our_script() -> None:
    (ours, our_plan), (finn, finn_plan) = list(script.plans(SOURCES))[-2:]
    assert (ours.design, finn.design) == ("hwdse", "finn-rtl")
    ours, finn = (dict(plan.files)["synth.ys"].decode() for plan in (our_plan, finn_plan))
    after = "hierarchy -check -top top"
    assert finn.partition(after)[2].replace("techmap -map split.v\n", "") == ours.partition(after)[2]


def test_finns_unit_is_as_wide_as_ours() -> None:
    _, plan = list(script.plans(SOURCES))[-1]  # 4 x 4 bits, PE 8, SIMD 8
    top = dict(plan.files)["top.sv"].decode()
    assert ".ACCU_WIDTH(14), .NARROW_WEIGHTS(1), .SIGNED_ACTIVATIONS(0)" in top
    assert [bits for bits in re.findall(r"\[(\d+):0\]", top) if bits != "0"] == ["31", "255", "111"]


def test_another_version_of_finn_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mvu").mkdir()
    for name, content in SOURCES.items():
        (tmp_path / name).write_bytes(content)
    wanted = (
        r"^the page compares with the RTL of finn-plus==1\.6\.1, whose digest is 91b707d812bf8243, not [0-9a-f]{16}$"
    )
    with pytest.raises(ValueError, match=wanted):
        script.finn_sources(tmp_path, tmp_path)


def test_a_folder_without_finns_rtl_is_refused(tmp_path: Path) -> None:
    missing = re.escape(str(tmp_path / "mvu" / "mvu_pkg.sv"))
    wanted = rf"^FINN's RTL cannot be read: \[Errno 2\] No such file or directory: '{missing}'$"
    with pytest.raises(ValueError, match=wanted):
        script.finn_sources(tmp_path, tmp_path)


def test_the_fit_predicts_the_units_of_this_page() -> None:
    """They are not in the sample that it was fitted to."""
    measured = {unit(row): row for row in script.read(TABLE)}
    for row, _ in script.plans(SOURCES):
        if row.design != "finn-rtl":
            continue
        found, p = measured[unit(row)], script.finn_parameters(plan_unit(row))
        assert Packing(2, p["W"], p["A"], narrow=True).dsps(p["PE"], p["SIMD"]) == found.dsps
        assert price("finn_mvu", p).luts[0] == pytest.approx(found.luts, rel=0.05)
        assert price("finn_mvu", p).ffs[0] == pytest.approx(found.ffs, rel=0.05)


def plan_unit(row: Any) -> Any:
    """Our unit that computes what that of a row does."""
    return script._in_dsps(row.weight_bits, row.activation_bits, Folding(row.pe, row.simd))


# ---- the committed page --------------------------------------------------------------------------


def test_the_page_is_made_from_the_table() -> None:
    assert (DOCS / "finn-comparison.md").read_text() == script.page(script.read(TABLE))


def test_the_table_has_every_unit() -> None:
    wanted = [*script.formula_rows(), *(row for row, _ in script.plans(SOURCES))]
    assert [unit(row) for row in script.read(TABLE)] == [unit(row) for row in wanted]


def test_the_formula_in_the_table_is_the_formula() -> None:
    rows = [row for row in script.read(TABLE) if row.design == "finn-formula"]
    assert rows == list(script.formula_rows())


def test_a_table_reads_as_it_was_written(tmp_path: Path) -> None:
    rows = script.read(TABLE)
    script.write(rows, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == TABLE.read_text()
