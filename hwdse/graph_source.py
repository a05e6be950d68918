"""A traced network as source text: what writes one so that torch alone reads it.

torch gives the code of a graph; here are its modules, as the calls that make them, and the tensors that it reads.
"""

from operator import attrgetter

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate

from hwdse.attention import CausalSoftmax

PLACING = """
def _put(root: nn.Module, path: str, module: nn.Module) -> None:
    root, name = _place(root, path)
    root.add_module(name, module)


def _place(root: nn.Module, path: str) -> tuple[nn.Module, str]:
    *parents, name = path.split(".")
    for parent in parents:
        if not hasattr(root, parent):
            root.add_module(parent, nn.Module())
        root = getattr(root, parent)
    return root, name


def _parameter(root: nn.Module, path: str, *shape: int) -> None:
    root, name = _place(root, path)
    root.register_parameter(name, nn.Parameter(torch.zeros(shape)))


def _buffer(root: nn.Module, path: str, *shape: int, dtype: torch.dtype = torch.float32) -> None:
    root, name = _place(root, path)
    root.register_buffer(name, torch.zeros(shape, dtype=dtype))
"""


def written_out(model: fx.GraphModule) -> fx.GraphModule:
    """`model` itself, to be written as a file that does without hwdse and runs on any device.

    Every `CausalSoftmax` becomes operators and a mask, a buffer that layers of as many tokens share; and what an
    operator makes is where the input is, whatever device the graph was traced on.
    """
    for node in list(model.graph.nodes):
        module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not isinstance(module, CausalSoftmax):
            continue
        name = f"future_{len(module.future)}"
        if not hasattr(model, name):
            model.register_buffer(name, module.future.clone())
        with model.graph.inserting_before(node):
            future = model.graph.get_attr(name)
            scores = model.graph.call_method("masked_fill", (node.args[0], future, float("-inf")))
            node.replace_all_uses_with(model.graph.call_method("softmax", (scores, -1)))
        model.graph.erase_node(node)
    _with_the_input(model.graph)
    model.delete_all_unused_submodules()
    model.recompile()
    return model


def _with_the_input(graph: fx.Graph) -> None:
    """Puts the device of the input in place of each that an operator names."""
    named = [node for node in graph.nodes if any(isinstance(own, torch.device) for own in _settings(node))]
    if not named:
        return
    *_, given = (node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(given):
        device = graph.call_function(getattr, (given, "device"))
    for node in named:
        settings = node.args, node.kwargs
        node.args, node.kwargs = map_aggregate(settings, lambda own: device if isinstance(own, torch.device) else own)


def _settings(node: fx.Node) -> list[object]:
    """Everything that an operator is given, in lists too."""
    found: list[object] = []
    map_aggregate((node.args, node.kwargs), found.append)
    return found


def plain(path: str, module: nn.Module) -> str:
    """torch's own representation, which for its layers is the call that makes them, plus what it leaves out."""
    text = repr(module)
    if missing := _unlike(path, text, module):
        text = f"{text[:-1]}{', ' if text[-2] != '(' else ''}{', '.join(missing)})"
        if _unlike(path, text, module):
            raise ValueError(f"no source for module {path!r}: {text} is not what makes it")
    return text


def _unlike(path: str, text: str, module: nn.Module) -> list[str]:
    """The settings in which what `text` makes differs from `module`."""
    try:
        made = eval(text, dict(vars(nn)))
    except Exception as error:
        raise ValueError(f"no source for module {path!r}, {text}: {error}") from None
    if type(made) is not type(module) or made.state_dict().keys() != module.state_dict().keys():
        raise ValueError(f"no source for module {path!r}: {text} is not what makes it")
    settings = [name for name in getattr(type(module), "__constants__", ()) if hasattr(module, name)]
    return [f"{s}={getattr(module, s)!r}" for s in settings if getattr(made, s) != getattr(module, s)]


def tensors(model: fx.GraphModule) -> list[str]:
    """Calls that register the tensors that the network's own code reads."""
    found = []
    for path in dict.fromkeys(str(node.target) for node in model.graph.nodes if node.op == "get_attr"):
        tensor = attrgetter(path)(model)
        kind = "_parameter" if isinstance(tensor, nn.Parameter) else "_buffer"
        arguments = [f'"{path}"', *map(str, tensor.shape)]
        arguments += [f"dtype={tensor.dtype}"] * (tensor.dtype is not torch.float32)
        found.append(f"{kind}(self, {', '.join(arguments)})")
    return found


def imports(names: dict[str, object]) -> tuple[str, ...]:
    """Lines that import the things that the code of a graph names."""
    lines = []
    for name, thing in names.items():
        if isinstance(thing, float):  # inf, nan
            lines.append(f"from math import {name}")
        home, own = getattr(thing, "__module__", None), getattr(thing, "__name__", None)
        if thing is torch or home is None or home == "builtins" or own is None:
            continue
        lines.append(f"from {home} import {own} as {name}")
    return tuple(lines)


def indented(text: str) -> str:
    """`text` as the body of a class."""
    return "\n".join(f"    {line}" if line else line for line in text.strip().splitlines())
