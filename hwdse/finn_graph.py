"""The nodes that FINN makes of a design, without FINN: which, of what widths, and who reads whom.

It is what `hwdse.finn_worker` and FINN+ 1.6.1 make of a QONNX file of the design (`hwdse.qonnx`): padding and a window
generator before a convolution, a matrix-vector unit in RTL or HLS, thresholds behind it; copies of a stream that two
layers read; an adder and thresholds where two streams meet; a scale and a bias behind the last layer.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from hwdse import finn_types, finn_units
from hwdse.design import Design, Quantizer
from hwdse.finn_nodes import Dsp, DuplicateStreams, FMPadding, GlobalAccPool, Node, Pool
from hwdse.finn_types import Integer, Weights
from hwdse.workload import Kind, Layer, Workload

SHORTCUT = Weights(1, 1, True)  # of the identity convolution of a shortcut: ones and zeros
IMPLEMENTED = (Kind.CONV, Kind.LINEAR, Kind.ADD, Kind.MAX_POOL, Kind.AVG_POOL)


@dataclass(frozen=True, slots=True)
class Placed:
    """A node of the accelerator, for one purpose of one layer."""

    layer: str
    role: str  # unique in its layer: padding, window, unit, thresholds, ...
    node: Node
    inputs: tuple[str, ...]  # the names of those that it reads

    @property
    def name(self) -> str:
        """`conv1 window`."""
        return f"{self.layer} {self.role}"


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a layer gives."""

    origin: str  # the name of the node that makes it; empty for the input of the network
    shape: tuple[int, ...]  # channels, then pixels
    integer: Integer


def graph(workload: Workload, design: Design, dsp: Dsp) -> tuple[Placed, ...]:
    """All nodes with PE = SIMD = 1, each after those that it reads; ValueError names a layer that FINN does not map."""
    if not workload.hardware:
        raise ValueError("FINN quantises every tensor once, so that its designs have hardware = true")
    for layer in workload.layers:
        refuse(layer)
    builder = _Builder(workload, design, dsp)
    for layer in workload.layers:
        builder.add(layer)
    return tuple(builder.placed)


def alone(layer: Layer, design: Design, dsp: Dsp) -> tuple[Placed, ...]:
    """Those of one layer as if it were a network, whose streams are copied by nobody."""
    refuse(layer)
    builder = _Builder(Workload(layer.name, (layer,), (), layer.in_shape), design, dsp, copies=False)
    builder.add(layer)
    return tuple(builder.placed)


def refuse(layer: Layer) -> None:
    """ValueError for a layer that FINN has no unit for."""
    if layer.kind not in IMPLEMENTED:
        raise ValueError(f"FINN has no unit for {layer.kind}, which layer {layer.name!r} is")
    if layer.kind is Kind.CONV and layer.groups > 1 and not layer.depthwise:
        raise ValueError(f"FINN maps convolutions of all channels or of each, unlike layer {layer.name!r}")
    if layer.kind is Kind.AVG_POOL and layer.positions != 1:
        raise ValueError(f"FINN maps average pools of whole images, unlike layer {layer.name!r}")
    if layer.kind is Kind.LINEAR and layer.positions != 1:
        raise ValueError(f"FINN maps linear layers of one vector, unlike layer {layer.name!r}")
    if not layer.outputs and layer.kind in (Kind.ADD, Kind.AVG_POOL):
        raise ValueError(f"the logits of FINN are those of a layer with weights, unlike those of {layer.name!r}")


