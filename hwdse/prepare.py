"""From a torch module to a traced graph that provably computes the same, batch norms merged.

Everything downstream believes the graph, the float baseline included, so a network that tracing or
merging would change is refused here, in one sentence that names the place.
"""

from collections import Counter
from copy import deepcopy

import torch
from brevitas.nn.utils import merge_bn
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from hwdse.attention import CausalSoftmax, expand_attention
from hwdse.huggingface import CausalLm

BATCH = 2  # images that shapes are read with: two tell a batch from a dimension of one
LEAVES = (CausalSoftmax,)
SAME = 0.01  # of the largest logit: far above the roundings of a merged norm, far below a wrong one


def prepare(model: nn.Module, example: Tensor, name: str) -> fx.GraphModule:
    """The graph of `model` (not changed) in evaluation mode, with the shape of every value for two images.

    `example` has the shape of the input, and where it is whole numbers (tokens) those of one that the network knows.
    ValueError says what cannot be traced or run.
    """
    own = expand_attention(deepcopy(model)).eval()
    _check_parameters(own, name)
    images = _two(example)
    expected = _logits(own, images, name)
    graph = own.exported(images) if isinstance(own, CausalLm) else _traced(own, name)
    _check_calls(graph)
    ShapeProp(graph).propagate(images)
    merge_batch_norms(graph)
    ShapeProp(graph).propagate(images)
    difference = (_logits(graph, images, name) - expected).abs().max()
    if not difference <= SAME * expected.abs().max():
        raise ValueError(f"the traced graph of network {name!r} differs from the network by {difference:.3g}")
    return graph


def _two(example: Tensor) -> Tensor:
    """Two inputs like `example`: random images, or its tokens forwards and backwards."""
    if example.is_floating_point():
        return torch.rand(BATCH, *example.shape[1:], generator=torch.Generator().manual_seed(0))
    return torch.stack((example[0], example[0].flip(0)))


def example_for(model: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """An input of `shape` (without the batch): tokens where a network of one dimension looks them up, else pixels."""
    tokens = len(shape) == 1 and any(isinstance(module, nn.Embedding) for module in model.modules())
    return torch.zeros(1, *shape, dtype=torch.int64 if tokens else torch.float32)


class _Tracer(fx.Tracer):
    """Leaves modules whole that are one layer to us."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)


def _traced(model: nn.Module, name: str) -> fx.GraphModule:
    try:
        tracer = _Tracer()
        graph = fx.GraphModule(model, tracer.trace(model), type(model).__name__)
    except Exception as error:  # torch.fx raises whatever the network's own code runs into
        raise ValueError(f"network {name!r} cannot be traced by torch.fx: {_first_line(error)}") from None
    inputs = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise ValueError(f"a network has one input, unlike {name!r} with {', '.join(inputs) or 'none'}")
    return graph


def _logits(model: nn.Module, images: Tensor, name: str) -> Tensor:
    try:
        with torch.no_grad():
            logits = model(images.clone())
    except Exception as error:  # whatever the network's own code runs into
        shape = "x".join(str(size) for size in images.shape[1:])
        raise ValueError(f"network {name!r} does not run on an input of {shape}: {_first_line(error)}") from None
    if not isinstance(logits, Tensor) or logits.shape[:1] != images.shape[:1]:
        shown = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"a network gives one tensor, batch first, but {name!r} gives {shown} for {BATCH} images")
    return logits


def _check_parameters(model: nn.Module, name: str) -> None:
    for path, parameter in model.named_parameters():
        if parameter.dtype is not torch.float32:
            raise ValueError(f"weights are float32, but {path!r} of network {name!r} is {parameter.dtype}")


def _check_calls(graph: fx.GraphModule) -> None:
    """Two calls of one module, or two modules with one tensor, could not have two formats."""
    modules = dict(graph.named_modules())
    calls = Counter(str(node.target) for node in graph.graph.nodes if node.op == "call_module")
    owners: dict[int, str] = {}
    for path, count in calls.items():
        weights = list(modules[path].parameters())
        if weights and count > 1:
            raise ValueError(f"each module with weights is called once, unlike {path!r}")
        for parameter in weights:
            if owners.setdefault(id(parameter), path) != path:
                raise ValueError(f"each module has its own weights, unlike {owners[id(parameter)]!r} and {path!r}")


def merge_batch_norms(graph: fx.GraphModule) -> None:
    """Folds every batch norm that follows a convolution or a linear layer alone into its weights, by Brevitas.

    Its own pass (`MergeBatchNorm`) only knows its own, deprecated copy of fx.
    """
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        layer = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(layer, fx.Node) or layer.op != "call_module" or len(layer.users) > 1:
            continue
        weighted, norm = modules[str(layer.target)], modules[str(node.target)]
        if _merges(weighted, norm, len(layer.meta["tensor_meta"].shape)):
            merge_bn(weighted, norm)
            node.replace_all_uses_with(layer)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _merges(weighted: nn.Module, norm: nn.Module, rank: int) -> bool:
    pair = (type(weighted), type(norm), rank)
    known = ((nn.Conv2d, nn.BatchNorm2d, 4), (nn.Linear, nn.BatchNorm1d, 2))  # a norm of tokens is another axis
    return (
        pair in known and isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.affine and norm.track_running_stats
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
