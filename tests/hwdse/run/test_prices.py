"""What decides a price is in its digest: all code that the cost model imports, the fits, energies, the device."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hwdse import calibrated, energy_figures, placement
from hwdse.run.prices import prices
from hwdse.sources import closure
from hwdse.study import Study
from hwdse.study import load as load_study
from tests.hwdse.run.test_run import study

__all__ = ["study"]  # the fixture

STRUCTURE = Path(__file__).parents[3] / "hwdse" / "structure"


def test_all_that_a_price_is_made_of_is_in_the_closure() -> None:
    found = closure("hwdse.cost_models.dataflow")
    made = {"terms", "alternatives", "variants", "relaxation", "placement", "calibrated", "energy_model", "accelerator"}
    assert {f"hwdse.{name}" for name in made} <= set(found)
    assert {f"hwdse.structure.{file.stem}" for file in STRUCTURE.glob("[a-z]*.py")} <= set(found)
    assert "hwdse.run" not in found


@pytest.mark.parametrize("content", [calibrated.content, placement.content, energy_figures.content])
def test_other_fits_are_other_prices(content: Callable[[], str], study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: Study = load_study(study)
    before = prices(loaded)
    monkeypatch.setattr(f"{content.__module__}.content", lambda: content() + " ")
    assert prices(loaded) != before
