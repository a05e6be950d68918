"""docs/cost-model.md is what its command makes of the fits and tables that ship."""

from types import ModuleType

import pytest

from hwdse.formats import parse
from tests.page_scripts import DOCS, load


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, as a module."""
    return load("cost_model")


def test_the_page_is_made_of_what_ships(script: ModuleType) -> None:
    assert (DOCS / "cost-model.md").read_text() == script.page()


@pytest.mark.slow
def test_what_misses_a_bar_is_listed(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(f"- {one};\n" in script.page() for one in script.missed())
    for bar in ("LUT_BAR", "FF_BAR", "MHZ_BAR", "CHAIN_BAR"):
        monkeypatch.setattr(script, bar, -1.0)
    listed = script.missed()
    assert any(one.startswith("ecp5 mvu, of ") and one.endswith(" % off in LUTs") for one in listed)
    assert any(one.startswith("ecp5_25f: ") and one.endswith(" % off in clocks") for one in listed)
    assert sum(one.startswith("chain ") and one.endswith(" % in placed LUTs") for one in listed) == len(script.SHAPES)


def test_a_uniform_minifloat_is_no_larger_than_its_shifted_kin(script: ModuleType) -> None:
    assert script.luts(parse("e1m3"), "ecp5") < script.luts(parse("e3m1"), "ecp5")
