"""Quantises a float network in any way a `Design` says, with Brevitas's own quantisers.

A `Bench` holds the network and its calibration data and makes two things from a design: the
Brevitas model (the reference, and what is exported), and a `Shell`, which gives equal logits from
parts that designs share: quantised weights, calibrated quantisers, one list of steps. Activation
quantisers are calibrated as Brevitas does it, on the float network.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from math import inf
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from hwdse.activations import Activations
from hwdse.bounded import Bounded
from hwdse.brevitas_layers import effective_state, quantised_weight, weight_layer
from hwdse.contractions import group_dimension
from hwdse.design import Design, Quantizer, Step
from hwdse.graphs import copied, site_path, watch, with_sites
from hwdse.plugins import named
from hwdse.program import Choice, Key, Program, Weights
from hwdse.shelf import Shelf, Shelved
from hwdse.technique import Sees, Technique
from hwdse.trace import Traced, read_again, trace
from hwdse.treated import Treated, treated
from hwdse.workload import Workload

CALIBRATION_BATCH = 256  # images; Brevitas averages the statistics of several batches
PROBED = 16  # images that tell whether a rebuilt network computes anything else
WEIGHT_BYTES = 1 << 30  # quantised weights that are kept
BENCHES = 16  # networks after float steps that are kept: a search may try several recipes


class Images(Protocol):
    """Calibration data: batches of images (float32, n x C x H x W) and labels."""

    @property
    def digest(self) -> str:
        """Names the data."""

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The images in order, `size` at a time."""


