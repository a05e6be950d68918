"""Quantises a float network in any way a `Design` says, with Brevitas's own quantisers.

A `Bench` holds the network and its calibration data and makes three things from a design: the
Brevitas model (the reference, and what is exported), the same model without its Brevitas layers
(`shell`: cached quantised weights, cached activation quantisers, equal logits), and the parts of
both. Activation quantisers are calibrated as Brevitas does it, on the float network, and once per
site and quantiser, because a calibration never sees the other quantisers.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import fields
from hashlib import blake2b
from typing import Any, Protocol

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.graph.calibrate import calibration_mode
from torch import Tensor, fx, nn

from hwdse.design import Design, Quantizer, Step
from hwdse.formats import magnitude, values
from hwdse.plugins import named
from hwdse.quantizers import activation_recipe, weight_recipe
from hwdse.technique import Sees, Technique
from hwdse.trace import Traced, trace
from hwdse.workload import Workload

CALIBRATION_BATCH = 256  # images; Brevitas averages the statistics of several batches


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
        self._activations: dict[tuple[str, Quantizer], nn.Module] = {}
        self._weights: dict[tuple[str, Quantizer], Tensor] = {}
        self._derived: dict[tuple[Step, ...], Bench] = {}
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
            lowest = dict.fromkeys(self.traced.taps, np.inf)
            for batch in self._observe(set(lowest)):
                lowest = {site: min(lowest[site], float(x.min())) for site, x in batch.items()}
            self._nonnegative = frozenset(site for site, low in lowest.items() if low >= 0)
        return self._nonnegative

    @property
    def digest(self) -> str:
        """Names the float weights and the calibration data."""
        state = self.traced.graph.state_dict()
        digest = blake2b(self.calibration.digest.encode(), digest_size=8)
        for key in sorted(state):
            digest.update(key.encode() + state[key].numpy().tobytes())
        return digest.hexdigest()

    # ---- parts -------------------------------------------------------------------------------

    def weight(self, layer: str, quantizer: Quantizer) -> Tensor:
        """The quantised weights of `layer`, as Brevitas gives them (not to be written to)."""
        if (layer, quantizer) not in self._weights:
            module: Any = self._brevitas_layer(layer, quantizer)
            with torch.no_grad():
                weight = _value(module.quant_weight()).detach()
            check_grid(weight, module, layer, quantizer)
            self._weights[layer, quantizer] = weight
        return self._weights[layer, quantizer]

    def activation(self, site: str, quantizer: Quantizer) -> nn.Module:
        """The calibrated quantiser of `site`, in evaluation mode (shared; not to be trained)."""
        self.calibrate([(site, quantizer)])
        return self._activations[site, quantizer]

    def calibrate(self, pairs: Iterable[tuple[str, Quantizer]]) -> None:
        """Calibrates the quantisers that are not yet, all in one pass over the calibration data."""
        new = {pair: _identity(pair[1]) for pair in pairs if pair not in self._activations}
        if not new:
            return
        holder = nn.ModuleList(new.values())
        with torch.no_grad(), calibration_mode(holder):
            for batch in self._observe({site for site, _ in new}):
                for (site, _), module in new.items():
                    module(batch[site])
        holder.eval()
        self._activations |= new

    def _observe(self, sites: set[str]) -> Iterator[dict[str, Tensor]]:
        """What the float network computes at `sites`, batch by batch; a site's tensors one after the other."""
        taps = {site: nodes for site, nodes in self.traced.taps.items() if site in sites}
        with torch.no_grad():
            for images, _ in self.calibration.batches(CALIBRATION_BATCH):
                seen = _Observer(self.traced.graph, {node for nodes in taps.values() for node in nodes}).observe(images)
                yield {site: torch.cat([seen[node].reshape(-1) for node in nodes]) for site, nodes in taps.items()}

    def _brevitas_layer(self, layer: str, quantizer: Quantizer) -> nn.Module:
        module = self.traced.graph.get_submodule(self._path(layer))
        try:
            recipe = weight_recipe(quantizer)
        except ValueError as error:
            raise ValueError(f"layer {layer!r}: {error}") from None
        return brevitas_layer(module, recipe.injector)

    def _path(self, layer: str) -> str:
        if layer not in self.traced.layers:
            raise ValueError(f"no layer {layer!r} with weights; known: {', '.join(self.traced.layers)}")
        return self.traced.layers[layer]

    # ---- whole networks ----------------------------------------------------------------------

    def site_path(self, site: str) -> str:
        """The module path of the quantiser of `site` in the graphs that this bench makes."""
        return _site_path(self.traced, site)

    def check(self, design: Design) -> None:
        """ValueError unless `design` quantises every layer and every site of this network, and nothing else."""
        if design.hardware != self.workload.hardware:
            raise ValueError(f"the design has hardware = {design.hardware}, the network was traced with the opposite")
        _check_names("layer", dict(design.weights), [layer.name for layer in self.workload.weighted])
        _check_names("activation site", dict(design.activations), [site.name for site in self.workload.sites])

    def shell(self, design: Design) -> fx.GraphModule:
        """The float graph with the quantised weights and activation quantisers of `design` in it.

        One graph is reused for all designs: the result is valid until the next call. Only for
        designs whose recipe sees no quantised inputs.
        """
        self.check(design)
        bench, late = self.after_float_steps(design)
        if late:
            raise ValueError(f"step {late[0].name!r} sees quantized inputs: it needs the Brevitas model")
        return bench._fill_shell(design)

    def _fill_shell(self, design: Design) -> fx.GraphModule:
        if self._shell is None:
            self._shell = with_sites(self.traced)
        self.calibrate(design.activations)
        for site, quantizer in design.activations:
            self._shell.set_submodule(self.site_path(site), self._activations[site, quantizer])
        for layer, quantizer in design.weights:
            module = self._shell.get_submodule(self._path(layer))
            module._parameters["weight"] = self.weight(layer, quantizer)  # type: ignore[assignment]
        return self._shell

    def quantize(self, design: Design) -> fx.GraphModule:
        """The Brevitas model of `design`: `QuantConv2d`, `QuantLinear` and `QuantIdentity` in the network's graph."""
        self.check(design)
        bench, late = self.after_float_steps(design)
        model = bench._brevitas_model(design)
        for step in late:
            bench._apply(step, model, design)
        return model

    def _brevitas_model(self, design: Design) -> fx.GraphModule:
        model = with_sites(self.traced)
        for layer, quantizer in design.weights:
            self.weight(layer, quantizer)  # checks the grid
            model.set_submodule(self._path(layer), self._brevitas_layer(layer, quantizer))
        self.calibrate(design.activations)
        for site, quantizer in design.activations:
            identity = deepcopy(self._activations[site, quantizer])
            if owner := self.owner(site):  # as in Brevitas's layerwise models
                model.get_submodule(owner).input_quant = identity.act_quant
            else:
                model.set_submodule(self.site_path(site), identity)
        return model.eval()

    def owner(self, site: str) -> str | None:
        """The layer with weights whose input `site` is, if activations are quantised layer by layer."""
        if site not in self.traced.operands:
            return None
        layer = self.workload.site(site).consumers[0]
        return self.traced.layers.get(layer)

    # ---- techniques --------------------------------------------------------------------------

    def after_float_steps(self, design: Design) -> tuple["Bench", tuple[Step, ...]]:
        """The bench after the steps that act on the float network, and the steps that are left."""
        early = tuple(s for s in design.recipe if technique(s).sees is not Sees.QUANTIZED_INPUTS)
        late = design.recipe[len(early) :]
        if early != design.recipe[: len(early)]:
            raise ValueError(f"a step that acts on the float network comes before {design.recipe[0].name!r}")
        if early and early not in self._derived:
            bench = Bench(self._copy(), self.calibration)
            for step in early:
                bench._apply(step, bench.traced.graph, design)
            self._derived = {early: bench}  # one at a time: a study has one recipe
        return (self._derived[early] if early else self), late

    def _copy(self) -> Traced:
        graph = deepcopy(self.traced.graph)
        nodes = {node.name: node for node in graph.graph.nodes}
        taps = {site: tuple(nodes[n.name] for n in tapped) for site, tapped in self.traced.taps.items()}
        operands = {site: (nodes[n.name], at) for site, (n, at) in self.traced.operands.items()}
        return Traced(graph, self.workload, taps, operands, self.traced.layers)

    def _apply(self, step: Step, graph: fx.GraphModule, design: Design) -> None:
        method, quantizers = technique(step), dict(design.weights)
        for layer in step.scope or ():
            self._path(layer)
        chosen = {
            layer.name: self._path(layer.name)
            for layer in self.workload.weighted
            if (step.scope is None or layer.name in step.scope) and method.supports(layer, quantizers.get(layer.name))
        }
        before = {key: tensor.clone() for key, tensor in graph.state_dict().items()}
        method.apply(graph, self, chosen)
        after = graph.state_dict()
        if before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before):
            raise ValueError(f"step {step.name!r} changed nothing in network {self.workload.name!r}")


