"""The table of `docs/finn_estimates.py`, and what the page on FINN says of it."""

from itertools import product
from pathlib import Path

import pytest

from hwdse.finn.messages import Folded
from hwdse.finn.process import Worker
from hwdse.finn.refolding import unit_of
from hwdse.finn_graph import Placed
from hwdse.finn_nodes import LabelSelect
from tests.hwdse.finn.fakes import real_environment
from tests.page_scripts import load

PAGE = Path(__file__).parents[1] / "docs" / "finn-cost.md"

script = load("finn_estimates")


def test_the_page_says_what_the_table_says() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    for sentence in script.sentences(script.read()):
        assert sentence in page


def test_the_table_is_whole() -> None:
    table = script.read()
    known = [(row.network, row.bits, row.pace) for row in table]
    assert known == list(product(script.NETWORKS, script.BITS, script.PACES))
    assert all(row.luts_finn > 0 < row.units for row in table)


def test_sentences_follow_from_numbers() -> None:
    row = script.Row("a", 4, 200, 7, 100, 3, 2, 1000, 1100, 0, 0)
    table = (
        row,
        script.Row("a", 4, 20, 7, 100, 3, 2, 1000, 1300, 0, 0),
        script.Row("b", 4, 20, 7, 9, 3, 2, 400, 500, 3, 0),
    )
    assert script.sentences(table) == (
        "In 3 foldings of 2 designs",
        "25 % more LUTs than FINN in the median",
        "from +10 % to +30 %",
        "in 1 of them FINN stores some thresholds in block RAM",
    )


def test_another_number_is_an_error() -> None:
    node, other = LabelSelect(1, 10), LabelSelect(2, 10)
    unit = unit_of(Folded("LabelSelect_hls_0", 1, None), None, (), node)
    assert script.row("a", 4, 20, [(unit, Placed("last", "labels", node, ()))]).cycles == 10
    with pytest.raises(ValueError, match=r"^a: FINN says Unit\(.*\), and the model LabelSelect\(pe=2, labels=10\)$"):
        script.row("a", 4, 20, [(unit, Placed("last", "labels", other, ()))])


@pytest.mark.slow  # FINN's steps for a design
def test_the_table_can_be_measured_again() -> None:
    kept = [row for row in script.read() if (row.network, row.bits) == ("digits-cnn", 5)]
    with Worker(real_environment()) as worker:
        again = list(script.rows(worker, "digits-cnn", [5]))
    assert [(row.units, row.cycles, row.dsps, row.brams, row.luts_model) for row in again] == [
        (row.units, row.cycles, row.dsps, row.brams, row.luts_model) for row in kept
    ]
    # A threshold may be rounded to a bit more or less where another machine calibrates.
    assert all(abs(new.error - old.error) < 0.02 for new, old in zip(again, kept, strict=True))
