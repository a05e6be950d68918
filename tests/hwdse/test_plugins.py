"""A plug-in is found by its own spelling and by no other."""

import re

import pytest

from hwdse.cost_model import CostModel
from hwdse.cost_models.finn_corrected import FinnCorrected
from hwdse.plugins import named, names
from hwdse.technique import Technique

TECHNIQUES, MODELS = "hwdse.techniques", "hwdse.cost_models"


def test_a_cost_model_is_written_with_hyphens() -> None:
    assert named(MODELS, CostModel, "finn-corrected") is FinnCorrected  # type: ignore[type-abstract]
    assert "finn-corrected" in names(MODELS)
    known = ", ".join(names(MODELS))
    with pytest.raises(ValueError, match=f"^no cost model 'finn_corrected'; known: {known}$"):
        named(MODELS, CostModel, "finn_corrected")  # type: ignore[type-abstract]


def test_a_technique_is_written_with_underscores() -> None:
    assert named(TECHNIQUES, Technique, "auto_round").__name__ == "AutoRound"  # type: ignore[type-abstract]
    for name in ("auto-round", "learned-rounding"):
        known = re.escape(", ".join(names(TECHNIQUES)))
        with pytest.raises(ValueError, match=f"^no technique '{name}'; known: {known}$"):
            named(TECHNIQUES, Technique, name)  # type: ignore[type-abstract]
