"""Workloads: the counts that costs are made of, by hand for one layer of each kind."""

import pytest

from hwdse.workload import OUTSIDE, WITH_WEIGHTS, Kind, Layer, Site, Workload

CONV = Layer(
    "conv", Kind.CONV, ("input",), ("mid",), rows=16, dot=3 * 3 * 3, positions=32 * 32, kernel=(3, 3), bias=True
)
DEPTHWISE = Layer("dw", Kind.CONV, ("mid",), ("mid2",), rows=16, dot=9, positions=256, groups=16, kernel=(3, 3))
GROUPED = Layer("grouped", Kind.CONV, ("mid2",), ("mid3",), rows=16, dot=8 * 9, positions=256, groups=2, kernel=(3, 3))
LINEAR = Layer("fc", Kind.LINEAR, ("mid3",), (), rows=10, dot=64, positions=1, bias=True)
SCORES = Layer("scores", Kind.MATMUL, ("q", "k"), ("s",), rows=4 * 17, dot=8, positions=17, groups=4)
ADD = Layer("add", Kind.ADD, ("mid", "mid"), ("mid",), rows=16, dot=2, positions=64)
POOL = Layer("pool", Kind.AVG_POOL, ("mid",), (), rows=16, dot=16, positions=1)
NORM = Layer("norm", Kind.NORM, (), (), rows=64, dot=64, positions=17)
LAYERS = (CONV, DEPTHWISE, GROUPED, LINEAR, SCORES, ADD, POOL, NORM)
SITES = (Site("input", ("x",), ("conv",), 3 * 32 * 32), Site("mid", ("conv", "add"), ("dw", "add"), 2 * 16 * 64))
WORKLOAD = Workload("net", LAYERS, SITES, (3, 32, 32))


@pytest.mark.parametrize(
    ("layer", "macs", "weights", "parameters"),
    [
        (CONV, 1024 * 16 * 27, 16 * 27, 16 * 27 + 16),
        (DEPTHWISE, 256 * 16 * 9, 16 * 9, 16 * 9),
        (GROUPED, 256 * 16 * 72, 16 * 72, 16 * 72),
        (LINEAR, 640, 640, 650),
        (SCORES, 4 * 17 * 17 * 8, 0, 0),  # 4 heads, 17 x 17 scores of 8 terms; both operands are streamed
        (ADD, 0, 0, 0),
        (POOL, 0, 0, 0),
        (NORM, 0, 0, 0),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_counts(layer: Layer, macs: int, weights: int, parameters: int) -> None:
    assert (layer.macs, layer.weights, layer.parameters) == (macs, weights, parameters)


def test_depthwise() -> None:
    """One input channel is not enough: a first layer on grey images has groups of one, too, but one of them."""
    grey = Layer("grey", Kind.CONV, ("input",), (), rows=16, dot=9, positions=64, kernel=(3, 3))
    assert not grey.depthwise
    twice = Layer("twice", Kind.CONV, ("input",), (), rows=16, dot=9, positions=64, groups=8, kernel=(3, 3))
    assert not twice.depthwise
    assert [layer.name for layer in LAYERS if layer.depthwise] == ["dw"]


def test_kinds() -> None:
    """Every kind has one of three roles: it stores weights, it is outside, or neither."""
    assert not OUTSIDE & WITH_WEIGHTS
    assert [Kind(kind.value) for kind in Kind] == list(Kind)


def test_totals() -> None:
    assert WORKLOAD.macs == sum(layer.macs for layer in (CONV, DEPTHWISE, GROUPED, LINEAR, SCORES))
    assert WORKLOAD.weighted == (CONV, DEPTHWISE, GROUPED, LINEAR)


def test_repr_rebuilds() -> None:
    assert eval(repr(WORKLOAD)) == WORKLOAD
    assert hash(eval(repr(WORKLOAD))) == hash(WORKLOAD)


def test_lookup() -> None:
    assert WORKLOAD.layer("fc") is LINEAR
    assert WORKLOAD.site("mid") is SITES[1]


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"^no layer 'fc2'; known: conv, dw, grouped, fc, scores, add, pool, norm$"):
        WORKLOAD.layer("fc2")
    with pytest.raises(ValueError, match=r"^no activation site 'fc'; known: input, mid$"):
        WORKLOAD.site("fc")
