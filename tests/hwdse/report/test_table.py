"""The CSV files, and the columns of the page's table."""

from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest

from hwdse.cost import Clock
from hwdse.energy import Energy, Stated
from hwdse.report.rows import csv, rows
from hwdse.report.table import COLUMNS, columns
from hwdse.result import Result


def test_one_line_in_full(result: Result) -> None:
    head, line = csv(rows(result)[2:3]).splitlines()
    assert head == (
        "trial,origin,family,on_front,feasible,search_images,search_top1,search_loss,search_sqnr_db,"
        "test_top1,test_loss,test_difference,test_difference_low,test_difference_high,"
        "lut,ff,dsp,bram,uram,frames_per_second,latency_seconds,predicted_mhz,energy_joules,energy_label,"
        "weight_bits,mean_weight_bits,weights,activations,recipe,digest"
    )
    digest = result.trial(2).evaluation.design.digest
    assert line == (
        "2,uniform,integer,True,True,400,0.955,0.14500000000000002,20.0,"
        "0.953,0.14700000000000002,-0.022,-0.03240165506130525,-0.01151052058739735,"
        "2880,520,0,2,0,43402.77777777778,2.705e-05,,,,43456,5.139072847682119,"
        f'"int8, 3 x int5, int8","uint8, 3 x uint5, uint8",none,{digest}'
    )


def test_every_trial_by_number(result: Result) -> None:
    table = pd.read_csv(StringIO(csv(rows(result))))
    assert list(table["trial"]) == [trial.number for trial in result.trials]
    assert set(table.loc[table["on_front"], "trial"]) == set(result.front)
    assert set(table.loc[table["test_top1"].notna(), "trial"]) == {*result.front, 0}


def test_no_rows_still_have_a_head() -> None:
    assert csv(()).startswith("trial,origin,family,")


def test_a_trial_without_sqnr_or_test(result: Result) -> None:
    trial = result.trials[5]
    search = replace(trial.evaluation.accuracy("search"), sqnr_db=None)
    trial = replace(trial, evaluation=replace(trial.evaluation, accuracies=(search,)))
    (row,) = rows(replace(result, trials=(trial,), front=()))
    assert (row.search_sqnr_db, row.test_top1, row.test_difference) == (None, None, None)
    assert ",,,,,," in csv((row,))


def test_energy_where_the_cost_has_one(result: Result) -> None:
    trial = result.trials[5]
    (silent,) = rows(replace(result, trials=(trial,), front=()))
    assert (silent.energy_joules, silent.energy_label) == (None, "")
    cost = trial.evaluation.fpga
    layers = tuple(replace(layer, energy=Energy(sums_pj=2e3)) for layer in cost.layers)
    cost = replace(cost, layers=layers, stated=Stated("a guess"))
    trial = replace(trial, evaluation=replace(trial.evaluation, predicted=cost))
    (row,) = rows(replace(result, trials=(trial,), front=()))
    assert row.energy_joules == pytest.approx(1e-8, rel=1e-15)
    assert row.energy_label == "dynamic only"
    (column,) = (column for column in COLUMNS if column.title == "stated energy")
    assert column.cell(row).text == "10 nJ"
    assert "stated model" in column.meaning


def test_the_predicted_clock_where_the_cost_has_one(result: Result) -> None:
    trial = result.trials[5]
    cost = trial.evaluation.fpga
    clocks = [Clock(mhz, 0.8 * mhz, 1.2 * mhz) for mhz in (120.0, 71.6, 90.0, 90.0, 90.0)]
    layers = tuple(replace(layer, clock=clock) for layer, clock in zip(cost.layers, clocks, strict=True))
    timed = replace(trial, evaluation=replace(trial.evaluation, predicted=replace(cost, layers=layers)))
    (column,) = (column for column in COLUMNS if column.title == "MHz")
    for one, said, text in ((trial, None, ""), (timed, 71.6, "72")):
        (row,) = rows(replace(result, trials=(one,), front=()))
        assert (row.predicted_mhz, column.cell(row).text) == (said, text)
    table = pd.read_csv(StringIO(csv((row,))))
    assert list(table["predicted_mhz"]) == [71.6]


def test_what_the_page_shows(result: Result) -> None:
    tested, untested = rows(result)[2], rows(result)[5]
    digest = result.trial(2).evaluation.design.digest[:8]
    assert [column.cell(tested).text for column in COLUMNS] == [
        *("2", "integer", "int8, 3 x int5, int8", "front", "95.50 %", "95.30 %", "-2.20 [-3.24, -1.15]"),
        *("2,880", "0", "2", "43,403", "27.05 us", "", "", "5.14", "uint8, 3 x uint5, uint8", "uniform", digest),
    ]
    assert [column.cell(untested).text for column in COLUMNS[3:7]] == ["", "95.75 %", "", ""]
    assert [column.cell(untested).key for column in COLUMNS[3:7]] == ["", "0.9575", "", ""]


def test_a_latency_of_an_fpga_is_of_one_frame(result: Result) -> None:
    meanings = {column.title: column.meaning for column in columns(result)}
    assert meanings["latency"] == "of one frame, predicted"
    assert not any("GPU" in meaning for meaning in meanings.values())


def test_images_and_recipes_are_columns_where_trials_differ_in_them(
    result: Result, raced: Result, recipes: Result
) -> None:
    assert columns(result) == COLUMNS
    for changed, title, texts in ((raced, "images", {"64", "400"}), (recipes, "recipe", RECIPES)):
        (added,) = [column for column in columns(changed) if column not in COLUMNS]
        assert added.title == title
        assert {added.cell(row).text for row in rows(changed)} == texts


RECIPES = {"none", "gptq + bias_correction"}
