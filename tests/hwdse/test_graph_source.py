"""Graphs as source: what `written_out` makes of them runs where the input is."""

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from hwdse.attention import CausalSoftmax
from hwdse.graph_source import tensors, written_out

TOKENS = 5


class Net(nn.Module):
    """Two causal softmaxes, and operators that name the device they were traced on, as those of `torch.export` do."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = CausalSoftmax(TOKENS), CausalSoftmax(TOKENS)

    def forward(self, scores: Tensor) -> Tensor:
        cpu = torch.device("cpu")
        ones = torch.ops.aten.full.default([scores.shape[0], 1, 1, 1], 1, device=cpu, pin_memory=False)
        scores = self.two(self.one(scores) + ones)
        wide: Tensor = torch.ops.aten._to_copy.default(scores, dtype=torch.float64, device=cpu)
        return wide


def graph() -> fx.GraphModule:
    class Whole(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return True

    return fx.GraphModule(net := Net(), Whole().trace(net))


def test_what_is_written_computes_the_same_with_one_mask() -> None:
    written, x = written_out(graph()), torch.randn(2, 3, TOKENS, TOKENS)
    assert torch.equal(written(x), Net()(x))
    assert tensors(written) == ['_buffer(self, "future_5", 5, 5, dtype=torch.bool)']
    assert torch.equal(written.state_dict()["future_5"], CausalSoftmax(TOKENS).future)
    assert not list(written.children())


def test_it_runs_where_the_input_is() -> None:
    written = written_out(graph())
    with FakeTensorMode():
        there = {name: torch.empty(one.shape, dtype=one.dtype, device="cuda") for name, one in written.named_buffers()}
        result = functional_call(written, there, (torch.empty(2, 3, TOKENS, TOKENS, device="cuda"),))
    assert (result.device.type, result.dtype) == ("cuda", torch.float64)
