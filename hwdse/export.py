"""Writes a quantised network as a folder that needs torch and Brevitas to run, and nothing of this project.

`model.py` is source to read: every layer with the Brevitas quantiser it uses. `weights.safetensors`
holds the parameters and scales, `design.toml` the design. Nothing is pickled.
"""

import inspect
import os
import shutil
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import brevitas.nn as qnn
import torch
from safetensors.torch import save_file
from torch import Tensor, fx, nn

from hwdse.casts import Cast
from hwdse.design import Design, Quantizer
from hwdse.formats import HalfFormat
from hwdse.graph_source import PLACING, imports, indented, plain, tensors, written_out
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
{placing}

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
    model = written_out(bench.quantize(design))
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
    modules += [f"        {text}" for text in tensors(model)]
    header = HEADER.format(
        title=title.replace('"', "'").replace("\\", "/"),
        digest=design.digest,
        brevitas=version("brevitas"),
        torch=version("torch"),
        imports="\n".join(IMPORTS + imports(code.globals)),
    )
    if any(isinstance(quantizer.format, HalfFormat) for _, quantizer in design.activations):
        header += f"\n\n{inspect.getsource(Cast)}"
    return header + CLASS.format(placing=PLACING, modules="\n".join(modules), forward=indented(code.src))


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
            found.append((path, plain(path, module)))
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
