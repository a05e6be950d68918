"""Latency: equal to an accelerator that is simulated cycle by cycle, vector by vector."""

from dataclasses import replace

import pytest

from hwdse.cost import LayerCost
from hwdse.latency import latency_cycles
from hwdse.workload import Kind, Layer, Workload
from tests.cost_models.workloads import NORM, conv, linear, matmul

FIRST = conv("first", "image", ("a",), (3, 8), 8)
LEFT = conv("left", "a", ("b",), (8, 8), 8, stride=2)
RIGHT = conv("right", "a", ("b",), (8, 8), 8, kernel=1, stride=2)
ADD = Layer("add", Kind.ADD, ("b", "b"), ("c",), 8, 2, 16, in_shape=(8, 4, 4), out_shape=(8, 4, 4))
POOL = Layer("pool", Kind.MAX_POOL, ("c",), (), 8, 4, 4, 1, (8, 4, 4), (8, 2, 2), kernel=(2, 2), stride=(2, 2))
MEAN = Layer("mean", Kind.AVG_POOL, ("c",), ("d",), 8, 4, 1, in_shape=(8, 2, 2), out_shape=(8, 1, 1))
HEAD = linear("head", "d", (), 8, 10)

QUERY = replace(linear("query", "tokens", ("q",), 8, 8), positions=6, in_shape=(6, 8), out_shape=(6, 8))
KEY = replace(QUERY, name="key", outputs=("k",))
SCORES = matmul("scores", ("q", "k"), (), 1, 6, 8, 6)
SOFTMAX = replace(NORM, name="softmax", kind=Kind.SOFTMAX, outputs=("s",))
MIXED = replace(QUERY, name="mixed", inputs=("s",), outputs=())

Graph = list[tuple[Layer, tuple[int, ...]]]  # layers, and which earlier ones feed their operands
RESIDUAL: Graph = [(FIRST, ()), (LEFT, (0,)), (RIGHT, (0,)), (ADD, (1, 2)), (POOL, (3,)), (MEAN, (4,)), (HEAD, (5,))]
ATTENTION: Graph = [(QUERY, ()), (KEY, ()), (SCORES, (0, 1)), (MIXED, (2,))]


def needed(layer: Layer, operand: int, output: int) -> set[int]:
    """The vectors of an operand that one output is made of."""
    if layer.kind is Kind.CONV or layer.kernel != (1, 1):
        (_, height, width), (y, x) = layer.in_shape, divmod(output, layer.out_shape[2])
        rows = [y * layer.stride[0] - layer.padding[0] + i for i in range(layer.kernel[0])]
        columns = [x * layer.stride[1] - layer.padding[1] + i for i in range(layer.kernel[1])]
        return {r * width + c for r in rows for c in columns if 0 <= r < height and 0 <= c < width}
    if layer.kind is Kind.AVG_POOL or (operand == 1 and layer.kind is Kind.MATMUL):
        return set(range(layer.in_shape[1] * layer.in_shape[2] if layer.kind is Kind.AVG_POOL else layer.positions))
    return {output}


def simulated(graph: Graph, paces: list[int], fill: int) -> int:
    """The cycle in which the last output leaves."""
    out: list[list[int]] = [[] for _ in graph]  # when each vector leaves
    free, cycle = [0] * len(graph), 0
    while any(len(made) < layer.positions for made, (layer, _) in zip(out, graph, strict=True)):
        for i, (layer, feeders) in enumerate(graph):
            there = [{k for k, at in enumerate(out[feeder]) if at <= cycle} for feeder in feeders]
            here = all(needed(layer, operand, len(out[i])) <= arrived for operand, arrived in enumerate(there))
            if len(out[i]) < layer.positions and free[i] <= cycle and here:
                free[i] = cycle + paces[i]
                out[i].append(free[i] + fill)
        cycle += 1
    return max(made[-1] for made in out)


def estimated(graph: Graph, paces: list[int], fill: int, layers: tuple[Layer, ...]) -> int:
    """The same by the formula; `layers` may have some that are outside."""
    costs = [LayerCost(layer.name, (), n * layer.positions, fill) for (layer, _), n in zip(graph, paces, strict=True)]
    return latency_cycles(Workload("net", layers, (), (3, 8, 8)), costs)


@pytest.mark.parametrize("fill", [0, 5])
@pytest.mark.parametrize(
    "paces",
    [[1] * 7, [9, 1, 1, 1, 1, 1, 1], [3, 20, 40, 2, 8, 3, 50], [3, 40, 20, 2, 30, 3, 50], [1, 2, 3, 70, 5, 6, 7]],
)
def test_a_residual_block(paces: list[int], fill: int) -> None:
    layers = tuple(layer for layer, _ in RESIDUAL)
    assert estimated(RESIDUAL, paces, fill, layers) == simulated(RESIDUAL, paces, fill)


@pytest.mark.parametrize("paces", [[1] * 4, [2, 7, 3, 1], [7, 2, 3, 20], [1, 1, 9, 4]])
def test_attention_waits_for_its_second_operand(paces: list[int]) -> None:
    layers = (QUERY, KEY, SCORES, SOFTMAX, MIXED)
    assert estimated(ATTENTION, paces, 2, layers) == simulated(ATTENTION, paces, 2)


def test_a_window_fills_at_the_pace_of_its_feeder() -> None:
    second = conv("second", "a", (), (8, 8), 8)
    pair: Graph = [(FIRST, ()), (second, (0,))]
    slow, fast = (estimated(pair, [pace, 1], 0, (FIRST, second)) for pace in (100, 1))
    assert slow == 64 * 100 + 8 + 2  # the last row and two pixels wait for the last pixel
    assert fast == 8 + 2 + 64  # a row and two pixels before the first


def test_a_layer_alone_takes_its_cycles() -> None:
    assert latency_cycles(Workload("net", (FIRST,), (), (3, 8, 8)), [LayerCost("first", (), 1000, 7)]) == 1007
