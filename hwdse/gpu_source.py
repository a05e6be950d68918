"""`model.py` of a build for a GPU: the traced network with packed layers, as source to read.

Each layer and each quantiser names its format there as the design does, so that a reader, and `hwdse verify`, sees what
runs. A quantiser that only packed layers read is part of them: they quantise what they read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import brevitas.nn as qnn
import torch
from torch import fx, nn

from hwdse.design import Design
from hwdse.graph_source import PLACING, imports, indented, plain, tensors
from hwdse.operators import MOVES
from hwdse.quantize import Bench
from hwdse.trace import is_tensor, target_of
from hwdse.weight_codes import Packing

PACKAGE = "deployed"  # the folder of the modules that a build carries
WEIGHTS = "weights.safetensors"

HEADER = '''"""{title}

Made from design {digest} for {device}, with torch {torch}. `load()` gives the model, in evaluation mode, on the GPU
where there is one; `run.py` checks it on the stored sample and times it. Weights are codes, packed in 32-bit words.
"""

from pathlib import Path

import torch
from {package}.gpu_layers import GroupedConv2d, PackedConv2d, PackedLayer, PackedLinear, Quantise, ready
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


def load(device: str | None = None, kernels: dict[str, str] | None = None) -> Model:
    """The model with its weights on `device` (cuda where there is a GPU).

    `kernels` forces what layers run, by layer or for all by "": a kernel with its tile such as
    "a16 float16 128x16:w16:s3:k4:t4", or "reference".
    """
    model = Model()
    model.load_state_dict(load_file(Path(__file__).with_name("{weights}")))
    return ready(model.eval(), Path(__file__).parent, device, kernels or {{}})
'''


@dataclass(frozen=True, slots=True)
class Place:
    """A layer with weights: where it is in the graph, and how its weights are packed."""

    layer: str
    path: str
    site: str  # that it reads
    packing: Packing


def fused(model: fx.GraphModule, places: tuple[Place, ...]) -> list[fx.Node]:
    """The quantisers of `model` that only packed layers read, and those that do nothing: they are in no source."""
    packed = {place.path for place in places}

    def inside(node: fx.Node) -> bool:
        """Whether packed layers alone read `node`, perhaps after values were moved: they quantise what they read."""
        return len(node.users) > 0 and all(
            (user.op == "call_module" and str(user.target) in packed) or (_moves(model, user) and inside(user))
            for user in node.users
        )

    sites = (n for n in model.graph.nodes if n.op == "call_module" and str(n.target).startswith("quant_"))
    return [node for node in sites if type(model.get_submodule(str(node.target))) is nn.Identity or inside(node)]


def _moves(model: fx.GraphModule, node: fx.Node) -> bool:
    """Whether `node` moves the values of one tensor; a quantiser was put into the graph after its shapes were known."""
    taken = [other for other in node.all_input_nodes if is_tensor(other) or str(other.target).startswith("quant_")]
    return node.op.startswith("call") and target_of(model, node) in MOVES and len(taken) == 1


def source(
    model: fx.GraphModule, bench: Bench, design: Design, places: tuple[Place, ...], said: tuple[str, str]
) -> str:
    """The text of `model.py` for the Brevitas `model` of `design`, which is changed; `said`: its title, the device."""
    for node in fused(model, places):
        (before,) = node.all_input_nodes
        node.replace_all_uses_with(before)
        model.graph.erase_node(node)
    for node in model.graph.nodes:
        node.type = None  # annotations name things that the written file does not import
    code = model.graph.python_code("self")
    modules = [f'        _put(self, "{path}", {text})' for path, text in _modules(model, bench, design, places)]
    modules += [f"        {text}" for text in tensors(model)]
    title, device = said
    header = HEADER.format(
        title=title.replace('"', "'").replace("\\", "/"),
        digest=design.digest,
        device=device,
        torch=torch.__version__,
        package=PACKAGE,
        imports="\n".join(imports(code.globals)),
    )
    body = CLASS.format(placing=PLACING, modules="\n".join(modules), forward=indented(code.src), weights=WEIGHTS)
    return header + body


def _modules(
    model: fx.GraphModule, bench: Bench, design: Design, places: tuple[Place, ...]
) -> Iterator[tuple[str, str]]:
    own = {place.path: place for place in places}
    quantisers = {bench.site_path(site): (quantizer.name, site) for site, quantizer in design.activations}
    for path in dict.fromkeys(str(node.target) for node in model.graph.nodes if node.op == "call_module"):
        module = model.get_submodule(path)
        if path in own:
            yield path, _layer(module, own[path], design)
        elif isinstance(module, qnn.QuantIdentity):
            yield path, 'Quantise("{}", site="{}")'.format(*quantisers[path])
        else:
            yield path, plain(path, module)


def _layer(module: nn.Module, place: Place, design: Design) -> str:
    """The call that makes a layer: its shape, then its formats."""
    weights, activations = dict(design.weights)[place.layer].name, dict(design.activations)[place.site].name
    formats = f'weights="{weights}", activations="{activations}", site="{place.site}", layout="{place.packing.name}"'
    bias = f"bias={getattr(module, 'bias', None) is not None}"
    if isinstance(module, nn.Conv2d):
        shape = f"{module.in_channels}, {module.out_channels}, {module.kernel_size}"
        where = f"stride={module.stride}, padding={module.padding}"
        if module.groups > 1:
            return f"GroupedConv2d({shape}, {where}, groups={module.groups}, {formats}, {bias})"
        return f"PackedConv2d({shape}, {where}, {formats}, {bias})"
    assert isinstance(module, nn.Linear)
    return f"PackedLinear({module.in_features}, {module.out_features}, {formats}, {bias})"


def versions() -> dict[str, str]:
    """Of what made a folder."""
    return {"hwdse": version("hwdse"), "torch": torch.__version__, "safetensors": version("safetensors")}
