"""Costs: area adds, time composes."""

from dataclasses import fields

import pytest

from hwdse.cost import FpgaCost, LayerCost, Resources, Term, dataflow
from hwdse.design import Folding

ONE = Resources(1, 2, 3, 4, 5, 6)
CONV = LayerCost(
    "conv", (Term("multipliers", Resources(100, 50)), Term("weights", Resources(luts=30, brams=2, lutrams=30))), 900, 40
)
FC = LayerCost("fc", (Term("multipliers", Resources(dsps=4)),), 300, 7, Folding(2, 4), 19)


def cost(*layers: LayerCost, outside: tuple[str, ...] = ()) -> FpgaCost:
    return dataflow(
        layers, clock_mhz=200.0, device="xc7z020", model="dataflow", calibration="uncalibrated", outside=outside
    )


def test_resources_add_field_by_field() -> None:
    assert ONE + Resources(10, 20, 30, 40, 50, 60) == Resources(11, 22, 33, 44, 55, 66)
    assert ONE + Resources() == ONE
    assert sum([ONE, ONE, ONE], Resources()) == Resources(3, 6, 9, 12, 15, 18)
    assert sum([], Resources()) == Resources()
    assert [f.default for f in fields(Resources)] == [0] * 6
    assert eval(repr(ONE)) == ONE


def test_area_is_the_sum_of_terms_and_layers() -> None:
    assert CONV.area == Resources(luts=130, ffs=50, brams=2, lutrams=30)
    assert cost(CONV, FC).area == Resources(luts=130, ffs=50, dsps=4, brams=2, lutrams=30)
    assert LayerCost("free", (), 1, 1).area == Resources()


def test_bounds_add_up_and_a_term_without_is_as_said() -> None:
    fitted = Term("multipliers", Resources(100, 50), Resources(90, 48), Resources(115, 51))
    exact = Term("weights", Resources(luts=30, brams=2, lutrams=30))
    layer = LayerCost("conv", (fitted, exact), 900, 40)
    low, high = Resources(120, 48, brams=2, lutrams=30), Resources(145, 51, brams=2, lutrams=30)
    assert layer.bounds == (low, high)
    assert cost(layer, FC).bounds == (low + FC.area, high + FC.area)
    assert CONV.bounds == (CONV.area, CONV.area)
    nothing = Term("free", Resources(3), Resources(), Resources(4))  # a bound of nothing is a bound
    assert LayerCost("free", (nothing,), 1, 1).bounds == (Resources(), Resources(4))
    assert LayerCost("none", (), 1, 1).bounds == (Resources(), Resources())


def test_the_slowest_layer_sets_the_pace() -> None:
    total = cost(CONV, FC)
    assert (total.interval_cycles, total.latency_cycles) == (900, 900 + 40 + 7)
    assert total.layers == (CONV, FC)
    assert cost(FC, CONV).interval_cycles == 900


def test_seconds() -> None:
    total = cost(CONV, FC)
    assert total.frames_per_second == 200e6 / 900
    assert total.latency_seconds == 947 / 200e6
    assert (total.clock_mhz, total.device, total.model, total.calibration) == (
        200.0,
        "xc7z020",
        "dataflow",
        "uncalibrated",
    )


def test_label_says_what_is_left_out() -> None:
    assert cost(FC).label == ""
    assert cost(FC, outside=("attn.softmax", "norm1")).label == "without attn.softmax, norm1"


def test_an_accelerator_has_layers() -> None:
    with pytest.raises(ValueError, match=r"^a dataflow accelerator has at least one layer$"):
        cost()
