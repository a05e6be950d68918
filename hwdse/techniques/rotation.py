"""Rotation: multiplies by a Hadamard matrix and by its inverse, between which no channel sticks out.

Ashkboos et al. 2024, 'QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs' (arXiv 2404.00456), by
Brevitas's Hadamard matrices. Merged, and so free, are the rotations of the values of an attention
(section 4.2, stage 1c): each head's are rotated by the layer that makes them and rotated back by the
one that reads what was gathered. Brevitas finds these at `scaled_dot_product_attention` alone; here
an attention is written out. Its other merged rotations need RMS norms and embeddings (`GraphRotationEqualization`).

`online` rotates the inputs of every linear layer instead, as `LayerwiseActivationRotation` does: a product in
float before the layer is quantised. The accelerator has none, so it is refused with `hardware`;
without it the product is a layer outside of what is priced, listed by its name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from brevitas.graph.equalize import EqualizationIndexes, Region, _compute_rotations, apply_rewriters
from torch import Tensor, fx, nn

from hwdse.contractions import Numbered
from hwdse.design import Quantizer
from hwdse.hadamard import Hadamard, exists, rotated
from hwdse.operators import KINDS, MOVES
from hwdse.quantize import Bench
from hwdse.technique import Sees, Technique
from hwdse.trace import is_tensor, tensors
from hwdse.workload import Kind, Layer


@dataclass(frozen=True)
class Rotation(Technique):
    """Rotates the inputs of the linear layers in scope, where that costs nothing or, `online`, everywhere."""

    online: bool = False
    sees: ClassVar[Sees] = Sees.WEIGHTS
    reshapes: ClassVar[bool] = True

    def supports(self, layer: Layer, weights: Quantizer | None) -> bool:
        """Linear layers; `online` with as many inputs as a Hadamard matrix has rows."""
        return layer.kind is Kind.LINEAR and (not self.online or exists(layer.dot))

    def apply(self, graph: fx.GraphModule, bench: Bench, layers: Mapping[str, str]) -> None:
        """Changes weights and biases in place, and inserts the products that are not merged."""
        paths = set(layers.values())
        if self.online:
            _rotate_inputs(graph, bench, paths)
            return
        modules = dict(graph.named_modules())
        regions = [_region(modules, pair) for pair in _attentions(graph) if pair.reader in paths and exists(pair.width)]
        apply_rewriters(graph, _compute_rotations(graph, regions))  # Brevitas's pass takes no regions of ours


def _rotate_inputs(graph: fx.GraphModule, bench: Bench, paths: set[str]) -> None:
    if bench.workload.hardware:
        raise ValueError("an online rotation is a product in float before each layer, which needs hardware = false")
    for node in [node for node in graph.graph.nodes if node.op == "call_module" and node.target in paths]:
        layer = graph.get_submodule(node.target)
        weight = layer.get_parameter("weight")
        weight.data.copy_(rotated(weight.data))
        path, source = f"{node.target}_rotation", node.all_input_nodes[0]
        graph.add_submodule(path, Hadamard(weight.shape[1]))
        with graph.graph.inserting_before(node):
            node.replace_input_with(source, graph.graph.call_module(path, (source,)))
    graph.recompile()


@dataclass(frozen=True)
class _Attention:
    """The layer that makes the values, the one that reads what was gathered, and the width of a head."""

    maker: str
    reader: str
    width: int


def _region(modules: dict[str, nn.Module], pair: _Attention) -> Region:
    """As Brevitas's `rotate_sdpa` makes it."""
    head = EqualizationIndexes(0, pair.width, 0)
    names = {"maker": modules[pair.maker], "reader": modules[pair.reader]}
    return Region.from_dicts(srcs={"maker": head}, sinks={"reader": head}, name_to_module=names)


def _attentions(graph: fx.GraphModule) -> Iterator[_Attention]:
    """The matmuls whose second operand is made by a linear layer for them alone, and read by another one."""
    modules = dict(graph.named_modules())
    for node in graph.graph.nodes:
        if not (node.op.startswith("call") and KINDS.get(node.target) is Kind.MATMUL):
            continue
        maker, reader = _maker(modules, node), _reader(modules, node)
        if maker is not None and reader is not None:
            width = node.meta["tensor_meta"].shape[-1]
            if _heads(graph, maker, tensors(node)[1], width) and _heads(graph, node, tensors(reader)[0], width):
                yield _Attention(str(maker.target), str(reader.target), width)


def _maker(modules: dict[str, nn.Module], matmul: fx.Node) -> fx.Node | None:
    node = tensors(matmul)[1]
    while _only_user(node) and _moves(modules, node):
        node = tensors(node)[0]
    return node if _only_user(node) and _linear(modules, node) else None


def _reader(modules: dict[str, nn.Module], matmul: fx.Node) -> fx.Node | None:
    node = _only_user(matmul)
    while node is not None and _moves(modules, node):
        node = _only_user(node)
    return node if node is not None and _linear(modules, node) else None


def _only_user(node: fx.Node) -> fx.Node | None:
    """The one node that takes the tensor; what asks for its size does not count."""
    users = [user for user in node.users if is_tensor(user) or user.op == "output"]
    return users[0] if len(users) == 1 else None


def _moves(modules: dict[str, nn.Module], node: fx.Node) -> bool:
    target = type(modules[str(node.target)]) if node.op == "call_module" else node.target
    return node.op.startswith("call") and target in MOVES and len(tensors(node)) == 1


def _linear(modules: dict[str, nn.Module], node: fx.Node) -> bool:
    return node.op == "call_module" and type(modules[str(node.target)]) is nn.Linear


def _heads(graph: fx.GraphModule, source: fx.Node, operand: fx.Node, width: int) -> bool:
    """Whether the last dimension of `operand` is whole heads: `width` neighbours of the last one of `source`."""
    shape = tuple(source.meta["tensor_meta"].shape)
    channel: Tensor = (Numbered(graph, source, shape)(operand).long() - 1) % shape[-1]
    if channel.shape[-1] % width or shape[-1] % width:
        return False
    heads = channel.reshape(-1, width)
    return torch.equal(heads, heads[:, :1] + torch.arange(width)) and not bool((heads[:, 0] % width).any())
