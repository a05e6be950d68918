"""The page of `docs/techniques.py` follows from its table, here from made-up runs and as it is committed."""

from pathlib import Path
from typing import Any

import pytest

from hwdse.plugins import names
from tests.page_scripts import load

SCRIPT = Path(__file__).parents[1] / "docs" / "techniques.py"


script = load("techniques")


def runs(network: str, technique: str, fmt: str, *sqnr: float) -> list[Any]:
    """A run for each SQNR, with a top-1 that follows from it."""
    return [script.Run(network, technique, fmt, seed, db / 20, db, 1.5) for seed, db in enumerate(sqnr)]


def made_up() -> list[Any]:
    """Two formats on one network: one technique gains 2 dB and loses 1 dB, another is refused once."""
    plain = runs("digits-cnn", script.PLAIN, "int4", 10, 12, 14) + runs("digits-cnn", script.PLAIN, "e2m1", 15, 15, 15)
    better = runs("digits-cnn", "gptq", "int4", 12, 14, 16) + runs("digits-cnn", "gptq", "e2m1", 14, 14, 14)
    refused = [script.Run("digits-cnn", "magic", "int4", seed, reason="it is no magic") for seed in range(3)]
    return [*plain, *better, *refused, *runs("digits-cnn", "magic", "e2m1", 16, 15, 17)]


def test_gains_and_spreads_are_over_seeds() -> None:
    found = {(row.technique, row.format): row for row in script.rows(made_up())}
    gptq = found["gptq", "int4"]
    assert (gptq.sqnr_db, gptq.sqnr_spread, gptq.sqnr_gain, gptq.seeds) == (14, 2, 2, 3)
    assert gptq.top1 == pytest.approx(0.7)
    assert gptq.top1_gain == pytest.approx(0.1)
    assert found["gptq", "e2m1"].sqnr_gain == -1
    assert found["magic", "int4"].reason == "it is no magic"


def test_the_page_shows_every_number_and_every_refusal() -> None:
    text = script.page(script.rows(made_up()))
    assert "| rounding to nearest | 12.0 (2.0) | 15.0 (0.0) | 1.5 |" in text
    assert "| gptq | +2.0 (2.0) | -1.0 (0.0) | 1.5 |" in text
    assert "| magic | no | +1.0 (1.0) | 1.5 |" in text
    assert "| gptq | 70.0 (10.0) | 70.0 (0.0) |" in text
    assert "- magic (int4): it is no magic" in text
    assert "cifar-resnet20 was not run: its checkpoint and images were not given." in text


def test_the_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    found = script.rows(made_up())
    script.write(found, tmp_path / "table.csv")
    again = script.read(tmp_path / "table.csv")
    assert [(row.technique, row.format, row.reason) for row in again] == [
        (row.technique, row.format, row.reason) for row in found
    ]
    assert [row.sqnr_gain for row in again] == pytest.approx([row.sqnr_gain for row in found], abs=1e-5)


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    (network,) = script.networks(None, quick=True)
    first = script.Laboratory(network, 0, tmp_path, quick=True).run("bias_correction", "int4")
    (kept,) = tmp_path.glob("digits-cnn-*-quick.jsonl")
    kept.write_text(kept.read_text().replace(f'"seconds": {first.seconds}', '"seconds": 123.0'))
    again = script.Laboratory(network, 0, tmp_path, quick=True).run("bias_correction", "int4")
    assert again.seconds == 123
    assert (again.top1, again.sqnr_db) == (first.top1, first.sqnr_db)
    other = script.Laboratory(network, 1, tmp_path, quick=True)
    assert other.run("bias_correction", "int4").sqnr_db != first.sqnr_db, "other calibration images"


def test_settings_are_the_defaults_but_for_the_seed_and_quick_iterations() -> None:
    assert script.step("gptq", 2, quick=True).name == "gptq"
    assert script.step("auto_round", 2, quick=False).name == "auto_round"
    assert script.step("auto_round", 2, quick=True).name == "auto_round(iterations=10)"


def test_the_committed_page_follows_from_its_table_and_has_every_technique() -> None:
    table = SCRIPT.with_name(script.TABLE)
    found = script.read(table)
    assert SCRIPT.with_name(script.PAGE).read_text() == script.page(found)
    for network in {row.network for row in found}:
        rows = {row.technique for row in found if row.network == network}
        assert rows == {script.PLAIN, *script.SCALES, *names("hwdse.techniques")}


def test_every_technique_is_described() -> None:
    described = {line.split("`")[1] for line in SCRIPT.with_suffix(".md").read_text().splitlines() if line[:3] == "| `"}
    assert described == set(names("hwdse.techniques"))