class Memory:
    """What was paid for, of one network and of all that float steps make of it, so that all of them have one bound."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        """Beside it other processes of this machine may have a memory with the same shelf."""
        self.weights: Bounded[tuple[str, str], Weights] = Shelved(WEIGHT_BYTES, Weights, shelf)
        self.treatments: Bounded[tuple[Key, int], Treated] = Shelved(WEIGHT_BYTES, Treated, shelf)
        self.dropped = 0  # networks after float steps


class Bench:
    """A float network with its calibration data: everything that quantising it needs."""

    def __init__(self, traced: Traced, calibration: Images, name: str = "", memory: Memory | None = None) -> None:
        """`name` says which steps have made this float network of another one's, whose memory it shares."""
        self.name = name
        self.memory = memory or Memory()
        self._rereads = 0
        self.traced = traced
        self.workload: Workload = traced.workload
        self.calibration = calibration
        self._derived: OrderedDict[tuple[tuple[Step, tuple[str, ...]], ...], Bench] = OrderedDict()
        self._forget()

    def _forget(self) -> None:
        """Drops what was made of the float network, before or after it changed."""
        self.activations = Activations(self._watch, self.dimension)
        self._program: Program | None = None
        self._nonnegative: frozenset[str] | None = None

    def _reread(self) -> None:
        """Looks at the float network again, after it changed."""
        self.traced = read_again(self.traced)
        self.workload = self.traced.workload
        self._rereads += 1
        self._forget()

    @classmethod
    def of(
        cls, model: nn.Module, calibration: Images, name: str, *, hardware: bool = True, shared: Path | None = None
    ) -> "Bench":
        """The bench of a trained `model`, which is not changed; processes share what they make by a folder."""
        images, _ = next(iter(calibration.batches(1)))
        bench = cls(trace(model, images, name, hardware=hardware), calibration)
        if shared is not None:
            bench.memory = Memory(Shelf(shared, bench.digest))
        return bench

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

    @property
    def program(self) -> Program:
        """The float network as steps."""
        if self._program is None:
            self._program = Program(self.traced, self._state)
        return self._program

    @property
    def _state(self) -> str:
        """Names this float network; its steps are applied one after the other."""
        return f"{self.name} {self._rereads}"

    def weight(self, layer: str, quantizer: Quantizer) -> Tensor:
        """The quantised weights of `layer`, as Brevitas gives them (not to be written to)."""
        return self._own_weights(layer, quantizer).weight

    def _own_weights(self, layer: str, quantizer: Quantizer) -> Weights:
        """Those that depend on nothing but the float network and the quantiser."""
        key = layer, f"{self._state} {quantizer.name}"
        found = self.memory.weights.get(key)
        if found is None:
            made = self._brevitas_layer(layer, quantizer)
            bias = None if made.bias is None else made.bias.detach()
            found = Weights(quantizer.name, quantised_weight(made, layer, quantizer), bias)
            self.memory.weights.put(key, found)
        return found

    def dimension(self, site: str, quantizer: Quantizer) -> int | None:
        """Along which dimension the groups of `quantizer` run at `site`, if it has groups."""
        return None if quantizer.group is None else group_dimension(self.traced, site, quantizer.group)

    def _watch(self, sites: Iterable[str], visit: Any) -> None:
        wanted = set(sites)
        with torch.no_grad():
            for images, _ in self.calibration.batches(CALIBRATION_BATCH):
                watch(self.traced, wanted, images, visit)

    def _brevitas_layer(self, layer: str, quantizer: Quantizer) -> Any:
        module = self.traced.graph.get_submodule(self.path(layer))
        try:
            return weight_layer(module, quantizer)
        except ValueError as error:
            raise ValueError(f"layer {layer!r}: {error}") from None

    def path(self, layer: str) -> str:
        """The module path of a layer with weights."""
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

    @torch.inference_mode(False)  # techniques may want gradients
    def shell(self, design: Design) -> "Shell":
        """What gives the logits of `design` from cached parts; only for recipes that put no other modules in."""
        self.workload.check(design)
        bench, late = self.after_float_steps(design)
        for step in late:
            if technique(step).rebuilds:
                raise ValueError(f"step {step.name!r} puts modules into the network: it needs the Brevitas model")
        return bench._shell(design, late)

    def _shell(self, design: Design, late: tuple[Step, ...]) -> "Shell":
        self._check_signs(design)
        self.activations.calibrate(design.activations)
        sites = {site: self.activations.quantiser(site, quantizer) for site, quantizer in design.activations}
        if late:
            layers = treated(self, design, tuple((step, self._layers_of(step, design)) for step in late))
        else:
            layers = {layer: self._own_weights(layer, quantizer) for layer, quantizer in design.weights}
        return Shell(self.program, Choice(sites, layers))

    @torch.inference_mode(False)
    def quantize(self, design: Design) -> fx.GraphModule:
        """The Brevitas model of `design`: `QuantConv2d`, `QuantLinear` and `QuantIdentity` in the network's graph."""
        self.workload.check(design)
        bench, late = self.after_float_steps(design)
        model = bench.brevitas_model(design)
        for step in late:
            bench.apply(step, model, bench._layers_of(step, design))
            if not technique(step).rebuilds:
                bench._check_grids(model, design)
        return model

    def _check_grids(self, model: fx.GraphModule, design: Design) -> None:
        for layer, quantizer in design.weights:
            quantised_weight(model.get_submodule(self.path(layer)), layer, quantizer)

    def brevitas_model(self, design: Design) -> fx.GraphModule:
        """As `quantize`, before any step of the recipe."""
        model = with_sites(self.traced)
        for layer, quantizer in design.weights:
            self.weight(layer, quantizer)  # checks the grid
            model.set_submodule(self.path(layer), self._brevitas_layer(layer, quantizer))
        self._check_signs(design)
        self.activations.calibrate(design.activations)
        for site, quantizer in design.activations:
            identity: Any = self.activations.module(site, quantizer)
            if owner := self.owner(site):  # as in Brevitas's layerwise models
                model.get_submodule(owner).input_quant = identity.act_quant
            else:
                model.set_submodule(self.site_path(site), identity)
        return model.eval()

    def _check_signs(self, design: Design) -> None:
        for site, quantizer in design.activations:
            if not quantizer.format.signed and site not in self.nonnegative:
                raise ValueError(f"calibration saw negative values at {site!r}, which {quantizer.name} has none of")
            if quantizer.format.bits == 1 and site in self.nonnegative:
                raise ValueError(f"calibration saw no negative value at {site!r}, so that {quantizer.name} is constant")

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
            name = f"{self.name} after {'; '.join(f'{step.name} of {layers}' for step, layers in key)}"
            bench = Bench(copied(self.traced), self.calibration, name, self.memory)
            for step, layers in key:
                bench.apply(step, bench.traced.graph, layers)
                bench._reread()
            self._derived[key] = bench
            while len(self._derived) > BENCHES:
                self._derived.popitem(last=False)
                self.memory.dropped += 1
        self._derived.move_to_end(key)
        return self._derived[key], design.recipe[len(early) :]

    def charged(self, recipe: tuple[Step, ...]) -> Workload:
        """What has to be paid for after `recipe`: the network that its float steps leave, and all that steps add."""
        bench = self
        if any(technique(step).reshapes for step in recipe):
            bench, _ = self.after_float_steps(Design(recipe=recipe, hardware=self.workload.hardware))
        return charged(bench.workload, recipe)

    def _layers_of(self, step: Step, design: Design) -> tuple[str, ...]:
        """The layers that `step` works on."""
        method, quantizers = technique(step), dict(design.weights)
        for layer in step.scope or ():
            self.path(layer)
        inside = [a for a in self.workload.weighted if step.scope is None or a.name in step.scope]
        return tuple(layer.name for layer in inside if method.supports(layer, quantizers.get(layer.name)))

    def apply(self, step: Step, graph: fx.GraphModule, layers: Iterable[str], *, must: bool = True) -> None:
        """Works on these layers of `graph`; ValueError if nothing changes although something `must`."""
        look = self._probe if technique(step).rebuilds else effective_state
        before = look(graph)
        technique(step).apply(graph, self, {layer: self.path(layer) for layer in layers})
        after = look(graph)
        same = before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
        if must and same:
            raise ValueError(f"step {step.name!r} changed nothing in network {self.workload.name!r}")

    def _probe(self, graph: fx.GraphModule) -> dict[str, Tensor]:
        """The logits of `graph` on some images: other modules alone are no change."""
        images, _ = next(iter(self.calibration.batches(PROBED)))
        with torch.no_grad():
            return {"logits": graph(images.clone())}


def charged(workload: Workload, recipe: tuple[Step, ...]) -> Workload:
    """`workload` with all that the steps of `recipe` add to it."""
    for step in recipe:
        method = technique(step)
        inside = (a for a in workload.weighted if step.scope is None or a.name in step.scope)
        workload = method.charged(workload, [a.name for a in inside if method.supports(a, None)])
    return workload


@dataclass(frozen=True)
class Shell:
    """A design of a network: what its steps are called with."""

    program: Program
    choice: Choice

    def __call__(self, images: Tensor) -> Tensor:
        """The logits of `images` (float32, n x C x H x W; not changed), those of the Brevitas model."""
        return self.program.run(images, self.choice)

    @cached_property
    def keys(self) -> list[Key]:
        """Of the value of every step: equal keys are equal tensors."""
        sites = {site: quantiser.name for site, quantiser in self.choice.sites.items()}
        return self.program.keys(sites, {layer: own.name for layer, own in self.choice.layers.items()})

    @cached_property
    def kept(self) -> list[Key]:
        """Of the values that are worth a place in a cache."""
        return [key for key, step in zip(self.keys, self.program.steps, strict=True) if step.kept]


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
