"""From a float network and a design to the network in whole numbers that an accelerator computes.

Weights and scales are those of the Brevitas model. What lies between a layer and the next quantiser becomes thresholds
on exact sums, or a table on codes; what only moves values becomes another order of weights, or, where a shortcut leaves
out pixels and adds channels of zeros, the 1 x 1 convolution that does the same. What an accelerator does not have is
refused with the name of its layer, before anything is built.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import fx

from hwdse.design import Design, Quantizer
from hwdse.folded import Folded, moves
from hwdse.folding import cheapest, cycles
from hwdse.formats import IntFormat, decode_table, encode, magnitude
from hwdse.matrix_vector import EXPONENT_BITS
from hwdse.network import Meaning, Network, Node, Table, Tensor
from hwdse.operators import OPERANDS
from hwdse.quantize import Bench, charged, technique
from hwdse.rearrange import Mover, Positions, selection, stream, walk
from hwdse.requantise import Steps, steps
from hwdse.sums import Sums, Weights, sums_of, weights_of
from hwdse.trace import tensors
from hwdse.workload import OUTSIDE, WITH_WEIGHTS, Kind, Layer, Workload

ONE = Quantizer(IntFormat(2))  # of the weights 0 and 1 of a shortcut
SHAPES = {1: "vectors", 2: "tokens x features", 3: "images of C x H x W"}  # by dimensions
RANKS = {Kind.LINEAR: (1, 2), Kind.ADD: (1, 2, 3), Kind.TABLE: (1, 2, 3)}  # of what a layer reads; of others 3


def lower(bench: Bench, design: Design) -> Network:
    """The network of `design`; ValueError names the layer that no accelerator has.

    `design` has a folding: a shortcut that becomes a convolution is folded to the pace of the slowest layer.
    """
    inner, late = bench.after_float_steps(design)
    for step in late:
        if technique(step).rebuilds:
            raise ValueError(f"an accelerator has no unit for what step {step.name!r} puts into the network")
    check(inner.workload, design)
    return _Lowering(inner, charged(inner.workload, late), bench.quantize(design), design).network()


def check(workload: Workload, design: Design) -> None:
    """ValueError where an accelerator has no unit for a layer, or none for its formats."""
    if not workload.hardware:
        raise ValueError("an accelerator quantises every tensor where it is made, as hardware = true in a study has it")
    for layer in workload.layers:
        if layer.kind in OUTSIDE or layer.kind is Kind.MATMUL:
            raise ValueError(f"an accelerator has no {layer.kind}, which layer {layer.name!r} is")
        ranks = RANKS.get(layer.kind, (3,))
        if len(layer.in_shape) not in ranks:
            wanted = " or ".join(SHAPES[rank] for rank in ranks)
            raise ValueError(f"in an accelerator a layer of kind {layer.kind} reads {wanted}, unlike {layer.name!r}")
    if not {layer.name for layer in workload.layers} & dict(design.folding).keys():
        raise ValueError("an accelerator is folded, but this design has no folding")
    for name, quantizer in (*design.weights, *design.activations):
        if quantizer.group is not None:
            raise ValueError(f"an accelerator has no scale for each group, unlike {name!r} with {quantizer.name}")
        if quantizer.format.bits == 1:
            raise ValueError(f"an accelerator has no unit for single bits, unlike {name!r} with {quantizer.name}")
        if quantizer.format.bits > 8:
            rule = "an accelerator has no unit for floats of 16 bits"
            raise ValueError(f"{rule}, unlike {name!r} with {quantizer.name}")
        if quantizer.format.exponent > EXPONENT_BITS:
            rule = f"an accelerator is built for at most {EXPONENT_BITS} exponent bits"
            raise ValueError(f"{rule}, not for {quantizer.format.name} of {name!r}")


Path = tuple[fx.Node, ...]


class _Lowering:
    """One network on its way."""

    def __init__(self, bench: Bench, workload: Workload, model: fx.GraphModule, design: Design) -> None:
        traced, self.workload = bench.traced, workload
        self.bench, self.graph, self.model, self.design = bench, traced.graph, model, design
        self.weights, self.activations = dict(design.weights), dict(design.activations)
        self.layers = {node: workload.layer(name) for name, node in traced.nodes.items()}
        self.tapped = {node: site for site, nodes in traced.taps.items() for node in nodes}
        self.image = next(node for node in self.graph.graph.nodes if node.op == "placeholder")
        if self.image not in self.tapped:
            raise ValueError("an accelerator takes images as they are quantised, but here something is done before")
        self.mover = Mover(traced)
        self.ends = self._ends()
        self.streams: dict[fx.Node, Tensor] = {}
        self.positions: dict[fx.Node, Positions] = {}  # of the values of a stream's node, in the stream
        self.sites: dict[str, str] = {}  # of every tensor
        self.nodes: list[Node] = []
        self.made: list[Tensor] = []

    def network(self) -> Network:
        """The whole."""
        shape = self.workload.input_shape
        self._stream(self.image, self.tapped[self.image], shape, stream(shape))
        for node, layer in self.layers.items():
            self._layer(node, layer)
        self._check_end()
        workload, design = self._as_built()
        return Network(workload, design, tuple(self.made), tuple(self.nodes), self.image.name)

    # ---- streams -----------------------------------------------------------------------------

    def _ends(self) -> dict[fx.Node, list[tuple[fx.Node, Path]]]:
        """For each layer and each stream, the nodes that are quantised after it and the paths to them."""
        found = defaultdict[fx.Node, list[tuple[fx.Node, Path]]](list)
        for end in self.tapped:
            if end.op == "get_attr":
                raise ValueError(f"an accelerator has no constant stream, which {end.name!r} would be")
            if end.op != "placeholder":
                start, path = walk(end, self._is_start(end))
                found[start].append((end, path))
        return found

    def _is_start(self, end: fx.Node) -> Callable[[fx.Node], bool]:
        return lambda node: node in self.layers or (node in self.tapped and node is not end)

    def _stream(self, node: fx.Node, site: str, shape: tuple[int, ...], positions: Positions) -> Tensor:
        """Makes `node` a stream, and what are functions of its codes."""
        tensor = self._tensor(node.name, site, shape)
        self.streams[node], self.positions[node] = tensor, positions
        for end, path in self.ends[node]:
            if path:
                self._table_layer(node, end, path)
        return tensor

    def _tensor(self, name: str, site: str, shape: tuple[int, ...]) -> Tensor:
        tensor = Tensor(name, self.activations[site], self._scale(site), shape)
        self.made.append(tensor)
        self.sites[name] = site
        return tensor

    def _moved(self, path: Path, positions: Positions) -> Positions:
        return self.mover.move([node for node in path if moves(self.graph, node)], positions)

    # ---- layers ------------------------------------------------------------------------------

    def _layer(self, node: fx.Node, layer: Layer) -> None:
        """Adds the node of `layer`, and the streams that it makes."""
        found = [self._source(operand) for operand in tensors(node)[: OPERANDS.get(layer.kind, 1)]]
        weights = None
        if layer.kind is Kind.LINEAR and len(layer.in_shape) == 1:
            ((source, positions),) = found
            weights, inputs = self._weights(layer, self._order(layer, source, positions)), [source]
        else:
            inputs = [self._straight(layer, i, *place) for i, place in enumerate(found)]
            weights = self._weights(layer)
        names = tuple(tensor.name for tensor in inputs)
        match layer.kind:
            case Kind.MAX_POOL:
                self._check_padding(layer, inputs[0])
                self.nodes.append(Node(layer, names, ((node.name, None),)))
                self._stream(node, self.sites[names[0]], layer.out_shape, stream(layer.out_shape))
            case Kind.TABLE:
                self._tables(node, layer, inputs[0])
            case _:
                self._quantised(node, layer, names, sums_of(layer, inputs[0], weights), weights)

    def _quantised(
        self, node: fx.Node, layer: Layer, inputs: tuple[str, ...], sums: Sums, weights: Weights | None
    ) -> None:
        """Adds a layer whose sums become codes, or leave."""
        ends = [(end, path) for end, path in self.ends[node] if not path or node not in self.tapped]
        found = [self._steps(layer, sums, end, path) for end, path in ends]
        falling = found[0].falling if found else np.zeros(layer.rows, bool)
        if any((one.falling != falling).any() for one in found) or (falling.any() and weights is None):
            raise ValueError(f"a sum is compared with rising thresholds, but after layer {layer.name!r} they fall")
        codes = None if weights is None else weights.negated(falling, layer.name)
        rules = tuple((end.name, one.thresholds) for (end, _), one in zip(ends, found, strict=True))
        scales = sums.scales / sums.parts * np.where(falling, -1, 1)
        meaning = Meaning(tuple(scales.tolist()), tuple(sums.biases.tolist()))
        self.nodes.append(Node(layer, inputs, rules, codes, meaning))
        for end, path in ends:
            self._stream(end, self.tapped[end], layer.out_shape, self._moved(path, stream(layer.out_shape)))

    def _steps(self, layer: Layer, sums: Sums, end: fx.Node, path: Path) -> Steps:
        """The thresholds from the sums of `layer` to the quantiser after `end`."""
        function, site = Folded(self.graph, path, layer.out_shape), self.tapped[end]
        largest = sums.largest if function.by_channel else sums.largest_alike
        return steps(lambda x: function(sums.numbers(x)), self.activations[site], self._scale(site), largest)

    def _source(self, operand: fx.Node) -> tuple[Tensor, Positions]:
        """The stream in which `operand` is, and where."""
        start, path = walk(operand, lambda node: node in self.streams)
        return self.streams[start], self.mover.move(path, self.positions[start])

    def _order(self, layer: Layer, source: Tensor, positions: Positions) -> Positions:
        """The position in the stream of each term of a layer that reads all of it."""
        flat = positions.reshape(-1)
        if sorted(flat) != list(range(int(np.prod(source.shape)))):
            raise ValueError(f"a linear layer reads all of a stream once, unlike {layer.name!r}")
        return flat

    def _straight(self, layer: Layer, operand: int, source: Tensor, positions: Positions) -> Tensor:
        """A stream with the elements in the order in which `layer` reads them: `source`, or a selection of it."""
        if np.array_equal(positions, stream(layer.in_shape)):
            return source
        picked = selection(positions, source.shape)
        if picked is None or layer.kind is not Kind.ADD:
            raise ValueError(f"an accelerator moves no values in the way in which layer {layer.name!r} reads them")
        name, site = f"{layer.name}.shortcut{operand}", self.sites[source.name]
        tensor = self._tensor(name, site, layer.in_shape)
        channels, (rows, height, width) = source.shape[0], layer.in_shape
        own = Layer(
            *(name, Kind.CONV, (site,), (site,), rows, channels, height * width),
            in_shape=source.shape,
            out_shape=layer.in_shape,
            stride=picked.stride,
        )
        fmt, narrow = tensor.quantizer.format, tensor.quantizer.narrow
        largest = np.full(rows, magnitude(fmt, narrow), object)
        same = steps(lambda x: x * fmt.lsb, tensor.quantizer, 1.0, largest)
        self.nodes.append(Node(own, (source.name,), ((name, same.thresholds),), picked.matrix(channels)))
        return tensor

    # ---- functions of codes ------------------------------------------------------------------

    def _tables(self, node: fx.Node, layer: Layer, source: Tensor) -> None:
        """Adds a layer that is a function of codes."""
        made = []
        for end, path in self.ends[node]:
            made.append((end.name, self._table(source, (node, *path), end)))
        self.nodes.append(Node(layer, (source.name,), tuple(made)))
        for end, path in self.ends[node]:
            self._stream(end, self.tapped[end], layer.out_shape, self._moved(path, stream(layer.out_shape)))

    def _table_layer(self, start: fx.Node, end: fx.Node, path: Path) -> None:
        """Adds a layer that the network has not: what is quantised again without a layer between."""
        source, site = self.streams[start], self.tapped[end]
        layer = Layer(
            *(end.name, Kind.TABLE, (self.sites[source.name],), (site,), source.channels, 1, source.positions),
            in_shape=source.shape,
            out_shape=source.shape,
        )
        self.nodes.append(Node(layer, (source.name,), ((end.name, self._table(source, path, end)),)))
        self._stream(end, site, source.shape, self._moved(path, self.positions[start]))

    def _table(self, source: Tensor, path: Path, end: fx.Node) -> Table:
        function = Folded(self.graph, path, (1,))
        if function.by_channel:
            raise ValueError(f"a table is the same for every channel, but {end.name!r} comes after a norm")
        fmt, output, scale = source.quantizer.format, self.activations[self.tapped[end]], self._scale(self.tapped[end])
        finite = np.nan_to_num(decode_table(fmt), nan=0.0, posinf=0.0, neginf=0.0)
        numbers = function((finite * source.scale)[:, np.newaxis])[:, 0]
        return Table(tuple(map(int, encode(output.format, numbers / scale, narrow=output.narrow))))

    # ---- numbers -----------------------------------------------------------------------------

    def _scale(self, site: str) -> float:
        identity: Any = self.model.get_submodule(self.bench.site_path(site))
        with torch.no_grad():
            return float(identity.act_quant.scale())

    def _weights(self, layer: Layer, order: Positions | None = None) -> Weights | None:
        if layer.kind not in WITH_WEIGHTS:
            return None
        module = self.model.get_submodule(self.bench.path(layer.name))
        return weights_of(module, layer, self.weights[layer.name], order)

    def _check_padding(self, layer: Layer, source: Tensor) -> None:
        if max(layer.padding) > 0 and source.quantizer.format.signed:
            raise ValueError(f"a max pool with padding reads no negative numbers, unlike layer {layer.name!r}")

    # ---- the whole ---------------------------------------------------------------------------

    def _check_end(self) -> None:
        """ValueError unless the sums of the last layer are the logits."""
        output = next(node for node in self.graph.graph.nodes if node.op == "output")
        start, path = walk(tensors(output)[0], lambda node: node in self.layers)
        layer = self.layers[start]
        if layer is not self.nodes[-1].layer or self.nodes[-1].outputs or any(not moves(self.graph, n) for n in path):
            raise ValueError(f"an accelerator ends in sums that are logits, unlike after layer {layer.name!r}")
        order = self._moved(path, stream(layer.out_shape)).reshape(-1)
        if layer.positions != 1 or (order != np.arange(layer.rows)).any():
            raise ValueError(f"an accelerator ends in one sum for each class, unlike layer {layer.name!r}")

    def _as_built(self) -> tuple[Workload, Design]:
        """The workload and the design with what was added to them."""
        workload, folding = self.workload, dict(self.design.folding)
        layers = tuple(node.layer for node in self.nodes)
        added = [layer for layer in layers if layer.name not in {own.name for own in workload.layers}]
        pace = max(cycles(layer, folding[layer.name]) for layer in layers if layer.name in folding)
        folding |= {layer.name: cheapest(layer, pace) for layer in added}
        weights = self.weights | {layer.name: ONE for layer in added if layer.kind is Kind.CONV}
        design = Design.of(weights, self.activations, folding, self.design.recipe)
        return replace(workload, layers=layers), design