def technique(step: Step) -> Technique:
    """The technique of `step`, with its settings."""
    kind = named("hwdse.techniques", Technique, step.technique)  # type: ignore[type-abstract]
    known = [field.name for field in fields(kind)]
    for key, _ in step.settings:
        if key not in known:
            raise ValueError(f"no setting {key!r} of technique {step.technique!r}; known: {', '.join(known) or 'none'}")
    return kind(**dict(step.settings))


# ---- graphs ------------------------------------------------------------------------------------


class _Observer(fx.Interpreter):
    """Runs a graph and keeps what some of its nodes compute."""

    def __init__(self, graph: fx.GraphModule, wanted: set[fx.Node]) -> None:
        super().__init__(graph)
        self.wanted = wanted
        self.seen: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if n in self.wanted:
            self.seen[n] = result
        return result

    def observe(self, images: Tensor) -> dict[fx.Node, Tensor]:
        self.run(images)
        return self.seen


def _site_path(traced: Traced, site: str) -> str:
    return f"quant_{list(traced.taps).index(site)}"


def with_sites(traced: Traced) -> fx.GraphModule:
    """A copy of the graph with an (empty) module called at every place where activations are quantised."""
    model = deepcopy(traced.graph)
    nodes = {node.name: node for node in model.graph.nodes}
    for site, tapped in traced.taps.items():
        path = _site_path(traced, site)
        model.add_submodule(path, nn.Identity())
        for original in tapped:
            node = nodes[original.name]
            with model.graph.inserting_after(node):
                quantised = model.graph.call_module(path, (node,))
            if site in traced.operands:
                layer, position = traced.operands[site]
                _replace_operand(nodes[layer.name], position, node, quantised)
            else:
                node.replace_all_uses_with(quantised, delete_user_cb=lambda user, q=quantised: user is not q)
    model.recompile()
    return model


