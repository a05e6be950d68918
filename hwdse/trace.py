"""From a torch network to its graph and its `Workload`.

Every node of the traced graph plays one part: it multiplies or combines tensors (a layer of the
accelerator), it folds into the thresholds after a layer (a monotone function), it only moves
values, or it runs outside. A node that plays none is an error that names it: a silent zero in a
price would be worse.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import prod

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.fx.passes.shape_prop import ShapeProp

from hwdse.operators import ADDS, BY_CHANNEL, FOLDS, GEOMETRY, KINDS, MOVES, OPERANDS, RELUS, SCALES, Target, refusal
from hwdse.prepare import BATCH, prepare
from hwdse.workload import OUTSIDE, Kind, Layer, Site, Workload


@dataclass(frozen=True)
class Traced:
    """A float network as a graph, with the edges at which its activations are quantised.

    `taps` maps a site to the nodes it is applied to: with `hardware` after each of those nodes
    for all their users, without it on the one operand (node, position) of the layer named last.
    """

    graph: fx.GraphModule
    workload: Workload
    taps: dict[str, tuple[fx.Node, ...]]
    operands: dict[str, tuple[fx.Node, int]]  # only without `hardware`: site -> (layer's node, operand position)
    layers: dict[str, str]  # weighted layer -> module path in the graph
    nodes: dict[str, fx.Node]  # layer -> node


def trace(model: nn.Module, example: Tensor, name: str, *, hardware: bool = True) -> Traced:
    """The graph of `model` (not changed), batch norms merged, and its workload; `example` is like an input."""
    shape = tuple(example.shape[1:])
    return _Reader(prepare(model, example, name), hardware).read(name, shape)


def read_again(traced: Traced) -> Traced:
    """What `traced` is after its graph was changed: other shapes, other nodes."""
    workload = traced.workload
    first = next(node for node in traced.graph.graph.nodes if node.op == "placeholder")
    ShapeProp(traced.graph).propagate(torch.zeros(BATCH, *workload.input_shape, dtype=first.meta["tensor_meta"].dtype))
    return _Reader(traced.graph, workload.hardware).read(workload.name, workload.input_shape)


class _Reader:
    """Reads the parts, the sites and the layers off one graph."""

    def __init__(self, graph: fx.GraphModule, hardware: bool) -> None:
        self.graph = graph
        self.hardware = hardware
        self.modules = dict(graph.named_modules())
        self.names: dict[fx.Node, str] = {}
        self.kinds: dict[fx.Node, Kind] = {}
        self.site_of: dict[fx.Node, str] = {}  # hardware: node -> site
        self.scopes: set[str] = set()  # modules of an exported network
        for node in graph.graph.nodes:
            if is_tensor(node):
                self._classify(node)

    def read(self, name: str, input_shape: tuple[int, ...]) -> Traced:
        sites = self._hardware_sites() if self.hardware else self._layerwise_sites()
        layers = tuple(self._layer(node) for node in self.kinds)
        used = {site for layer in layers for site in layer.inputs}
        workload = Workload(
            name,
            layers,
            tuple(self._site(site, nodes, layers) for site, nodes in sites.items() if site in used),
            input_shape,
            self.hardware,
        )
        weighted = {self.names[n]: str(n.target) for n, k in self.kinds.items() if k in (Kind.CONV, Kind.LINEAR)}
        operands = {} if self.hardware else {site: self._operand_of(site) for site in sites}
        nodes = {self.names[node]: node for node in self.kinds}
        return Traced(self.graph, workload, {s: tuple(n) for s, n in sites.items()}, operands, weighted, nodes)

    # ---- parts -------------------------------------------------------------------------------

    def _classify(self, node: fx.Node) -> None:
        self.names[node] = self._name(node)
        target = self.target(node)
        if node.op.startswith("call") and (rule := refusal(target, node, self.modules.get(str(node.target)))):
            raise ValueError(f"{rule}, unlike at {self.names[node]!r}")
        if target in ADDS and len(tensors(node)) == 2:
            self.kinds[node] = Kind.ADD
        elif target in KINDS:
            self.kinds[node] = KINDS[target]
        elif isinstance(target, OpOverload):
            self._classify_exported(node)
        elif not (self.moves(node) or self.folds(node) or node.op in ("placeholder", "get_attr", "output")):
            known = ", ".join(sorted({kind.value for kind in KINDS.values()} | {"add"}))
            raise ValueError(f"no layer kind for {_show(target)} at {self.names[node]!r}; known: {known}")

    def _classify_exported(self, node: fx.Node) -> None:
        """An operator of an exported network: the first of a module stands for all that is computed there in float."""
        if self.hardware:
            rule = "an exported network is quantised layer by layer (hardware = false)"
            raise ValueError(f"{rule}, because of {_show(self.target(node))} at {self.names[node]!r}")
        first, shape = tensors(node)[:1], node.meta["tensor_meta"]
        scope = _scope(node).removesuffix(".") or "network"
        images = hasattr(shape, "shape") and shape.shape[:1] == (BATCH,) and len(shape.shape) > 1
        if self.moves(node) or not images or not first or not shape.dtype.is_floating_point or scope in self.scopes:
            return
        if first[0].op != "get_attr" and first[0].meta["tensor_meta"].shape[:1] != (BATCH,):
            return
        self.scopes.add(scope)
        self.names[node] = scope
        self.kinds[node] = Kind.OTHER

    def target(self, node: fx.Node) -> Target:
        """The class of the module that `node` calls, or the function, or the method's name."""
        return target_of(self.graph, node)

    def moves(self, node: fx.Node) -> bool:
        """Whether `node` only moves values; a max pool does too, as far as number grids are concerned."""
        return node.op.startswith("call") and self.target(node) in MOVES

    def folds(self, node: fx.Node) -> bool:
        """Whether `node` is a monotone function of one tensor."""
        target, taken = self.target(node), tensors(node)
        if not node.op.startswith("call") or len(taken) != 1:
            return False
        first = not node.args or node.args[0] is taken[0]  # 1 / x is not monotone where x / 2 is
        return target in FOLDS | ADDS or (target in SCALES and (first or target in (operator.mul, torch.mul)))

    def _name(self, node: fx.Node) -> str:
        if node.op == "placeholder":
            return "input"
        module = node.op in ("call_module", "get_attr")
        name = str(node.target) if module else _scope(node) + _show(node.target)
        taken = set(self.names.values())
        others = (f"{name}_{count}" for count in range(1, len(taken) + 1))
        return next(free for free in chain((name,), others) if free not in taken)

    # ---- where activations are quantised -----------------------------------------------------

    def _sources(self, node: fx.Node) -> list[fx.Node]:
        """The nodes that made the values of `node`, looking through whatever only moves them."""
        if self.moves(node) or (self.hardware and self.kinds.get(node) is Kind.MAX_POOL):
            return [source for tensor in tensors(node) for source in self._sources(tensor)]
        return [node]

    def _operands(self, node: fx.Node) -> list[fx.Node]:
        return tensors(node)[: OPERANDS.get(self.kinds[node], 1)]

    def _reads_codes(self, node: fx.Node) -> bool:
        kind = self.kinds.get(node)
        if self.hardware:
            return kind is not None and kind not in OUTSIDE
        return kind in (Kind.CONV, Kind.LINEAR, Kind.MATMUL)

    def _hardware_sites(self) -> dict[str, list[fx.Node]]:
        """Every tensor that the accelerator reads, grouped by what must share a grid."""
        leader: dict[fx.Node, fx.Node] = {}

        def find(node: fx.Node) -> fx.Node:
            while leader.setdefault(node, node) is not node:
                node = leader[node]
            return node

        for node in self.kinds:
            if self._reads_codes(node):
                groups = [self._sources(operand) for operand in self._operands(node)]
                for group in [list(chain(*groups))] if self.kinds[node] is Kind.ADD else groups:
                    for source in group:
                        leader[find(source)] = find(group[0])
        order = [node for node in self.names if node in leader]
        sites: dict[str, list[fx.Node]] = {}
        for node in order:
            first = next(other for other in order if find(other) is find(node))
            sites.setdefault(self.names[first], []).append(node)
            self.site_of[node] = self.names[first]
        return sites

    def _layerwise_sites(self) -> dict[str, list[fx.Node]]:
        """Every operand of every layer that multiplies, by itself."""
        return {site: [node] for site, node, _, _ in self._layerwise()}

    def _layerwise(self) -> Iterator[tuple[str, fx.Node, fx.Node, int]]:
        for node in self.kinds:
            if self._reads_codes(node):
                operands = self._operands(node)
                for position, operand in enumerate(operands):
                    suffix = str(position) if len(operands) > 1 else ""
                    yield f"{self.names[node]}.input{suffix}", operand, node, position

    def _operand_of(self, site: str) -> tuple[fx.Node, int]:
        return next((node, position) for name, _, node, position in self._layerwise() if name == site)

    # ---- values ------------------------------------------------------------------------------

    def _site(self, name: str, nodes: list[fx.Node], layers: tuple[Layer, ...]) -> Site:
        consumers = tuple(layer.name for layer in layers if name in layer.inputs)
        elements = sum(prod(self._shape(node)) for node in nodes)
        return Site(name, tuple(self.names[node] for node in nodes), consumers, elements)

    def _shape(self, node: fx.Node) -> tuple[int, ...]:
        """Without the batch; of the first tensor, if there are several. A parameter has none, or one of size 1."""
        meta = node.meta["tensor_meta"]
        shape = tuple(meta.shape if hasattr(meta, "shape") else meta[0].shape)
        if node.op == "get_attr":
            return shape[1:] if shape[:1] == (1,) else shape
        if shape[:1] != (BATCH,):
            rule = f"the first dimension is the batch, but at {self.names[node]!r} {BATCH} images give {shape}"
            raise ValueError(rule)
        return shape[1:]

    def _inputs(self, node: fx.Node) -> tuple[str, ...]:
        if not self._reads_codes(node):
            return ()
        if not self.hardware:
            return tuple(site for site, _, layer, _ in self._layerwise() if layer is node)
        return tuple(self.site_of[self._sources(operand)[0]] for operand in self._operands(node))

    def _outputs(self, node: fx.Node) -> tuple[str, ...]:
        """The sites that the result of `node` is quantised into."""
        found: list[str] = []
        for site, at in self._quantised_next(node):
            found += [site] * (at is not None and site not in found)
        return tuple(found)

    def _quantised_next(self, node: fx.Node) -> Iterator[tuple[str, fx.Node | None]]:
        if self.hardware and node in self.site_of:
            yield self.site_of[node], node
            return
        if not self.hardware:
            yield from ((site, layer) for site, operand, layer, _ in self._layerwise() if operand is node)
        for user in node.users:
            if is_tensor(user) and (self.moves(user) or self.folds(user)):
                yield from self._quantised_next(user)

    def _before_codes(self, node: fx.Node, targets: frozenset[Target]) -> bool:
        """Whether one of `targets` lies between `node` and where its values are quantised."""
        if node in self.site_of:
            return False
        after = [user for user in node.users if is_tensor(user) and (self.moves(user) or self.folds(user))]
        return any(self.target(user) in targets or self._before_codes(user, targets) for user in after)

    def _layer(self, node: fx.Node) -> Layer:
        kind, shape_in, shape_out = self.kinds[node], self._shape(tensors(node)[0]), self._shape(node)
        layer = Layer(
            self.names[node],
            kind,
            self._inputs(node),
            () if kind is Kind.MAX_POOL and self.hardware else self._outputs(node),
            rows=shape_out[0] if len(shape_out) != 2 else shape_out[1],
            dot=1,
            positions=prod(shape_out[1:]) if len(shape_out) != 2 else shape_out[0],
            in_shape=shape_in,
            out_shape=shape_out,
            by_channel=self.hardware and self._before_codes(node, BY_CHANNEL),
            relu=self.hardware and self._before_codes(node, RELUS),
        )
        return GEOMETRY[kind](layer, node, self.modules.get(str(node.target)))


def target_of(graph: fx.GraphModule, node: fx.Node) -> Target:
    """The class of the module that `node` calls, or the function, or the method's name."""
    return type(graph.get_submodule(str(node.target))) if node.op == "call_module" else node.target


def is_tensor(node: fx.Node) -> bool:
    """Whether `node` computes a tensor or a tuple of tensors, not a size."""
    meta = node.meta.get("tensor_meta")
    return meta is not None and node.op != "output"


def tensors(node: fx.Node) -> list[fx.Node]:
    """The tensors that `node` takes, in order, as often as it takes them."""
    taken: list[fx.Node] = []
    fx.map_arg((node.args, node.kwargs), lambda arg: taken.append(arg) if is_tensor(arg) else None)
    return taken


def _scope(node: fx.Node) -> str:
    """The module whose code made `node`: `blocks.0.`, or nothing for the network itself."""
    stack = node.meta.get("nn_module_stack") or {"": None}
    path = next(reversed(stack.values()), None)
    inner = path[0] if isinstance(path, tuple) else next(reversed(stack))
    return f"{inner}." if inner else ""


def _show(target: Target) -> str:
    name = str(getattr(target, "__name__", target))
    return name.partition(".")[0] if isinstance(target, OpOverload) else name
