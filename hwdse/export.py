"""Writes a quantised network as a folder that needs torch and Brevitas to run, and nothing of this project.

`model.py` is source to read: every layer with the Brevitas quantiser it uses. `weights.safetensors`
holds the parameters and scales, `design.toml` the design. Nothing is pickled.
"""

import os
import shutil
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from operator import attrgetter
from pathlib import Path

import brevitas.nn as qnn
import torch
from safetensors.torch import save_file
from torch import Tensor, fx, nn

from hwdse.design import Design, Quantizer
from hwdse.quantize import Bench
from hwdse.quantizers import IMPORTS, activation_recipe, weight_recipe

CHECKED = 16  # images on which the written model is compared

HEADER = '''"""{title}

Made from design {digest} with brevitas {brevitas} and torch {torch}. `load()` gives the model,
in evaluation mode.
"""

from pathlib import Path

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
{imports}
from safetensors.torch import load_file
from torch import nn
from torch.nn import *
'''

CLASS = '''

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


def _buffer(root: nn.Module, path: str, *shape: int) -> None:
    root, name = _place(root, path)
    root.register_buffer(name, torch.zeros(shape))


class Model(nn.Module):
    """The quantised network."""

    def __init__(self) -> None:
        super().__init__()
{modules}

{forward}


def load() -> Model:
    """The model with its weights and scales."""
    model = Model()
    model.load_state_dict(load_file(Path(__file__).with_name("weights.safetensors")))
    return model.eval()
'''


def export(bench: Bench, design: Design, folder: Path, *, title: str) -> Path:
    """Writes `model.py`, `weights.safetensors` and `design.toml` to `folder`, which must be new or empty."""
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"the folder of an export is new or empty, unlike {folder}")
    model = bench.quantize(design)
    images, _ = next(iter(bench.calibration.batches(CHECKED)))
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")  # renamed when complete
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise ValueError(f"the export folder {folder} cannot be made: {error.strerror}") from None
    try:
        (partial / "model.py").write_text(source(model, bench, design, title))
        save_file(
            {key: tensor.contiguous() for key, tensor in model.state_dict().items()}, partial / "weights.safetensors"
        )
        (partial / "design.toml").write_text(design.text)
        _check(partial, model, images)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial)
        raise
    return folder


def _check(folder: Path, model: fx.GraphModule, images: Tensor) -> None:
    """ValueError unless what was written, read back, gives the logits of `model`."""
    spec = spec_from_file_location("exported_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    with torch.no_grad():
        expected, got = model(images.clone()), module.load()(images.clone())
    if not torch.equal(expected, got):
        raise ValueError(f"the exported model differs from the model by {float((expected - got).abs().max()):.3g}")


def source(model: fx.GraphModule, bench: Bench, design: Design, title: str) -> str:
    """The text of `model.py`."""
    for node in model.graph.nodes:
        node.type = None  # annotations name things that the written file does not import
    code = model.graph.python_code("self")
    modules = [f'        _put(self, "{path}", {text})' for path, text in _modules(model, bench, design)]
    modules += [f"        {text}" for text in _tensors(model)]
    header = HEADER.format(
        title=title.replace('"', "'").replace("\\", "/"),
        digest=design.digest,
        brevitas=version("brevitas"),
        torch=version("torch"),
        imports="\n".join(IMPORTS + _globals(code.globals)),
    )
    return header + CLASS.format(modules="\n".join(modules), forward=_indented(code.src))


def _modules(model: fx.GraphModule, bench: Bench, design: Design) -> list[tuple[str, str]]:
    weights = {bench.traced.layers[layer]: quantizer for layer, quantizer in design.weights}
    sources = {site: activation_recipe(q, bench.dimension(site, q)).source for site, q in design.activations}
    inputs = {path: text for site, text in sources.items() if (path := bench.owner(site)) is not None}
    sites = {bench.site_path(site): text for site, text in sources.items()}
    called = dict.fromkeys(str(node.target) for node in model.graph.nodes if node.op == "call_module")
    found = []
    for path in called:
        module = model.get_submodule(path)
        if path in weights:
            if not isinstance(module, (qnn.QuantConv2d, qnn.QuantLinear)):
                raise ValueError(f"a layer that a technique rebuilt is not exported, unlike {path!r}")
            found.append((path, _layer(module, weights[path], inputs.get(path))))
        elif isinstance(module, qnn.QuantIdentity):
            found.append((path, f"QuantIdentity(act_quant={sites[path]})"))
        else:
            found.append((path, _plain(path, module)))
    return found


def _layer(module: nn.Module, weights: Quantizer, inputs: str | None) -> str:
    if isinstance(module, nn.Conv2d):
        shape = f"{module.in_channels}, {module.out_channels}, {module.kernel_size}"
        place = f", stride={module.stride}, padding={module.padding}, groups={module.groups}"
    else:
        assert isinstance(module, nn.Linear)
        shape, place = f"{module.in_features}, {module.out_features}", ""
    options = f", bias={module.bias is not None}, weight_quant={weight_recipe(weights).source}"
    if inputs is not None:
        options += f", input_quant={inputs}"
    return f"{type(module).__name__}({shape}{place}{options})"


def _plain(path: str, module: nn.Module) -> str:
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


def _tensors(model: fx.GraphModule) -> list[str]:
    """Calls that register the tensors that the network's own code reads."""
    found = []
    for path in dict.fromkeys(str(node.target) for node in model.graph.nodes if node.op == "get_attr"):
        tensor = attrgetter(path)(model)
        kind = "_parameter" if isinstance(tensor, nn.Parameter) else "_buffer"
        found.append(f'{kind}(self, "{path}", {", ".join(str(size) for size in tensor.shape)})')
    return found


def _globals(names: dict[str, object]) -> tuple[str, ...]:
    lines = []
    for name, thing in names.items():
        home, own = getattr(thing, "__module__", None), getattr(thing, "__name__", None)
        if thing is torch or home is None or home == "builtins" or own is None:
            continue
        lines.append(f"from {home} import {own} as {name}")
    return tuple(lines)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else line for line in text.strip().splitlines())
