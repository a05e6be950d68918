"""Causal language models of Hugging Face's transformers as graphs whose linear layers are layers of ours.

`torch.fx` cannot follow the Python of these models, but `torch.export` can: it gives their operators one by one. Of
these, products with weights become `nn.Linear` again, by the names that the model has for them, what does not depend
on the tokens becomes a constant, and all else stays as it is, computed in float.
"""

import warnings
from copy import copy
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.graph import CodeGen

from hwdse.text import Encode

PREFIX = "huggingface:"
INNER = "model"  # where `CausalLm` has the model
ATEN = torch.ops.aten
NO_WEIGHTS = (ATEN.addmm.default, ATEN.mm.default, ATEN.bmm.default, ATEN.matmul.default, ATEN.linear.default)


class CausalLm(nn.Module):
    """Tokens `n x context` (int64) to the logits of the token after each, `n x context x vocabulary`."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """The logits of `x`."""
        logits: Tensor = self.model(input_ids=x, use_cache=False).logits
        return logits

    def exported(self, tokens: Tensor) -> fx.GraphModule:
        """The graph for sequences as long as those of `tokens`, as many as one likes, with `nn.Linear` in it."""
        batch = torch.export.Dim("batch")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of transformers about itself, and of torch about its own parts
                program = torch.export.export(self, (tokens,), dynamic_shapes=({0: batch},), strict=False)
                exported: Any = program.run_decompositions({}).module(check_guards=False)
        except Exception as error:  # whatever the model's own code runs into
            raise ValueError(f"the model {self.name!r} cannot be exported by torch.export: {_line(error)}") from None
        return _cleaned(exported, self.model, self.name)


def load(name: str) -> CausalLm:
    """The causal language model of the Hub, or of a folder, that `huggingface:...` names, in float32."""
    transformers = _import(name)
    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            name.removeprefix(PREFIX), attn_implementation="eager"
        )
    except Exception as error:  # of the Hub, of files, of settings: transformers raises what it likes
        raise ValueError(f"the model {name!r} could not be loaded: {_line(error)}") from None
    model = model.float().eval().requires_grad_(False)
    for path, module in list(model.named_modules()):
        if type(module).__name__ == "Conv1D":  # a linear layer of GPT-2, with its weights the other way round
            model.set_submodule(path, _linear(module.weight.t(), module.bias))
    return CausalLm(model, name)


def encoder(name: str) -> Encode:
    """The tokenizer of the model, which adds no tokens of its own."""
    transformers = _import(name)
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(name.removeprefix(PREFIX))
    except Exception as error:
        raise ValueError(f"the tokenizer of {name!r} could not be loaded: {_line(error)}") from None

    def encode(content: bytes) -> Tensor:
        ids = tokenizer(content.decode("utf-8"), add_special_tokens=False, verbose=False)["input_ids"]
        return torch.tensor(ids, dtype=torch.int64)

    return encode


def _import(name: str) -> Any:  # a module that may not be there has no types
    try:
        return import_module("transformers")
    except ImportError:
        raise ValueError(f"the model {name!r} needs transformers: pip install transformers") from None


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    made.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)  # its own, where an embedding shares it
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return made


# ---- from the operators to a graph of ours ---------------------------------------------------


def _cleaned(exported: fx.GraphModule, model: nn.Module, name: str) -> fx.GraphModule:
    root, graph = exported.get_submodule(INNER), exported.graph
    _rename(exported, root)
    graph.set_codegen(CodeGen())
    (output,) = (node for node in graph.nodes if node.op == "output")
    ((logits,),) = output.args
    output.args = (logits,)
    for node in list(graph.nodes):
        if node.target is ATEN._assert_tensor_metadata.default:
            graph.erase_node(node)
    made = fx.GraphModule(root, graph, type(model).__name__)
    _fold_constants(made)
    for node in list(made.graph.nodes):
        if node.target is ATEN.linear.default and node.args[1].op == "get_attr":
            weight, bias = (_attribute(made, argument) for argument in (*node.args[1:], None)[:2])
            _put(made, node, _linear(weight, bias), node.args[0])
        elif node.target is ATEN.embedding.default and node.args[0].op == "get_attr":
            _put(made, node, nn.Embedding.from_pretrained(_attribute(made, node.args[0]).detach()), node.args[1])
    made.graph.eliminate_dead_code()
    _check_products(made.graph, name)
    made.recompile()
    for node in made.graph.nodes:
        node.meta = {key: node.meta[key] for key in ("nn_module_stack",) if key in node.meta}
    return made


def _rename(exported: fx.GraphModule, root: nn.Module) -> None:
    """Gives parameters the names that they have in the model, and the model what else the graph reads."""
    for node in exported.graph.nodes:
        if node.op == "get_attr" and str(node.target).startswith(f"{INNER}."):
            node.target = str(node.target).removeprefix(f"{INNER}.")
        elif node.op == "get_attr":
            root.register_buffer(str(node.target), getattr(exported, str(node.target)))
        stack = node.meta.get("nn_module_stack")
        if stack:
            node.meta["nn_module_stack"] = {key: (_own_path(path), kind) for key, (path, kind) in stack.items()}


def _own_path(path: str) -> str:
    """Of a module in the model: `export` counts from `CausalLm`, which has it as `model`."""
    return "" if path == INNER else path.removeprefix(f"{INNER}.")


def _put(made: fx.GraphModule, node: fx.Node, module: nn.Module, operand: fx.Node) -> None:
    """Calls `module` at `operand`, by the name of the model's module that made `node`, in its place."""
    path = next(reversed(node.meta["nn_module_stack"].values()))[0]
    for key, buffer in made.get_submodule(path).named_buffers(recurse=False):
        module.register_buffer(key, buffer)  # others read it
    made.set_submodule(path, module)
    with made.graph.inserting_before(node):
        called = made.graph.call_module(path, (operand,))
    called.meta = copy(node.meta)
    node.replace_all_uses_with(called)
    made.graph.erase_node(node)


