"""Units with random contents: the hardware of every element of every kind of layer, complete enough to simulate."""

import pytest

from hwdse.accelerator import Element
from hwdse.contents import unit
from hwdse.cost_models.dataflow import Dataflow
from hwdse.folding import fold
from hwdse.netlist import Netlist
from hwdse.simulation import lint
from hwdse.target import fpga
from tests.cost_models.workloads import ALL_KINDS, design

TARGET = fpga("ecp5_25f")
FOLDING = fold(ALL_KINDS, 20_000)


def every(weights: str, activations: str) -> tuple[Element, ...]:
    """The different elements of a network with every kind of layer."""
    how = design(weights, activations, FOLDING)
    made = Dataflow().elements(ALL_KINDS, how, TARGET)
    return tuple(dict.fromkeys(unit for units in made.values() for unit in units))


@pytest.mark.parametrize("formats", ["int4:channel uint4", "e2m1:channel ue2m2", "e3m2 int5"])
def test_every_element_is_hardware_without_a_warning(formats: str) -> None:
    for element in every(*formats.split()):
        made = unit(element)
        assert (made.module, made.parameters) == (element.module, element.parameters)
        assert lint(Netlist.of(made)) == ()


def test_contents_are_the_same_every_time() -> None:
    for element in every("int4:channel", "uint4"):
        assert unit(element) == unit(element)


def test_a_module_without_known_streams() -> None:
    with pytest.raises(ValueError, match=r"^no streams are known of leaf module 'adder'$"):
        unit(Element("sum", "adder", (("BITS", 8),)))