class _Builder:
    """Adds the nodes of one layer after the other."""

    def __init__(self, workload: Workload, design: Design, dsp: Dsp, *, copies: bool = True) -> None:
        self.placed: list[Placed] = []
        self._dsp = dsp
        self._weights, self._sites = dict(design.weights), dict(design.activations)
        self._streams: dict[str, _Stream] = {}  # by layer; the input of the network by its site
        self._sources = sources(workload)
        self._reads = Counter(source for found in self._sources.values() for source in found if copies)

    def add(self, layer: Layer) -> None:
        """The nodes of `layer`."""
        operands = [self._read(layer, source) for source in self._sources[layer.name]]
        match layer.kind:
            case Kind.ADD:
                stream = self._joined(layer, operands)
            case Kind.MAX_POOL:
                self._streams[layer.name] = self._max_pool(layer, operands[0])
                return self._copy(layer)
            case Kind.AVG_POOL:
                stream = self._sum(layer, operands[0])
            case _:
                stream = self._product(layer, operands[0])
        self._streams[layer.name] = self._end(layer, stream)
        return self._copy(layer)

    # ---- streams -----------------------------------------------------------------------------

    def _read(self, layer: Layer, source: str) -> _Stream:
        """What `layer` reads of another one, or of the input, which is copied where several read it."""
        if source not in self._streams:
            fed = _Stream("", layer.in_shape, self._integer(layer, source, relu=False))
            self._streams[source] = fed
            if self._reads[source] > 1:
                self._streams[source] = self._put(layer, "copies of the input", _copies(fed.shape), fed)
        return self._streams[source]

    def _put(self, layer: Layer, role: str, node: Node, *inputs: _Stream, **changes: object) -> _Stream:
        """Places a node; what it gives is what it reads first, but for `changes`."""
        placed = Placed(layer.name, role, node, tuple(stream.origin for stream in inputs if stream.origin))
        self.placed.append(placed)
        return replace(inputs[0], origin=placed.name, **changes)  # type: ignore[arg-type]

    def _copy(self, layer: Layer) -> None:
        if self._reads[layer.name] > 1:
            stream = self._streams[layer.name]
            self._streams[layer.name] = self._put(layer, "copies", _copies(stream.shape), stream)

    def _integer(self, layer: Layer, site: str, *, relu: bool) -> Integer:
        quantizer = self._sites.get(site)
        if quantizer is None:
            raise ValueError(f"layer {layer.name!r} has no activation quantizer at site {site!r}")
        where = f"site {site!r} of layer {layer.name!r}"
        finn_types.refuse_activation(quantizer, where)
        if quantizer.format.bits == 1:
            rule = "the cost model finn has no formulas for single bits"
            raise ValueError(f"{rule}, unlike {quantizer.name} at {where}")
        return finn_types.activation(quantizer, relu)

    # ---- layers ------------------------------------------------------------------------------

    def _product(self, layer: Layer, stream: _Stream) -> _Stream:
        weights = Weights.of(self._quantizer(layer))
        sums = finn_types.sums(layer.dot, weights, stream.integer)
        if layer.kind is Kind.CONV:
            stream = self._window(layer, stream, depthwise=layer.depthwise)
        return self._unit(layer, stream, weights, sums)

    def _unit(self, layer: Layer, stream: _Stream, weights: Weights, sums: Integer, role: str = "unit") -> _Stream:
        make = finn_units.channelwise if layer.depthwise else finn_units.matrix
        node = make(layer, weights, stream.integer, sums, self._dsp)
        return self._put(layer, role, node, stream, shape=layer.out_shape, integer=sums)

    def _quantizer(self, layer: Layer) -> Quantizer:
        quantizer = self._weights.get(layer.name)
        if quantizer is None:
            raise ValueError(f"layer {layer.name!r} has no weight quantizer")
        if quantizer.group is not None:
            raise ValueError(f"FINN has a scale per tensor or channel, unlike {quantizer.name} of layer {layer.name!r}")
        return quantizer

    def _window(self, layer: Layer, stream: _Stream, *, depthwise: bool) -> _Stream:
        """Padding and a window generator, where there is something to do for them."""
        (rows, columns), image = layer.padding, stream.shape[1:]
        if rows or columns:
            padding = FMPadding(1, stream.shape[0], (image[0], image[1]), (rows, columns, rows, columns), 1)
            image = (image[0] + 2 * rows, image[1] + 2 * columns)
            stream = self._put(layer, "padding", padding, stream, shape=(stream.shape[0], *image))
        if layer.kernel == layer.stride == (1, 1):
            return stream
        return self._put(
            layer, "window", finn_units.window(layer, stream.shape, stream.integer, depthwise=depthwise), stream
        )

    def _max_pool(self, layer: Layer, stream: _Stream) -> _Stream:
        stream = self._window(layer, stream, depthwise=True)
        pool = Pool(1, layer.rows, prod(layer.kernel), layer.positions)
        return self._put(layer, "pool", pool, stream, shape=layer.out_shape)

    def _sum(self, layer: Layer, stream: _Stream) -> _Stream:
        pixels = prod(layer.in_shape[1:])
        made = {"shape": layer.out_shape, "integer": finn_types.pooled(pixels, stream.integer)}
        return self._put(layer, "sum", GlobalAccPool(1, layer.rows, pixels), stream, **made)

    def _joined(self, layer: Layer, operands: list[_Stream]) -> _Stream:
        first, second = (self._fitted(layer, stream) for stream in operands)
        shape = (1, *layer.out_shape[1:], layer.rows)
        node = finn_units.adder(shape, second.integer)
        return self._put(layer, "adder", node, first, second, integer=finn_types.added(first.integer, second.integer))

    def _fitted(self, layer: Layer, stream: _Stream) -> _Stream:
        """A stream in the shape of an add: a shortcut of every n-th pixel and zeros is a convolution for FINN."""
        if stream.shape == layer.out_shape:
            return stream
        if len(stream.shape) != 3 or len(layer.out_shape) != 3 or stream.shape[0] > layer.rows:
            raise ValueError(f"FINN adds images of one shape, or a shortcut to one, unlike layer {layer.name!r}")
        (before, rows, columns), (after, *out) = stream.shape, layer.out_shape
        conv = replace(
            layer,
            kind=Kind.CONV,
            rows=after,
            dot=before,
            in_shape=stream.shape,
            stride=(-(-rows // out[0]), -(-columns // out[1])),
        )
        taken = self._put(
            layer, "shortcut window", finn_units.window(conv, stream.shape, stream.integer, depthwise=False), stream
        )
        return self._unit(conv, taken, SHORTCUT, stream.integer, "shortcut")

    def _end(self, layer: Layer, stream: _Stream) -> _Stream:
        """Thresholds, or a scale and a bias behind the last layer."""
        if len(layer.outputs) > 1:
            raise ValueError(f"FINN quantises a result once, unlike that of layer {layer.name!r}")
        if layer.outputs:
            (site,) = layer.outputs
            integer = self._integer(layer, site, relu=layer.relu)
            node = finn_units.thresholds(layer, stream.integer, integer)
            return self._put(layer, "thresholds", node, stream, integer=integer)
        shape = (1, *layer.out_shape[1:], layer.rows)
        scales = layer.rows if self._quantizer(layer).granularity == "channel" else 1
        constants = (("scale", "Mul", scales), ("bias", "Add", layer.rows))
        for role, function, values in constants[: 1 + layer.bias]:
            stream = self._put(layer, role, finn_units.constant(function, shape, values, self._dsp), stream)
        return stream


def sources(workload: Workload) -> Mapping[str, tuple[str, ...]]:
    """For each layer what it reads: layers, or the input by the name of its site.

    A site may hold several tensors, which meet in an add: that reads the two that were made last, others the last one.
    """
    made: dict[str, list[str]] = {}
    found = {}
    for layer in workload.layers:
        before = [made.get(site, [site]) for site in layer.inputs]
        last = before[0][-2:] if layer.kind is Kind.ADD and before else [one[-1] for one in before]
        found[layer.name] = tuple(last * 2 if layer.kind is Kind.ADD and len(last) == 1 else last)
        for site in layer.outputs or (layer.inputs if layer.kind is Kind.MAX_POOL else ()):
            made.setdefault(site, []).append(layer.name)
    return found


def _copies(shape: tuple[int, ...]) -> DuplicateStreams:
    return DuplicateStreams(1, shape[0], prod(shape[1:]))
