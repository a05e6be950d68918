"""The page of `docs/minifloat_vs_int.py`: its words follow from its numbers, here from made-up ones."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwdse.evaluation import Accuracy, pack
from hwdse.formats import parse
from hwdse.models import ModelSpec
from tests.page_scripts import load

SCRIPT = Path(__file__).parents[1] / "docs" / "minifloat_vs_int.py"
IMAGES = 100
PAIRS = {
    3: ("int3", "e2m0"),
    4: ("int4", "e2m1"),
    5: ("int5", "e2m2"),
    6: ("int6", "e3m2"),
    7: ("int7", "e3m3"),
    8: ("int8", "e4m3"),
}
EVEN = dict.fromkeys(PAIRS, (80, 80))  # right images of the integer and of the minifloat
# 40 images of 100 are beyond chance (4 standard errors), 2 are not.
MIXED = {**EVEN, 3: (90, 50), 4: (50, 90), 5: (50, 90), 6: (90, 50), 7: (80, 82)}
NOT_RUN = "cifar-resnet20 was not run: its checkpoint and images were not given."


script = load("minifloat_vs_int")


def accuracy(split: str, right: int, loss: float) -> Accuracy:
    """The first `right` images are right."""
    return Accuracy(split, IMAGES, pack(np.arange(IMAGES) < right), loss, 12.345)


def row(network: str, name: str, right: int) -> Any:
    """A row of the script, whose price follows from its format: a minifloat's is 1.5 times an integer's."""
    fmt = parse(name)
    luts = 300 * fmt.bits if script.family(fmt) == "minifloat" else 200 * fmt.bits
    test = accuracy("test", right, 0.5)
    return script.Row(network, fmt, "mse", luts + 1000, luts, 10 * fmt.bits, accuracy("search", right, 0.25), test)


def outcome(network: str, right: Mapping[int, tuple[int, int]]) -> Any:
    """An outcome of the script: one integer and one minifloat a width, and a minifloat that was not chosen."""
    rows = [row(network, name, n) for bits in PAIRS for name, n in zip(PAIRS[bits], right[bits], strict=True)]
    worse = replace(row(network, "e3m0", 70), search=accuracy("search", 70, 0.75), test=None)
    experiment = script.Experiment(network, ModelSpec("digits-cnn"), script.DIGITS, 50_000.0)
    kept = frozenset({"int3", "e2m1", "int8"})
    return script.Outcome(experiment, accuracy("test", 95, 0.1), (*rows, worse), kept)


def page(*outcomes: Any) -> str:
    """The page, in one line."""
    return " ".join(script.page(outcomes, "uncalibrated here").split())


def test_verdicts_follow_the_intervals() -> None:
    found = {duel.bits: duel.verdict for duel in script.duels(outcome("digits-cnn", MIXED))}
    none = "no difference shown"
    assert found == {3: "integer wins", 4: "minifloat wins", 5: "minifloat wins", 6: "integer wins", 7: none, 8: none}


def test_a_duel_is_of_the_best_of_each_family_on_the_search_split() -> None:
    found = [(duel.integer.format.name, duel.minifloat.format.name) for duel in script.duels(outcome("n", EVEN))]
    assert found == list(PAIRS.values())


def test_integers_and_minifloats_are_counted() -> None:
    text = page(outcome("digits-cnn", MIXED), outcome("digits-vit", EVEN))
    assert (
        "Of 12 comparisons at equal bits, minifloats win 2, integers win 2, and in 8 no difference could be shown"
    ) in text
    assert "Of the 10 comparisons at 4 to 8 bits minifloats win 2, integers 1, and 7 show no difference." in text
    assert "**Integers on the front once LUTs count?** 4 of the 6 designs on the fronts below are integers" in text
    assert "minifloats take 1.50 to 1.50 times the arithmetic LUTs of integers." in text
    assert (
        "- **digits-cnn**: minifloat wins at 4, 5 bits; integer wins at 3, 6 bits; no difference shown at 7, 8 bits."
        " On the front of search accuracy against LUTs stand 2 integers and 1 minifloats."
    ) in text
    assert "- **digits-vit**: minifloat wins at no bits; integer wins at no bits;" in text


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ({}, (0, 0, 5)),
        ({3: (50, 90)}, (0, 0, 5)),  # too narrow to count
        ({4: (90, 50)}, (0, 1, 4)),
        ({4: (90, 50), 5: (50, 90)}, (1, 1, 3)),
        ({4: (50, 90)}, (1, 0, 4)),
    ],
)
def test_the_answer_counts_the_verdicts_from_4_bits_up(
    changed: dict[int, tuple[int, int]], counts: tuple[int, int, int]
) -> None:
    minifloats, integers, none = counts
    assert (
        "**More accurate from 4 bits up?** Of the 5 comparisons at 4 to 8 bits minifloats win "
        f"{minifloats}, integers {integers}, and {none} show no difference."
    ) in page(outcome("digits-cnn", {**EVEN, **changed}))


def test_few_integers_on_the_front() -> None:
    one = replace(outcome("digits-cnn", EVEN), kept=frozenset({"int3", "e2m1", "e4m3"}))
    assert "once LUTs count?** 1 of the 3 designs on the fronts below are integers" in page(one)


def test_rows_of_the_page() -> None:
    text = page(outcome("digits-cnn", MIXED))
    assert "Float32 top-1 on the 100 test images: 95.00 %" in text
    assert "| 4 | int4 | 50.00 | e2m1 | 90.00 | 40.00 (29.55 to 48.88) | minifloat wins | 1.50 | 1.22 |" in text
    front = ("| int3 | integer | 1,600 | 30 |", "| e2m1 | minifloat | 2,200 | 40 |", "| int8 | integer | 2,600 | 80 |")
    places = [text.index(line) for line in front]
    assert places == sorted(places)
    assert "The cost model is uncalibrated here." in text


def test_the_page_says_when_resnet20_was_not_run() -> None:
    assert page(outcome("digits-cnn", EVEN)).endswith(NOT_RUN)
    assert NOT_RUN not in page(outcome("digits-cnn", EVEN), outcome("cifar-resnet20", EVEN))


def test_without_the_images_resnet20_is_left_out() -> None:
    assert [one.name for one in script.experiments(None)] == ["digits-cnn", "digits-vit"]


def test_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    script.table([outcome("digits-cnn", MIXED), outcome("digits-vit", EVEN)], path)
    assert b"\r" not in path.read_bytes()
    header, *rows = csv.reader(path.read_text().splitlines())
    assert header == [*script.COLUMNS, *script.MEASURED]
    assert len(rows) == 2 * (2 * len(PAIRS) + 1)
    priced = ["minifloat", "mse", "2200", "1200", "40"]
    assert rows[3] == ["digits-cnn", "e2m1", *priced, "0.9000", "0.25000", "12.35", "0.9000", "1"]
    assert rows[12] == ["digits-cnn", "e3m0", *priced, "0.7000", "0.75000", "12.35", "", "0"]  # not tested, not kept


def test_the_table_has_the_columns_of_the_kept_one() -> None:
    kept = SCRIPT.with_name("minifloat-vs-int.csv").read_text().splitlines()
    assert kept[0].split(",") == [*script.COLUMNS, *script.MEASURED]