def _fold_constants(made: fx.GraphModule) -> None:
    """Puts what no token has a say in, such as positions, into buffers."""
    known: dict[fx.Node, Any] = {}
    for node in made.graph.nodes:
        if node.op == "get_attr":
            known[node] = _attribute(made, node)
        elif node.op == "call_function" and all(taken in known for taken in node.all_input_nodes):
            args, kwargs = fx.map_arg((node.args, node.kwargs), known.__getitem__)
            known[node] = node.target(*args, **kwargs)
    for number, (node, value) in enumerate(list(known.items())):
        if node.op == "get_attr" or all(user in known for user in node.users):
            continue
        made.register_buffer(f"constant_{number}", value.detach().clone())
        with made.graph.inserting_before(node):
            node.replace_all_uses_with(made.graph.get_attr(f"constant_{number}"))
    made.graph.eliminate_dead_code()


def _check_products(graph: fx.Graph, name: str) -> None:
    """ValueError for weights that no linear layer multiplies with: nothing stays in float without a word."""
    for node in graph.nodes:
        if node.target in NO_WEIGHTS and any(_weight(taken) for taken in node.all_input_nodes):
            raise ValueError(f"weights are those of linear layers, unlike at {node.name!r} of the model {name!r}")


def _weight(node: fx.Node) -> bool:
    while node.op == "call_function" and len(node.all_input_nodes) == 1:
        node = node.all_input_nodes[0]
    return node.op == "get_attr" and not str(node.target).startswith("constant_")


def _attribute(root: nn.Module, node: fx.Node | None) -> Any:
    if node is None:
        return None
    *owners, name = str(node.target).split(".")
    return getattr(root.get_submodule(".".join(owners)), name)


def _line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {lines[0].strip()}"
