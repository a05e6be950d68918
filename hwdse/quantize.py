"""Quantises a float network in any way a `Design` says, with Brevitas's own quantisers.

A `Bench` holds the network and its calibration data and makes two things from a design: the
Brevitas model (the reference, and what is exported), and the same network without Brevitas layers
(`shell`: cached quantised weights and calibrated quantisers, equal logits). Activation quantisers
are calibrated as Brevitas does it, on the float network, and once per site and quantiser, because a
calibration never sees the other quantisers.
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import fields
from hashlib import blake2b
from math import inf
from typing import Any, Protocol

import torch
from brevitas.graph.calibrate import calibration_mode
from torch import Tensor, fx, nn

from hwdse.brevitas_layers import activation_layer, effective_state, quantised_weight, weight_layer
from hwdse.design import Design, Quantizer, Step
from hwdse.graphs import copied, site_path, watch, with_sites
from hwdse.plugins import named
from hwdse.technique import Sees, Technique
from hwdse.trace import Traced, trace
from hwdse.workload import Workload

CALIBRATION_BATCH = 256  # images; Brevitas averages the statistics of several batches
WEIGHT_CACHE_BYTES = 1 << 30  # quantised weights that are kept; the oldest go first


class Images(Protocol):
    """Calibration data: batches of images (float32, n x C x H x W) and labels."""

    @property
    def digest(self) -> str:
        """Names the data."""

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The images in order, `size` at a time."""


