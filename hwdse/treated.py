"""Layers after techniques that see quantised inputs, made once for everything that they depend on.

What such a technique gives a layer depends on the layer's own quantiser and on all that is upstream of it, and on
nothing else, which a contract test asks of every technique. So a layer is kept under a key made of just that, and a
design that differs from an earlier one only downstream takes it from there: the technique works on the other layers
alone, in a network whose upstream layers are what it had made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hwdse.brevitas_layers import quantised_weight
from hwdse.design import Design, Step
from hwdse.program import Key, Weights

if TYPE_CHECKING:
    from hwdse.quantize import Bench

Steps = tuple[tuple[Step, tuple[str, ...]], ...]  # each with the layers that it works on


@dataclass(frozen=True, slots=True, eq=False)
class Treated:
    """The tensors of a layer after a step: weights, bias, and what its quantiser keeps."""

    state: Mapping[str, Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(tensor.nbytes for tensor in self.state.values())


def treated(bench: Bench, design: Design, steps: Steps) -> dict[str, Weights]:
    """The weights of every layer of `design` after `steps`, equal to those of `Bench.quantize`."""
    names = _names(design, steps)
    keys = bench.program.layer_keys({site: q.name for site, q in design.activations}, names)
    found = {layer: bench.memory.weights.get((layer, keys[layer].hex())) for layer, _ in design.weights}
    kept = {layer: own for layer, own in found.items() if own is not None}
    return kept if len(kept) == len(found) else _make(bench, design, steps, keys)


def _names(design: Design, steps: Steps) -> dict[str, str]:
    """What decides the weights of each layer, beside what is upstream."""
    treatments = {
        layer: "".join(f" {step.name}" for step, layers in steps if layer in layers) for layer, _ in design.weights
    }
    return {layer: f"{quantizer.name}{treatments[layer]}" for layer, quantizer in design.weights}


def _make(bench: Bench, design: Design, steps: Steps, keys: Mapping[str, Key]) -> dict[str, Weights]:
    model = bench.brevitas_model(design)
    for number, (step, layers) in enumerate(steps):
        known = {layer: bench.memory.treatments.get((keys[layer], number)) for layer in layers}
        for layer, state in known.items():
            if state is not None:
                _restore(model.get_submodule(bench.path(layer)), state)
        new = tuple(layer for layer, state in known.items() if state is None)
        bench.apply(step, model, new, must=len(new) == len(layers))
        for layer in new:
            bench.memory.treatments.put((keys[layer], number), _state(model.get_submodule(bench.path(layer))))
    found: dict[str, Weights] = {}
    for layer, quantizer in design.weights:
        made: Any = model.get_submodule(bench.path(layer))
        found[layer] = Weights(keys[layer].hex(), quantised_weight(made, layer, quantizer), _copy(made.bias))
        bench.memory.weights.put((layer, keys[layer].hex()), found[layer])
    return found


def _restore(module: Any, treated: Treated) -> None:
    if "bias" in treated.state and module.bias is None:
        module.register_parameter("bias", torch.nn.Parameter(treated.state["bias"].clone()))
    module.load_state_dict(treated.state)


def _state(module: Any) -> Treated:
    return Treated({name: tensor.clone() for name, tensor in module.state_dict().items()})


def _copy(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.detach().clone()
