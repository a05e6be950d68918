"""Prices are parts times coefficients, with the bounds of the fit, and say when the RTL is another one."""

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from hwdse import calibrated
from hwdse.calibrated import Fit, Fits, families, of, parse, price, summary, text
from hwdse.netlist import rtl_digest
from hwdse.structure import blocks, parts
from hwdse.structure.blocks import FABRICS

LUTS = Fit({"memory": 1.25, "pointers": 2.0, "rest": 3.0}, 0.9, 1.2, 0.05, 0.88, 40)
FFS = Fit({"memory": 1.0, "pointers": 0.5, "spare": 0.25}, 0.8, 1.1, 0.04, 0.92, 40)
QUEUE = Fits(LUTS, FFS, rtl_digest("fifo"))
MATRIX = Fits(replace(LUTS, mean_error=0.041, runs=100), replace(FFS, mean_error=0.02), rtl_digest("mvu"))
KNOWN = {"ecp5": {"fifo": QUEUE, "mvu": MATRIX}, "xcup": {"fifo": replace(QUEUE, rtl="0" * 16), "mvu": MATRIX}}
QUEUES = {"BITS": np.array([8, 16, 24]), "DEPTH": np.array([2, 33, 1024]), "BLOCK": np.array([0, 0, 1])}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """These fits in the place of the shipped ones."""
    monkeypatch.setattr(calibrated, "content", lambda: text(KNOWN))
    calibrated._file.cache_clear()
    yield
    calibrated._file.cache_clear()


@pytest.mark.parametrize("family", ["ecp5", "xcup"])
def test_a_price_is_parts_times_coefficients(family: str) -> None:
    found, counted = price("fifo", QUEUES, family), parts("fifo", QUEUES, FABRICS[family])
    luts = 1.25 * counted["memory"].luts + 2 * counted["pointers"].luts + 3 * counted["rest"].luts
    ffs = counted["memory"].ffs + 0.5 * counted["pointers"].ffs + 0.25 * counted["spare"].ffs
    np.testing.assert_array_equal(found.luts, luts)
    np.testing.assert_array_equal(found.ffs, ffs)
    for count, fit, low, high in (
        (luts, LUTS, found.luts_low, found.luts_high),
        (ffs, FFS, found.ffs_low, found.ffs_high),
    ):
        np.testing.assert_array_equal(low, np.rint(fit.low * count))
        np.testing.assert_array_equal(high, np.rint(fit.high * count))
    dsps, brams = blocks("fifo", QUEUES, family)
    np.testing.assert_array_equal(found.dsps, dsps)
    np.testing.assert_array_equal(found.brams, brams)
    assert found.brams.tolist() == [0, 0, 2]


def test_parts_are_the_terms_of_a_price() -> None:
    found = price("fifo", QUEUES, "ecp5")
    assert set(found.parts) == {"memory", "pointers", "rest", "spare"}
    np.testing.assert_array_equal(sum(luts for luts, _ in found.parts.values()), found.luts)
    np.testing.assert_array_equal(sum(ffs for _, ffs in found.parts.values()), found.ffs)
    # 33 beats: 32 in a RAM at 5 bits of address, which two registers hold.
    assert [float(count[1]) for count in found.parts["pointers"]] == [2.0 * 2 * 6, 0.5 * 10]


def test_a_family_that_nothing_synthesises_has_the_luts_of_another() -> None:
    assert of("fifo", "versal") == of("fifo", "xcup")
    np.testing.assert_array_equal(price("fifo", QUEUES, "versal").luts, price("fifo", QUEUES, "xcup").luts)


def test_a_module_with_the_parts_of_another() -> None:
    assert of("mvu_streamed", "ecp5") == MATRIX


def test_the_file_gives_back_the_fits() -> None:
    assert parse(text(KNOWN)) == KNOWN
    assert text(parse(text(KNOWN))) == text(KNOWN)
    assert families() == ("ecp5", "xcup")


@pytest.mark.parametrize(
    ("module", "family", "message"),
    [
        ("width", "ecp5", "'width' has not been measured on 'ecp5'; known there: fifo, mvu"),
        ("fifo", "gowin", "'fifo' has not been measured on 'gowin'; known there: nothing"),
    ],
)
def test_what_is_not_measured(module: str, family: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        of(module, family)


def test_another_rtl_is_stale() -> None:
    assert not of("fifo", "ecp5").stale("fifo")
    assert of("fifo", "xcup").stale("fifo")


def test_a_summary_says_how_wrong_and_what_is_stale() -> None:
    assert summary("ecp5") == (
        "calibrated on ecp5: LUTs of yosys 0.70's netlist, fitted to 140 synthesised units; of "
        "matrix-vector units left out of the fit, LUTs are 4.1 % and flip-flops 2.0 % off on average, and 88 % "
        "are inside the 90 % interval of LUTs."
    )
    assert summary("versal").startswith("calibrated on versal, which has the LUTs of xcup: LUT sites as yosys 0.70 ")
    assert summary("versal").endswith(" STALE: the RTL of fifo has changed since; run hwdse calibrate.")
