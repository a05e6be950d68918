"""A network that tracing would change, or that cannot be read, is refused in one sentence that names the place."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor, nn

from hwdse.trace import trace
from hwdse.workload import Kind, Workload


class Net(nn.Module):
    """Two layers and a function between them."""

    def __init__(self, forward: Callable[["Net", Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.same = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.other = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 10)
        self.code = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.code(self, x)


def pooled(net: Net, x: Tensor) -> Tensor:
    """The logits of a feature map."""
    y: Tensor = net.head(x.mean((2, 3)))
    return y


def read(forward: Callable[[Net, Tensor], Tensor], *, hardware: bool = True) -> Workload:
    torch.manual_seed(0)
    return trace(Net(forward), torch.zeros(1, 1, 8, 8), "net", hardware=hardware).workload


REFUSED: dict[str, tuple[Callable[[Net, Tensor], Tensor], str]] = {
    "a module twice": (
        lambda net, x: pooled(net, net.same(net.same(net.conv(x)))),
        "each module with weights is called once, unlike 'same'",
    ),
    "a value branch": (
        lambda net, x: pooled(net, net.conv(x)) if x.sum() > 0 else pooled(net, net.conv(-x)),
        "network 'net' cannot be traced by torch.fx: symbolically traced variables cannot be used as inputs to "
        "control flow",
    ),
    "a product of tensors": (
        lambda net, x: pooled(net, (y := net.conv(x)) * y),
        "no layer kind for mul at 'mul'; known: add, avg_pool, conv, embedding, linear, matmul, max_pool, "
        "norm, rotation, softmax, table",
    ),
    "a reciprocal": (
        lambda net, x: pooled(net, 1 / (torch.relu(net.conv(x)) + 1)),
        "no layer kind for truediv at 'truediv'; known: add, avg_pool, conv, embedding, linear, matmul, max_pool, "
        "norm, rotation, softmax, table",
    ),
    "a weighted sum": (
        lambda net, x: pooled(net, torch.add(y := net.conv(x), net.same(y), alpha=3)),
        "an add has no factor, unlike at 'add'",
    ),
    "padding off the grid": (
        lambda net, x: pooled(net, net.same(F.pad(net.conv(x), (1, 1, 1, 1), value=0.4))),
        "padding is by zeros, unlike at 'pad'",
    ),
    "a batch that is not first": (
        lambda net, x: net.head(net.conv(x).permute(0, 2, 3, 1).reshape(-1, 4)).reshape(-1, 640),
        "the first dimension is the batch, but at 'reshape' 2 images give (128, 4)",
    ),
    "no tensor": (
        lambda net, x: {"logits": pooled(net, net.conv(x))},  # type: ignore[dict-item, return-value]
        "a network gives one tensor, batch first, but 'net' gives dict for 2 images",
    ),
    "a shape that does not fit": (
        lambda net, x: net.head(x),
        "network 'net' does not run on an input of 1x8x8: mat1 and mat2 shapes cannot be multiplied (16x8 and 4x10)",
    ),
}


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, hardware: bool) -> None:
    forward, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=r".") as caught:
        read(forward, hardware=hardware)
    assert str(caught.value) == sentence


def test_shared_weights_are_refused() -> None:
    net = Net(lambda net, x: pooled(net, net.same(net.conv(x))))
    net.conv = nn.Conv2d(4, 4, 3, padding=1)
    net.same.weight = net.conv.weight
    with pytest.raises(ValueError, match=r"^each module has its own weights, unlike 'conv' and 'same'$"):
        trace(net, torch.zeros(1, 4, 8, 8), "net")


def test_half_precision_is_refused() -> None:
    rule = "weights are float32, but 'conv.weight' of network 'net' is torch.float16"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        trace(Net(lambda net, x: pooled(net, net.conv(x))).half(), torch.zeros(1, 1, 8, 8), "net")


def test_a_norm_that_another_layer_shares_is_not_merged() -> None:
    """Merging both norms into one convolution would scale it twice."""
    workload = read(lambda net, x: pooled(net, net.norm(y := net.conv(x)) + net.other(y)))
    assert [layer.name for layer in workload.layers] == ["conv", "add", "mean", "head"]
    assert workload.site("norm").tensors == ("norm", "other")


def test_a_sum_of_a_tensor_with_itself_is_an_add() -> None:
    workload = read(lambda net, x: pooled(net, (y := net.conv(x)) + y))
    assert [layer.kind for layer in workload.layers] == [Kind.CONV, Kind.ADD, Kind.AVG_POOL, Kind.LINEAR]
    assert workload.layer("add").inputs == ("conv", "conv")


@pytest.mark.parametrize(
    "pool", [lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.max_pool2d(x, 3, stride=2, padding=1)]
)
def test_functional_pools_have_the_geometry_of_their_modules(pool: Callable[[Tensor], Tensor]) -> None:
    (found,) = [a for a in read(lambda net, x: pooled(net, pool(net.conv(x)))).layers if a.kind is Kind.MAX_POOL]
    assert (found.dot, found.kernel, found.stride, found.padding) == (9, (3, 3), (2, 2), (1, 1))
    assert (found.rows, found.positions) == (4, 16)


def test_keyword_operands_are_operands() -> None:
    workload = read(lambda net, x: pooled(net, net.conv(input=x)), hardware=False)
    assert workload.layer("conv").inputs == ("conv.input",)
