"""Terms of units: the same for a unit among others as alone, and with words for what was chosen."""

import pytest

from hwdse import terms
from hwdse.accelerator import Choice, elements
from hwdse.alternatives import ways
from hwdse.cost import Resources, Term
from hwdse.design import Folding
from hwdse.target import FpgaTarget, fpga
from tests.cost_models.workloads import CONV, DEPTHWISE, LINEAR
from tests.hwdse.test_alternatives import quantised

ECP5, AMD = fpga("ecp5_85f"), fpga("xczu7ev")


@pytest.mark.parametrize("pair", ["int3 uint3", "int8 uint8", "e2m1 ue2m1"])
@pytest.mark.parametrize("target", [ECP5, AMD, fpga("ice40_hx8k")], ids=lambda target: target.name)
def test_units_have_the_same_terms_together_and_alone(pair: str, target: FpgaTarget) -> None:
    for layer in (CONV, DEPTHWISE, LINEAR):
        q = quantised(layer, pair, Folding(2, 1), target)
        for found in ways(q, "auto").values():
            units = tuple(unit for way in found for unit in way.units)
            together = terms.of(units, target.family)
            assert together == tuple(terms.of((unit,), target.family)[0] for unit in units)


def made_of(choice: Choice, pair: str, target: FpgaTarget, folding: str = "4x3") -> dict[str, str]:
    """What the terms of a convolution are made of, where that was chosen."""
    found = terms.of(elements(quantised(CONV, pair, Folding.parse(folding), target), choice), target.family)
    return {term.name: term.variant for unit in found for term in unit if term.variant}


def test_terms_say_what_was_chosen() -> None:
    plain = made_of(Choice(), "int8:channel uint8", ECP5)
    assert plain == {"window": "LUTs", "multipliers": "LUTs", "weights": "LUTs", "thresholds": "searched, LUTs"}
    other = Choice("dsp", True, True, None, True)
    assert made_of(other, "int8:channel uint8", ECP5) == {
        "window": "block RAM",
        "multipliers": "DSPs",
        "weights": "block RAM",
        "thresholds": "compared at once, LUTs",
    }
    assert made_of(other, "int4 uint4", AMD)["multipliers"] == "DSPs, 3 products each"
    assert made_of(Choice("table"), "int3 uint3", AMD)["multipliers"] == "tables"
    assert made_of(Choice("decode"), "e2m1 uint3", AMD)["multipliers"] == "LUTs, of codes as fixed point"
    one = made_of(Choice(), "int8:channel uint8", ECP5, "1x1")
    assert (one["window"], one["weights"]) == ("block RAM", "block RAM")  # by depth


def test_terms_of_one_name_are_one() -> None:
    known = Term("fifo", Resources(5), Resources(4), Resources(6), "LUTs")
    other = Term("fifo", Resources(2, brams=1), Resources(1, brams=1), Resources(3, brams=1), "block RAM")
    rough = Term("fifo", Resources(7))
    both = Term("fifo", Resources(7, brams=1), Resources(5, brams=1), Resources(9, brams=1), "LUTs; block RAM")
    assert terms.joined([known, other]) == (both,)
    assert terms.joined([known, known])[0].variant == "LUTs"
    assert terms.joined([known, rough]) == (Term("fifo", Resources(12), Resources(11), Resources(13), "LUTs"),)
    assert terms.joined([rough, Term("bias", Resources())]) == (rough,)