class Bench:
    """A float network with its calibration data: everything that quantising it needs."""

    def __init__(self, traced: Traced, calibration: Images) -> None:
        self.traced = traced
        self.workload: Workload = traced.workload
        self.calibration = calibration
        self._derived: dict[tuple[tuple[Step, tuple[str, ...]], ...], Bench] = {}
        self._forget()

    def _forget(self) -> None:
        """Drops what was made of the float network, before or after it changed."""
        self._activations: dict[tuple[str, Quantizer], nn.Module] = {}
        self._weights: dict[tuple[str, Quantizer], Tensor] = {}
        self._shell: fx.GraphModule | None = None
        self._nonnegative: frozenset[str] | None = None

    @classmethod
    def of(cls, model: nn.Module, calibration: Images, name: str, *, hardware: bool = True) -> "Bench":
        """The bench of a trained `model`, which is not changed."""
        images, _ = next(iter(calibration.batches(1)))
        return cls(trace(model, images, name, hardware=hardware), calibration)

    @property
    def nonnegative(self) -> frozenset[str]:
        """The sites where calibration saw no negative value, so that a sign bit would be wasted."""
        if self._nonnegative is None:
            lowest = dict.fromkeys(self.traced.taps, inf)

            def look(site: str, x: Tensor) -> None:
                lowest[site] = min(lowest[site], float(x.min()))

            self._watch(lowest, look)
            self._nonnegative = frozenset(site for site, low in lowest.items() if low >= 0)
        return self._nonnegative

    @property
    def digest(self) -> str:
        """Names the float network (its code, its modules, its weights) and the calibration data."""
        graph = self.traced.graph
        digest = blake2b(f"{self.calibration.digest}\n{graph.code}\n{graph}".encode(), digest_size=8)
        for key, tensor in sorted(graph.state_dict().items()):
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    # ---- parts -------------------------------------------------------------------------------

    def weight(self, layer: str, quantizer: Quantizer) -> Tensor:
        """The quantised weights of `layer`, as Brevitas gives them (not to be written to)."""
        if (layer, quantizer) not in self._weights:
            weight = quantised_weight(self._brevitas_layer(layer, quantizer), layer, quantizer)
            self._weights[layer, quantizer] = weight
            while len(self._weights) > 1 and sum(w.nbytes for w in self._weights.values()) > WEIGHT_CACHE_BYTES:
                del self._weights[next(iter(self._weights))]
            return weight
        return self._weights[layer, quantizer]

    def calibrate(self, pairs: Iterable[tuple[str, Quantizer]]) -> None:
        """Calibrates the quantisers that are not yet, all in one pass over the calibration data."""
        new = {pair: activation_layer(pair[1]) for pair in pairs if pair not in self._activations}
        if not new:
            return

        def collect(site: str, x: Tensor) -> None:
            for (where, _), module in new.items():
                if where == site:
                    module(x)

        with torch.no_grad(), calibration_mode(nn.ModuleList(new.values())):
            self._watch({site for site, _ in new}, collect)
        self._activations |= {pair: module.eval() for pair, module in new.items()}

    def _watch(self, sites: Iterable[str], visit: Any) -> None:
        wanted = set(sites)
        with torch.no_grad():
            for images, _ in self.calibration.batches(CALIBRATION_BATCH):
                watch(self.traced, wanted, images, visit)

    def _brevitas_layer(self, layer: str, quantizer: Quantizer) -> Any:
        module = self.traced.graph.get_submodule(self._path(layer))
        try:
            return weight_layer(module, quantizer)
        except ValueError as error:
            raise ValueError(f"layer {layer!r}: {error}") from None

    def _path(self, layer: str) -> str:
        if layer not in self.traced.layers:
            raise ValueError(f"no layer {layer!r} with weights; known: {', '.join(self.traced.layers)}")
        return self.traced.layers[layer]

    def site_path(self, site: str) -> str:
        """The module path of the quantiser of `site` in the graphs that this bench makes."""
        return site_path(self.traced, site)

    def owner(self, site: str) -> str | None:
        """The module path of the layer with weights whose input `site` is, if inputs are quantised layer by layer."""
        if site not in self.traced.operands:
            return None
        return self.traced.layers.get(self.workload.site(site).consumers[0])

    # ---- whole networks ----------------------------------------------------------------------

    def shell(self, design: Design) -> fx.GraphModule:
        """The float graph with the quantised weights and activation quantisers of `design` in it.

        One graph is reused for all designs: the result is valid until the next call. Only for
        designs whose recipe sees no quantised inputs.
        """
        self.workload.check(design)
        bench, late = self.after_float_steps(design)
        if late:
            raise ValueError(f"step {late[0].name!r} sees quantized inputs: it needs the Brevitas model")
        return bench._fill_shell(design)

    def _fill_shell(self, design: Design) -> fx.GraphModule:
        if self._shell is None:
            self._shell = with_sites(self.traced)
        for site, identity in self._quantisers(design):
            self._shell.set_submodule(self.site_path(site), identity)
        for layer, quantizer in design.weights:
            module = self._shell.get_submodule(self._path(layer))
            module._parameters["weight"] = self.weight(layer, quantizer)  # type: ignore[assignment]
        return self._shell

    def quantize(self, design: Design) -> fx.GraphModule:
        """The Brevitas model of `design`: `QuantConv2d`, `QuantLinear` and `QuantIdentity` in the network's graph."""
        self.workload.check(design)
        bench, late = self.after_float_steps(design)
        model = bench._brevitas_model(design)
        for step in late:
            bench._apply(step, model, bench._layers_of(step, design))
            bench._check_grids(model, design)
        return model

    def _check_grids(self, model: fx.GraphModule, design: Design) -> None:
        for layer, quantizer in design.weights:
            quantised_weight(model.get_submodule(self._path(layer)), layer, quantizer)

    def _brevitas_model(self, design: Design) -> fx.GraphModule:
        model = with_sites(self.traced)
        for layer, quantizer in design.weights:
            self.weight(layer, quantizer)  # checks the grid
            model.set_submodule(self._path(layer), self._brevitas_layer(layer, quantizer))
        for site, shared in self._quantisers(design):
            identity: Any = deepcopy(shared)
            if owner := self.owner(site):  # as in Brevitas's layerwise models
                model.get_submodule(owner).input_quant = identity.act_quant
            else:
                model.set_submodule(self.site_path(site), identity)
        return model.eval()

    def _quantisers(self, design: Design) -> list[tuple[str, nn.Module]]:
        """The calibrated quantiser of every site, in evaluation mode (shared; not to be changed)."""
        for site, quantizer in design.activations:
            if not quantizer.format.signed and site not in self.nonnegative:
                raise ValueError(f"calibration saw negative values at {site!r}, which {quantizer.name} has none of")
        self.calibrate(design.activations)
        return [(site, self._activations[site, quantizer]) for site, quantizer in design.activations]

    # ---- techniques --------------------------------------------------------------------------

    def after_float_steps(self, design: Design) -> tuple["Bench", tuple[Step, ...]]:
        """The bench after the steps that act on the float network, and the steps that are left."""
        early = tuple(s for s in design.recipe if technique(s).sees is not Sees.QUANTIZED_INPUTS)
        if early != design.recipe[: len(early)]:
            raise ValueError(f"a step that acts on the float network comes before {design.recipe[0].name!r}")
        if not early:
            return self, design.recipe
        key = tuple((step, self._layers_of(step, design)) for step in early)
        if key not in self._derived:
            bench = Bench(copied(self.traced), self.calibration)
            for step, layers in key:
                bench._apply(step, bench.traced.graph, layers)
                bench._forget()
            self._derived = {key: bench}  # one at a time: a study has one recipe
        return self._derived[key], design.recipe[len(early) :]

    def _layers_of(self, step: Step, design: Design) -> tuple[str, ...]:
        """The layers that `step` works on."""
        method, quantizers = technique(step), dict(design.weights)
        for layer in step.scope or ():
            self._path(layer)
        inside = [a for a in self.workload.weighted if step.scope is None or a.name in step.scope]
        return tuple(layer.name for layer in inside if method.supports(layer, quantizers.get(layer.name)))

    def _apply(self, step: Step, graph: fx.GraphModule, layers: tuple[str, ...]) -> None:
        before = effective_state(graph)
        technique(step).apply(graph, self, {layer: self._path(layer) for layer in layers})
        after = effective_state(graph)
        if before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before):
            raise ValueError(f"step {step.name!r} changed nothing in network {self.workload.name!r}")


def technique(step: Step) -> Technique:
    """The technique of `step`, with its settings; ValueError for one that it does not have, or of another type."""
    kind = named("hwdse.techniques", Technique, step.technique)  # type: ignore[type-abstract]
    defaults = {field.name: field.default for field in fields(kind)}
    for key, value in step.settings:
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            raise ValueError(f"no setting {key!r} of technique {step.technique!r}; known: {known}")
        wanted = type(defaults[key])
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            rule = f"setting {key!r} of technique {step.technique!r} is {wanted.__name__}"
            raise ValueError(f"{rule}, not {value!r}")
    return kind(**dict(step.settings))