def _replace_operand(layer: fx.Node, position: int, old: fx.Node, new: fx.Node) -> None:
    args = list(layer.args)
    if position >= len(args) or args[position] is not old:
        raise ValueError(f"operand {position} of {layer.name!r} is not positional")
    args[position] = new
    layer.args = tuple(args)


def brevitas_layer(module: nn.Module, injector: object) -> Any:
    """`module` (Conv2d or Linear) as a Brevitas layer with the same weights and bias."""
    options = {"weight_quant": injector, "bias": module.bias is not None, "return_quant_tensor": False}
    layer: Any
    if isinstance(module, nn.Conv2d):
        shape = (module.in_channels, module.out_channels, module.kernel_size)
        place = {"stride": module.stride, "padding": module.padding, "groups": module.groups}
        layer = qnn.QuantConv2d(*shape, **place, **options)
    elif isinstance(module, nn.Linear):
        layer = qnn.QuantLinear(module.in_features, module.out_features, **options)
    else:
        raise TypeError(f"no Brevitas layer for {type(module).__name__}")
    with torch.no_grad():
        layer.get_parameter("weight").copy_(module.weight)
        if module.bias is not None:
            layer.get_parameter("bias").copy_(module.bias)
        layer.eval().quant_weight()  # the first call initialises the scale, which a state dict lacks before
    return layer


def _identity(quantizer: Quantizer) -> nn.Module:
    identity: nn.Module = qnn.QuantIdentity(act_quant=activation_recipe(quantizer).injector, return_quant_tensor=False)
    return identity.eval()


def _value(x: Any) -> Tensor:
    tensor: Tensor = getattr(x, "value", x)  # a QuantTensor holds its value
    return tensor


def check_grid(weight: Tensor, module: Any, layer: str, quantizer: Quantizer) -> None:
    """ValueError unless every quantised weight is a value of the format times its scale, exactly in float32."""
    scale = _value(module.weight_quant.scale()).detach()
    grid = torch.tensor(sorted({v for v in values(quantizer.format) if abs(v) <= _largest(quantizer)}))
    scale = (
        scale.expand_as(weight) if scale.dim() in (0, weight.dim()) else scale.reshape(-1, *[1] * (weight.dim() - 1))
    )
    index = torch.searchsorted(grid, weight / scale).clamp(1, len(grid) - 1)
    near = (grid[index - 1] * scale == weight) | (grid[index] * scale == weight)
    if not bool(near.all()):
        raise ValueError(f"{int((~near).sum())} weights of layer {layer!r} are off the grid of {quantizer.name}")


def _largest(quantizer: Quantizer) -> float:
    return magnitude(quantizer.format, quantizer.narrow) * quantizer.format.lsb


def _check_names(what: str, given: Mapping[str, object], expected: list[str]) -> None:
    for name in given:
        if name not in expected:
            raise ValueError(f"no {what} {name!r}; known: {', '.join(expected)}")
    for name in expected:
        if name not in given:
            raise ValueError(f"{what} {name!r} has no quantizer")
