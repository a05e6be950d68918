"""The page of `docs/accelerators.py` follows from its tables, and what they say was predicted is still predicted."""

from pathlib import Path
from types import ModuleType

import pytest

from hwdse.boards import boards
from hwdse.cost_models.dataflow import Dataflow
from hwdse.lower import lower
from tests.page_scripts import DOCS, load


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, as a module."""
    return load("accelerators")


def test_the_page_is_made_of_its_tables(script: ModuleType) -> None:
    rows, on_boards = script.read(script.TABLE, script.Row), script.read(script.BOARDS, script.OnBoard)
    assert (DOCS / "accelerators.md").read_text() == script.page(rows, on_boards)
    assert [(row.network, row.formats) for row in rows] == script.cases()
    assert {one.board for one in on_boards} == set(boards())


def test_all_is_equal_and_on_time(script: ModuleType) -> None:
    rows = script.read(script.TABLE, script.Row)
    assert all((row.in_float64, row.unexplained, row.wrong) == (0, 0, 0) for row in rows)
    assert all(row.found_cycles == str(row.cycles) for row in rows)


def test_a_table_is_read_as_it_was_written(script: ModuleType, tmp_path: Path) -> None:
    rows = script.read(script.TABLE, script.Row)
    script.write(tmp_path / "table", rows)
    assert (tmp_path / "table").read_bytes() == script.TABLE.read_bytes()


@pytest.mark.parametrize(("network", "formats"), [("digits-mlp", "int8"), ("digits-cnn", "mixed")])
def test_predictions_are_those_of_today(script: ModuleType, network: str, formats: str) -> None:
    (kept,) = (row for row in script.read(script.TABLE, script.Row) if (row.network, row.formats) == (network, formats))
    bench, _ = script.trained(network, None)
    lowered = lower(bench, script.design(bench, formats, script.CASES[network].pace))
    cost = Dataflow().cost(lowered.workload, lowered.design, script.DEVICE, 50.0)
    assert cost.clock is not None
    assert (cost.area.luts, cost.area.ffs, cost.area.dsps, cost.area.brams, round(cost.clock.mhz, 2)) == (
        *(kept.luts, kept.ffs, kept.dsps, kept.brams, kept.mhz),
    )
