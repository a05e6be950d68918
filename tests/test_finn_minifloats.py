"""The page of `docs/finn_minifloats.py` follows from its table, and what it says is still so."""

import csv
from pathlib import Path
from types import ModuleType

import pytest

from hwdse.cost_models.dataflow import Dataflow
from hwdse.finn.messages import Folded, Priced, Unit
from hwdse.finn.process import Worker
from hwdse.formats import parse
from tests.hwdse.finn.fakes import real_environment
from tests.page_scripts import DOCS, load


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, as a module."""
    return load("finn_minifloats")


def test_the_page_is_made_of_its_table(script: ModuleType) -> None:
    rows = script.read(script.TABLE)
    assert script.PAGE.read_text() == script.page(rows)
    assert [(row.network, row.activations, row.weights) for row in rows] == list(script.cases())
    assert all(row.images > 0 for row in rows)
    assert all(row.finn_cycles <= script.PACES[row.network] >= row.cycles for row in rows)
    assert {row.finn_unit_luts for row in rows if row.network == "digits-mlp"} == {0}, "all units are MVAU_rtl"


def test_a_table_is_read_as_it_was_written(script: ModuleType, tmp_path: Path) -> None:
    script.write(script.read(script.TABLE), tmp_path / "table")
    assert (tmp_path / "table").read_bytes() == script.TABLE.read_bytes()
    assert script.read(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("network", "weights", "activations"), [("digits-mlp", "e2m1", "int8"), ("digits-cnn", "e3m2", "int4")]
)
def test_ours_is_the_product_of_a_minifloat_and_an_integer(
    script: ModuleType, network: str, weights: str, activations: str
) -> None:
    on = script.bench(network)
    own = script.design(on, weights, activations, script.PACES[network])
    wanted = network, activations, weights
    kept = next(row for row in script.read(script.TABLE) if (row.network, row.activations, row.weights) == wanted)
    assert script.ours(on, own) == (
        *(kept.luts, kept.dsps, kept.brams, kept.lut_unit_luts, kept.lut_unit_brams, kept.lut_luts, kept.lut_brams),
        kept.cycles,
    )
    weight, bits = parse(weights), parse(activations).bits
    units = [unit for made in Dataflow().elements(on.workload, own, script.DEVICE).values() for unit in made]
    products = [dict(unit.parameters) for unit in units if unit.role == "matrix"]
    assert len(products) == len(on.workload.weighted)
    pairs = {tuple(one[key] for key in ("WE", "WM", "WS", "AE", "AM", "AS")) for one in products}
    assert pairs == {(weight.exponent, weight.mantissa, 1, 0, bits, 0)}


def test_packed_dsps_are_those_of_finns_rtl(script: ModuleType) -> None:
    """As yosys has counted them for `finn-comparison.md`."""
    with (DOCS / "finn-comparison.csv").open(newline="") as file:
        measured = [row for row in csv.DictReader(file) if row["design"] == "finn-rtl"]
    assert len(measured) == 8
    for row in measured:
        folded = Folded("MVAU_rtl_0", int(row["pe"]), int(row["simd"]))
        priced = Priced((Unit(folded, "fc", "MVAU_rtl", (), None, 1, 0, 0, 0, 0),), 1, 1)
        packed = script.packed_dsps(priced, int(row["weight_bits"]), {"fc": int(row["activation_bits"])})
        assert packed == int(row["dsps"]), row


def test_a_row_is_that_of_today(script: ModuleType) -> None:
    kept = next(row for row in script.read(script.TABLE) if row.weights == "e3m2")
    with Worker(real_environment()) as worker:
        assert script.made(worker, script.bench(kept.network), kept.network, kept.activations, kept.weights) == kept
