"""The workload of a traced network, against hand counts."""

import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor, fx, nn

from hwdse.graphs import copied
from hwdse.operators import refusal
from hwdse.trace import read_again, trace
from hwdse.workload import Kind, Workload
from tests.hwdse.networks import NETWORKS, bench, network


def read(model: nn.Module, *, hardware: bool = True, shape: tuple[int, ...] = (1, 1, 8, 8)) -> Workload:
    return trace(model, torch.zeros(shape), "net", hardware=hardware).workload


@pytest.mark.parametrize("name", NETWORKS)
def test_tracing_changes_neither_the_network_nor_its_outputs(name: str) -> None:
    model = network(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    graph = trace(model, images[:1], name).graph
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    with torch.no_grad():
        expected, got = model(images), graph(images)
    # a merged batch norm rounds each product once more: a few float32 roundings per layer of logits about 1
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_cnn_geometry_and_macs() -> None:
    workload = read(network("cnn"))
    assert [(a.name, a.rows, a.dot, a.positions, a.groups) for a in workload.layers] == [
        ("conv1", 16, 9, 64, 1),
        ("depthwise", 16, 9, 64, 16),
        ("conv2", 32, 144, 16, 1),
        ("conv3", 32, 288, 4, 1),
        ("fc1", 32, 128, 1, 1),
        ("fc2", 10, 32, 1, 1),
    ]
    assert workload.macs == 16 * 9 * 64 * 2 + 32 * 144 * 16 + 32 * 288 * 4 + 32 * 128 + 10 * 32
    assert [layer.depthwise for layer in workload.layers] == [False, True, False, False, False, False]
    assert workload.layer("conv2").stride == (2, 2)
    assert all(layer.bias for layer in workload.layers), "merged batch norms are biases"


def test_a_chain_is_quantised_after_each_relu() -> None:
    workload = read(network("cnn"))
    assert [layer.inputs for layer in workload.layers] == [
        ("input",), ("relu1",), ("relu2",), ("relu3",), ("relu4",), ("relu5",)
    ]  # fmt: skip
    assert [layer.outputs for layer in workload.layers] == [
        ("relu1",), ("relu2",), ("relu3",), ("relu4",), ("relu5",), ()
    ]  # fmt: skip


def test_operands_of_an_add_share_a_site() -> None:
    workload = read(network("resnet"))
    adds = [layer for layer in workload.layers if layer.kind is Kind.ADD]
    assert len(adds) == 3
    assert all(len(set(add.inputs)) == 1 and add.outputs != add.inputs for add in adds)
    assert workload.site("relu").tensors == ("relu", "block1.conv2")


def test_attention_has_two_matmuls_with_two_streamed_operands_and_lists_what_stays_outside() -> None:
    workload = read(network("vit"))
    matmuls = [layer for layer in workload.layers if layer.kind is Kind.MATMUL]
    assert [m.inputs for m in matmuls][:2] == [
        ("blocks.0.attention.q", "blocks.0.attention.k"),
        ("blocks.0.attention.softmax", "blocks.0.attention.v"),
    ]
    first = matmuls[0]
    heads, tokens, depth = first.groups, first.positions, first.dot
    assert first.macs == heads * tokens * tokens * depth
    assert {layer.kind for layer in workload.layers if not layer.inputs} == {Kind.NORM, Kind.SOFTMAX}
    assert all(layer.inputs for layer in workload.layers if layer.kind is Kind.TABLE), "GELU is a table on codes"


def test_without_hardware_every_operand_that_is_multiplied_is_its_own_site() -> None:
    workload = read(network("resnet"), hardware=False)
    assert all(len(site.consumers) == 1 for site in workload.sites)
    assert [site.name for site in workload.sites] == [f"{layer.name}.input" for layer in workload.weighted]
    assert all(not layer.inputs for layer in workload.layers if layer.kind is Kind.ADD)


class Odd(nn.Module):
    """One layer that nothing prices."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.up = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.up(x)
        return y


KINDS = "add, avg_pool, conv, embedding, linear, matmul, max_pool, norm, rotation, softmax, table"


def test_a_layer_without_a_kind_is_named() -> None:
    with pytest.raises(ValueError, match=f"^no layer kind for ConvTranspose2d at 'up'; known: {KINDS}$"):
        read(Odd(nn.ConvTranspose2d(1, 1, 2)))


def test_a_dilated_convolution_is_named() -> None:
    rule = "a convolution has numeric zero padding and no dilation, unlike 'up'"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        read(Odd(nn.Conv2d(1, 1, 3, dilation=2)))


def test_a_norm_of_the_batch_at_hand_is_named() -> None:
    with pytest.raises(ValueError, match=r"^a batch norm has kept its statistics, unlike at 'up'$"):
        read(Odd(nn.BatchNorm2d(1, track_running_stats=False)))


class Function(nn.Module):
    """A function between a convolution and a linear layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 2, 3, padding=1), nn.LazyLinear(3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.function(self.conv(x)).flatten(1))
        return y


