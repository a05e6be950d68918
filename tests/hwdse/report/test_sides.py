"""The report of several targets: one answer for each, fronts on one axis, every design on every device."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.metrics import metric
from hwdse.report.claim import Claim
from hwdse.report.sides import amount, fronts, lead, render, write
from hwdse.result import Objective, Result
from hwdse.side_tables import sides_of
from hwdse.sides import Sides


@pytest.fixture
def results(result: Result, on_gpu: Result) -> tuple[Result, Result]:
    return result, on_gpu


def differing(sides: Sides, results: tuple[Result, Result]) -> tuple[Result, Result]:
    """With another best design on the GPU, which has a price on the FPGA."""
    first, second = results
    priced = (one.prices[1].trial for one in sides.designs if one.prices[0].cost is not None)
    number = next(trial for trial in priced if trial not in (None, first.best, second.best))
    assert number is not None
    return first, replace(second, best=number)


def body(sides: Sides, results: Sequence[Result]) -> str:
    """What the page shows, without scripts and styles."""
    page = render(sides, results, fronts(sides, results))
    return page[page.index("<main>") : page.index("</main>")]


def test_the_fronts_stand_on_one_axis(sides: Sides, results: tuple[Result, Result]) -> None:
    on_fpga, on_gpu = fronts(sides, results)
    assert [plot.name for plot in on_fpga] == ["front-small7-lut"]
    assert [plot.name for plot in on_gpu] == ["front-h200-latency", "front-h200-weight_bytes"]
    (shared,) = {plot.first[1] for plot in (*on_fpga, *on_gpu)}
    own = [replace(plot, shared_y=None).first[1] for plot in (*on_fpga, *on_gpu)]
    assert shared == (min(low for low, _ in own), max(high for _, high in own))


def test_accuracies_of_two_kinds_have_axes_of_their_own(sides: Sides, results: tuple[Result, Result]) -> None:
    first, second = results
    other = replace(second, objectives=(Objective("loss", "minimize"), *second.objectives[1:]))
    assert {plot.shared_y for column in fronts(sides, (first, other)) for plot in column} == {None}


def test_designs_that_differ(sides: Sides, results: tuple[Result, Result]) -> None:
    first, second = differing(sides, results)
    said = lead(sides, (first, second))
    assert said[0].startswith(f"The best designs differ: on small7 trial {first.best} (weights ")
    assert f"; on h200 trial {second.best} (weights " in said[0]
    assert len(said) == 3
    amounts = r"[\d.,]+ (LUT|us of latency)"
    rest = rf"On (small7|h200) the best of (small7|h200) has {amounts}, ([\d.]+ % (more|less) than|as) its own best\."
    assert all(re.fullmatch(rest, sentence) for sentence in said[1:])


def test_one_design_for_both(sides: Sides, results: tuple[Result, Result]) -> None:
    first, second = results
    both = next(one for one in sides.designs if None not in [price.trial for price in one.prices])
    mine, its = (price.trial for price in both.prices)
    assert mine is not None is not its
    (said,) = lead(sides, (replace(first, best=mine), replace(second, best=its)))
    assert said.startswith(f"The same design is the best on small7 and on h200: trial {mine} (weights ")


def test_a_best_design_without_a_price_elsewhere_says_why(sides: Sides, results: tuple[Result, Result]) -> None:
    first, second = results
    priceless = next(one for one in sides.designs if one.prices[0].cost is None)
    number = priceless.prices[1].trial
    assert number is not None
    said = lead(sides, (first, replace(second, best=number)))
    assert "On small7 the best of h200 has no price: layer 'fc' has no price." in said


def test_what_does_not_fit_is_said(sides: Sides, results: tuple[Result, Result]) -> None:
    first, second = differing(sides, results)
    small = replace(first, target=replace(first.fpga, luts=100))
    assert body(sides, (small, second)).count("does not fit") >= len(first.front)
    assert any(sentence.endswith("its own best, which does not fit.") for sentence in lead(sides, (small, second)))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("lut", 8737, "8,737 LUT"),
        ("latency", 3.66e-5, "36.6 us of latency"),
        ("weight_bytes", 5e6, "5 MB of packed weights"),
    ],
)
def test_amounts(name: str, value: float, shown: str) -> None:
    assert amount(metric(name), value) == shown


def test_the_page(sides: Sides, results: tuple[Result, Result], tmp_path: Path) -> None:
    page = write(sides, results, tmp_path)
    assert page == tmp_path / "report.html"
    assert {f.name for f in tmp_path.glob("*.svg")} == {
        f"front-{name}.svg" for name in ("small7-lut", "h200-latency", "h200-weight_bytes")
    }
    text = body(sides, results)
    for link in ("small7/report.html", "h200/report.html"):
        assert f'href="{link}"' in text
    assert "<dt>h200: predicted, uncalibrated</dt>" in text
    assert "<dt>small7: predicted, not measured</dt>" in text
    assert "<dt>h200: outside the total</dt><dd>softmax; not in any time.</dd>" in text
    table = text[text.index('<table class="sides') :]
    assert table.count('<tr><th scope="row"') == len(sides.designs)
    assert table.count("no price: layer &#39;fc&#39; has no price") == 1
    for source in (result.target.source for result in results):
        assert source in text


def test_the_table_in_a_terminal(sides: Sides, results: tuple[Result, Result]) -> None:
    table = sides_of(sides, results, "report.html")
    keys = [column.key for column in table.columns]
    assert keys == [
        "formats", "search_top1", "test_top1", "small7: trial", "small7: lut", "small7: frames_per_second",
        "small7: fits", "h200: trial", "h200: seconds", "h200: weight_bytes", "h200: fits",
    ]  # fmt: skip
    assert [column.heading for column in table.columns[1:3]] == ["top-1, search", "top-1, test"]
    assert len(table.rows) == len(sides.designs)
    for row, one in zip(table.rows, sides.designs, strict=True):
        assert row[3::4] == tuple(price.trial for price in one.prices)
    priceless = next(row for row, one in zip(table.rows, sides.designs, strict=True) if one.prices[0].cost is None)
    assert priceless[4:7] == (None, None, None)
    shown = [column.show(cell) for column, cell in zip(table.columns, priceless, strict=True)]
    assert shown[4:7] == ["-", "-", "-"]
    assert re.fullmatch(r"[\d.]+ us", shown[8])
    assert re.fullmatch(r"[\d.]+ kB", shown[9])
    assert table.note == (
        "A trial stands where the design is on the front of that device. Predicted. small7: uncalibrated; "
        "h200: uncalibrated.\nReport: report.html"
    )


@pytest.mark.parametrize(
    ("calibration", "clause"),
    [
        ("calibrated on ecp5: LUTs of yosys 0.70's netlist. Latency is an estimate", "calibrated on ecp5"),
        ("Estimates of FINN+ 1.6.1 for x, uncalibrated: its formulas", "estimates of FINN+ 1.6.1 for x, uncalibrated"),
        ("fitted to 90 products measured 2026-11-28; median error 5 %", "fitted to 90 products measured 2026-11-28"),
        ("uncalibrated. Not counted: sums", "uncalibrated"),
    ],
)
def test_a_clause_says_how_each_device_is_calibrated(
    calibration: str, clause: str, sides: Sides, results: tuple[Result, Result]
) -> None:
    first, second = results
    best = first.trial(first.best)
    cost = replace(best.evaluation.fpga, calibration=calibration)
    said = first.having(replace(best, evaluation=replace(best.evaluation, predicted=cost)))
    assert f" Predicted. small7: {clause}; h200: uncalibrated.\n" in sides_of(sides, (said, second), "x").note


def test_rates_in_a_terminal_are_whole_numbers(sides: Sides, results: tuple[Result, Result]) -> None:
    table = sides_of(sides, results, "report.html")
    at = [column.key for column in table.columns].index("small7: frames_per_second")
    rates = [rate for row in table.rows if isinstance(rate := row[at], float)]
    assert max(rates) > 1e4
    shown = [table.columns[at].show(rate) for rate in rates]
    assert all(re.fullmatch(r"\d{1,3}(,\d{3})*|\d{1,3}\.\d+", text) for text in shown), shown


def test_what_does_not_fit_is_said_in_a_terminal(sides: Sides, results: tuple[Result, Result]) -> None:
    first, second = results
    few = sorted(first.trial(number).evaluation.fpga.area.luts for number in first.front)
    small = replace(first, target=replace(first.fpga, luts=few[1]))
    table = sides_of(sides, (small, second), "report.html")
    keys = [column.key for column in table.columns]
    luts, fits, on_gpu = (keys.index(name) for name in ("small7: lut", "small7: fits", "h200: fits"))
    priced = [(row[luts], row[fits]) for row in table.rows if row[luts] is not None]
    assert {fit for _, fit in priced} == {True, False}
    assert all(fit == (int(used) <= few[1]) for used, fit in priced)  # type: ignore[arg-type]
    assert {row[on_gpu] for row in table.rows} == {True}
    assert {table.columns[fits].show(row[fits]) for row in table.rows} == {"yes", "no", "-"}


def test_claims_are_values() -> None:
    assert Claim("a", "b") == Claim("a", "b")
