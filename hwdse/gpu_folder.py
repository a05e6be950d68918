"""The files of a build for a GPU: source, packed weights, the modules they need, a sample, and what is said of them.

Equal designs are equal bytes, of one version of hwdse and torch: there is no clock in them and no path.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import brevitas.nn as qnn
import torch
from safetensors.torch import save
from torch import Tensor, fx, nn

from hwdse import gpu_words
from hwdse.artifact import DESIGN
from hwdse.brevitas_layers import value
from hwdse.carried import carried
from hwdse.cost_model import Run
from hwdse.delivery import Place as Between
from hwdse.design import Design, Quantizer
from hwdse.formats import decode, encode
from hwdse.gpu_check import Checked
from hwdse.gpu_choice import Chosen
from hwdse.gpu_layers import CHOICES, HALVES, scale_shape
from hwdse.gpu_source import PACKAGE, WEIGHTS, source, versions
from hwdse.quantize import Bench
from hwdse.target import GpuTarget

FLOW = "triton"
MODEL, SAMPLE, RUN = "model.py", "sample.safetensors", "run.py"
CARRIED = ("gpu_layers",)  # and all that they import


@dataclass(frozen=True, slots=True)
class Built:
    """A design as a model for a GPU."""

    study: str
    trial: int
    network: str
    design: Design
    target: GpuTarget
    run: Run  # that kernels are chosen for
    layers: tuple[Chosen, ...]

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.network}, quantised as trial {self.trial} of {self.study}"


def inputs(of: Built, bench: Bench, model: fx.GraphModule, sample: dict[str, Tensor]) -> dict[str, bytes]:
    """What runs: all files but README and manifest, for the Brevitas `model` of the design, which is changed."""
    text = source(model, bench, of.design, tuple(one.place for one in of.layers), (of.title, of.target.name))
    tensors = dict(_tensors(of, bench, model))
    kernels = {one.place.path: {str(most): name for most, name in one.kernels} for one in of.layers if one.kernels}
    run = carried(["gpu_run"], PACKAGE)
    return {
        MODEL: text.encode(),
        WEIGHTS: save({name: tensor.contiguous() for name, tensor in sorted(tensors.items())}),
        CHOICES: (json.dumps(kernels, indent=1) + "\n").encode(),
        SAMPLE: save(sample),
        RUN: run.pop(f"{PACKAGE}/gpu_run.py"),
        DESIGN: of.design.text.encode(),
        **carried(CARRIED, PACKAGE),
        f"{PACKAGE}/__init__.py": f'"""Modules of hwdse {versions()["hwdse"]} that the model needs."""\n'.encode(),
    }


def facts(of: Built, checked: Checked) -> dict[str, object]:
    """What the manifest says beside the digests."""
    places = (Between(one.place.layer, (one.place.site,), (), False) for one in of.layers)
    return {
        "flow": FLOW,
        "versions": versions(),
        "study": of.study,
        "trial": of.trial,
        "network": of.network,
        "chosen": of.design.digest,
        "hardware": WEIGHTS,
        "device": of.target.name,
        "batch": of.run.batch,
        "tokens": of.run.tokens,
        "layers": [asdict(place) for place in places],
        "packed": [gpu_words.facts(one) for one in of.layers],
        "agreement": asdict(checked),
    }


# ---- tensors -------------------------------------------------------------------------------------


def _tensors(of: Built, bench: Bench, model: fx.GraphModule) -> Iterator[tuple[str, Tensor]]:
    """The state of the written model: packed layers, quantisers that are left, and what torch computes as it is."""
    activations = dict(of.design.activations)
    own = {one.place.path: one for one in of.layers}
    identities = {bench.site_path(site): site for site in activations}
    for path, one in own.items():
        yield from _packed(path, one, model.get_submodule(path), dict(of.design.weights)[one.place.layer])
        if activations[one.place.site].format.name not in HALVES:
            yield f"{path}.grid.scale", _scale_of(bench, model, path, one.place.site)
    left = {str(node.target) for node in model.graph.nodes if node.op == "call_module"}
    for path, site in identities.items():
        module: Any = model.get_submodule(path)
        if path in left and activations[site].format.name not in HALVES:
            yield f"{path}.scale", value(module.act_quant.scale()).detach().reshape(())
    for name, tensor in model.state_dict().items():
        if not any(name == path or name.startswith(f"{path}.") for path in (*own, *identities)):
            yield name, tensor


def _scale_of(bench: Bench, model: fx.GraphModule, path: str, site: str) -> Tensor:
    """The scale of what a layer reads."""
    module: Any = model.get_submodule(bench.site_path(site))
    layer: Any = model.get_submodule(path)
    quant = module.act_quant if isinstance(module, qnn.QuantIdentity) else layer.input_quant
    scale: Tensor = value(quant.scale()).detach().reshape(())
    return scale.clone()


def _packed(path: str, one: Chosen, module: nn.Module, quantizer: Quantizer) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a packed layer for a Brevitas layer."""
    if not isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
        raise ValueError(f"a layer that a technique rebuilt is not packed, unlike {path!r}")
    scale = value(module.weight_quant.scale()).detach()
    weight = _as_matrix(value(module.quant_weight()).detach())
    scales = _as_matrix(scale.expand(module.weight.shape)) if scale.dim() else scale.expand(weight.shape)
    fmt = quantizer.format
    codes = encode(fmt, weight.double().numpy() / scales.double().numpy(), narrow=quantizer.narrow)
    back = torch.from_numpy(decode(fmt, codes)).float() * scales
    if not torch.equal(back, weight):
        raise ValueError(f"weights of layer {path!r} are no codes of {quantizer.name} times their scales")
    yield f"{path}.words", torch.from_numpy(one.place.packing.pack(codes))
    yield f"{path}.scale", _scales(scales, quantizer)
    if module.bias is not None:
        yield f"{path}.bias", module.bias.detach().clone()


def _as_matrix(weight: Tensor) -> Tensor:
    """`rows x inputs`: of a convolution the pixels of a window, each with its channels."""
    return weight if weight.dim() == 2 else weight.permute(0, 2, 3, 1).flatten(1)


def _scales(scales: Tensor, quantizer: Quantizer) -> Tensor:
    """One of each group, channel, or of all."""
    shape = scale_shape(quantizer, *scales.shape)
    return scales[:, :: quantizer.group or scales.shape[1]][: shape[0] if shape else 1].reshape(shape).clone()


# ---- reading -------------------------------------------------------------------------------------


@contextmanager
def loaded(folder: Path) -> Iterator[ModuleType]:
    """The module `model` of a build, with the modules that it carries."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec = spec_from_file_location("deployed_model", folder / MODEL)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.dont_write_bytecode = written
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if name == PACKAGE or name.startswith(f"{PACKAGE}."):
                del sys.modules[name]


def sample(images: Tensor, labels: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """What is stored to check the model with: images, their classes, and Brevitas's logits."""
    return {"images": images.contiguous(), "labels": labels.contiguous(), "logits": logits.contiguous()}