POOLS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "ceil": (lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), "the windows of a pool are whole, unlike 'max_pool2d'"),
    "ceil of a module": (nn.AvgPool2d(3, 2, 0, True), "the windows of a pool are whole, unlike 'function'"),
    "dilation": (lambda x: F.max_pool2d(x, 2, 1, 0, 2), "a pool has no dilation, unlike 'max_pool2d'"),
    "dilation of a module": (nn.MaxPool2d(2, dilation=(1, 2)), "a pool has no dilation, unlike 'function'"),
    "without padding": (
        lambda x: F.avg_pool2d(x, 3, 1, 1, False, False),
        "an average with padding counts it, unlike 'avg_pool2d'",
    ),
    "without padding, of a module": (
        nn.AvgPool2d(3, 1, (0, 1), count_include_pad=False),
        "an average with padding counts it, unlike 'function'",
    ),
    "divisor": (
        lambda x: F.avg_pool2d(x, 2, divisor_override=3),
        "an average is divided by the pixels of its window, unlike 'avg_pool2d'",
    ),
    "channels": (lambda x: x.mean(1), "a mean is over all pixels, or all tokens, and nothing else, unlike 'mean'"),
    "columns": (lambda x: x.mean(-1), "a mean is over all pixels, or all tokens, and nothing else, unlike 'mean'"),
    "rows of channels": (
        lambda x: torch.mean(x, dim=(1, 2)),
        "a mean is over all pixels, or all tokens, and nothing else, unlike 'mean'",
    ),
}


def around(function: Callable[[Tensor], Tensor]) -> nn.Module:
    """A network with `function`, and with as many inputs of its last layer as that leaves."""
    model = Function(function)
    model(torch.zeros(1, 1, 8, 8))
    return model


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_that_no_unit_computes_is_named(name: str) -> None:
    function, message = POOLS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read(around(function))


def test_pools_beside_an_accelerator_are_what_they_are() -> None:
    for function, _ in POOLS.values():
        assert [layer.inputs for layer in read(around(function), hardware=False).layers][1] == ()


def test_where_a_maximum_was_is_not_known() -> None:
    pool = nn.MaxPool2d(2, return_indices=True)
    node = fx.Graph().placeholder("x")
    assert refusal(nn.MaxPool2d, node, pool) == "a max pool gives no indices"


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, count_include_pad=False),
        nn.AvgPool2d(2, divisor_override=4),
        nn.MaxPool2d(2, ceil_mode=True),
    ],
)
def test_what_makes_no_difference_is_not_refused(pool: nn.Module) -> None:
    layer = read(around(pool)).layer("function")
    assert (layer.dot, layer.kernel, layer.out_shape) == (4, (2, 2), (2, 4, 4))


class Pooled(nn.Module):
    """A max pool between two convolutions, and an unmerged batch norm after an add."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.c = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.a(x)))
        y: Tensor = self.c(self.norm(x + self.b(x)))
        return y


def test_a_max_pool_keeps_the_grid_and_a_norm_after_an_add_folds() -> None:
    workload = read(Pooled().eval())
    assert workload.layer("pool").inputs == ("relu",)
    assert workload.layer("pool").outputs == ()
    assert workload.layer("b").inputs == ("relu",)
    assert workload.layer("add").inputs == ("relu", "relu")
    assert workload.layer("add").outputs == ("norm",)
    assert [layer.name for layer in workload.layers if layer.by_channel] == ["add"]
    assert not any(layer.by_channel for layer in read(Pooled().eval(), hardware=False).layers)


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_that_is_read_again_is_the_same(name: str, hardware: bool) -> None:
    first = bench(name, hardware).traced
    again = read_again(copied(first))
    assert again.workload == first.workload
    assert again.layers == first.layers
    for one, other in ((first.taps, again.taps), (first.operands, again.operands)):
        assert str(one) == str(other)


def test_a_relu_before_the_codes_is_known() -> None:
    """Where an operand of an add has none, its codes have a sign."""
    layers = read(network("resnet")).layers
    assert [layer.name for layer in layers if not layer.relu] == [
        "block1.conv2",
        "block2.conv2",
        "block2.project.0",
        "block3.conv2",
        "pool",
        "head",
    ]
    clipped = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Hardtanh(), nn.Flatten(), nn.Linear(72, 4), nn.ReLU(), nn.Linear(4, 2)
    )
    assert [layer.relu for layer in read(clipped).layers] == [False, True, False]
    assert not any(layer.relu for layer in read(network("resnet"), hardware=False).layers)
