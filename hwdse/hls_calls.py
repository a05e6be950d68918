"""From a network in whole numbers to the calls of C++ templates that compute it.

The calls are to `hls_templates/vitis` what the netlist of `hwdse.generator` is to `hls_templates/rtl`: the same units,
folded alike, in the same order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hwdse.arithmetic import tight_bits
from hwdse.design import Folding
from hwdse.folding import multiplies, stream_width, taps_at_once, window
from hwdse.formats import Format
from hwdse.generator import check_names
from hwdse.hls_tables import Array, Contents, search, thresholds, weights
from hwdse.hls_wires import Call, Channel, Wires
from hwdse.network import Network, Node, Rule, Table
from hwdse.thresholds import Thresholds
from hwdse.units import sum_bits
from hwdse.window import Window
from hwdse.workload import Kind

ROW_BEATS = 4  # of a row at least in `window_parallel`, which says so to the tool; shorter ones go tap by tap
PARALLEL = 15  # thresholds that are compared with at once; of more, a search takes fewer comparisons
FIELDS = (8, 16, 32, 64, 128)  # bits of a sum that leaves: of the integers that a host has


@dataclass(frozen=True, slots=True)
class Calls:
    """An accelerator: calls in the order in which they can run one after the other, and what they need."""

    calls: tuple[Call, ...]
    channels: tuple[Channel, ...]
    tables: tuple[Contents, ...]
    lanes_in: int  # codes in a beat that enters, a byte each
    beats_in: int  # of an image
    lanes_out: int  # sums in a beat that leaves
    beats_out: int
    field: int  # bits of a sum that leaves


def calls(network: Network) -> Calls:
    """The calls that compute `network`, folded as its design says.

    ValueError where sums are too wide to leave, or two layers have one name.
    """
    check_names(network)
    return _Caller(network).calls()


class _Caller:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.foldings, self.weights = dict(network.design.folding), dict(network.design.weights)
        self.readers = {tensor.name: tuple(network.readers(tensor.name)) for tensor in network.tensors}
        self.joins = {node.layer.name for node in network.joins}
        self.wires = Wires()
        self.tables: list[Contents] = []
        self.streams: dict[tuple[str, int], str] = {}  # what each operand of each layer reads

    def calls(self) -> Calls:
        """The whole."""
        image = self.network.tensor(self.network.input)
        lanes, bits = self._lanes(self.readers[image.name][0][0]), image.quantizer.format.bits
        beats_in = prod(image.shape) // lanes
        entering = self.wires.call("from_axis", {"LANES": lanes, "BITS": bits, "BEATS": beats_in}, ["in"], lanes * bits)
        self._lead(image.name, entering, lanes)
        for node in self.network.nodes:
            self._layer(node)
        last, self.wires.layer = self.network.nodes[-1], ""
        pe, sums = self._folding(last).pe, self._sum_bits(last)
        beats, field = last.layer.positions * last.layer.rows // pe, self._field(last)
        self.wires.leave("to_axis", {"LANES": pe, "ACC": sums, "FIELD": field, "BEATS": beats})
        found, channels = tuple(self.wires.calls), tuple(self.wires.channels.values())
        return Calls(found, channels, tuple(self.tables), lanes, beats_in, pe, beats, field)

    # ---- one layer ---------------------------------------------------------------------------

    def _layer(self, node: Node) -> None:
        self.wires.layer = node.layer.name
        streams = [self.streams[node.layer.name, operand] for operand in range(len(node.inputs))]
        if node.layer.kind is not Kind.ADD:
            streams = [self._window(node, streams[0])]
        match node.layer.kind:
            case Kind.CONV | Kind.LINEAR:
                result = self._matrix(node, streams[0])
            case Kind.TABLE:
                result = streams[0]
            case _:
                result = self._reduced(node, streams)
        lanes = self._folding(node).pe
        for i, (tensor, rule) in enumerate(node.outputs):
            if i:
                self.wires.layer = f"{node.layer.name} again: output {i}"
            result, own = self._fork(node, result) if i < len(node.outputs) - 1 else ("", result)
            self._lead(tensor, self._codes(node, rule, tensor, own), lanes)

    def _window(self, node: Node, stream: str) -> str:
        """The stream of the taps of a layer with a window, as many at once as its folding says."""
        layer, folding, fmt = node.layer, self._folding(node), self._format(node)
        moved = window(layer, folding, fmt.bits)
        if moved is None:
            return stream
        taps, elements = taps_at_once(layer, folding), layer.positions * prod(moved.kernel) * layer.in_shape[0]
        if taps == 1 or moved.width * moved.beats < ROW_BEATS:
            stream = self._serial(moved, stream)
            return self.wires.widened(stream, moved.lanes, taps * moved.lanes, elements)
        named = {"LANES": moved.lanes, "BITS": moved.bits, **_geometry(moved)}
        whole = prod(moved.kernel) * moved.lanes
        stream = self.wires.call("window_parallel", named, [stream], whole * moved.bits)
        return self.wires.widened(stream, whole, taps * moved.lanes, elements)

    def _serial(self, moved: Window, stream: str) -> str:
        bits = moved.lanes * moved.bits
        return self.wires.call(
            "window_serial", {"BITS": bits, **_geometry(moved), "GROUPS": moved.groups}, [stream], bits
        )

    def _matrix(self, node: Node, stream: str) -> str:
        layer, folding, activation = node.layer, self._folding(node), self.network.tensor(node.inputs[0]).quantizer
        weight, groups = self.weights[layer.name], 1 if layer.depthwise else layer.groups
        unsigned = not (weight.format.signed or activation.format.signed)
        term = tight_bits(weight.format, activation.format, 1, (weight.narrow, activation.narrow)) + unsigned
        named: dict[str, int | str] = {"W": _type(weight.format), "A": _type(activation.format)}
        named |= {"ROWS": layer.rows // groups, "DOT": layer.dot, "PE": folding.pe, "SIMD": folding.simd}
        named |= {"GROUPS": groups, "SHARED": int(not layer.depthwise), "VECTORS": layer.positions}
        named |= {"PRODUCT": term, "ACC": self._sum_bits(node)}
        assert node.weights is not None
        table = weights(self._name("weights", node), node.weights, folding, weight.format)
        self.tables.append(table)
        return self.wires.call("mvu", named, [stream], folding.pe * self._sum_bits(node), [table.name])

    def _reduced(self, node: Node, streams: Sequence[str]) -> str:
        """The stream of the sums or codes of a layer without weights."""
        layer, lanes, fmt = node.layer, self._folding(node).pe, self._format(node)
        named: dict[str, int | str] = {"A": _type(fmt), "LANES": lanes}
        pools = layer.positions * layer.rows // lanes
        if layer.kind is Kind.MAX_POOL:
            return self.wires.call("max_pool", named | {"TAPS": layer.dot, "POOLS": pools}, streams, lanes * fmt.bits)
        sums = self._sum_bits(node)
        if layer.kind is Kind.ADD:
            return self.wires.call("residual_add", named | {"SUM": sums, "BEATS": pools}, streams, lanes * sums)
        groups = layer.rows // lanes if window(layer, self._folding(node)) is None else 1
        named |= {"GROUPS": groups, "TAPS": layer.dot, "POOLS": pools // groups, "SUM": sums}
        return self.wires.call("sum_pool", named, streams, lanes * sums)

    def _codes(self, node: Node, rule: Rule, tensor: str, stream: str) -> str:
        """The stream of the codes of `tensor`, which `rule` makes of a layer's results."""
        lanes, fmt = self._folding(node).pe, self.network.tensor(tensor).quantizer.format
        beats = node.layer.positions * node.layer.rows // lanes
        if isinstance(rule, Table):
            array = Array(self._name("codes", node), fmt.bits, np.array(rule.codes, object))
            self.tables.append(array)
            named = {"LANES": lanes, "IN": self._format(node).bits, "OUT": fmt.bits, "BEATS": beats}
            return self.wires.call("code_table", named, [stream], lanes * fmt.bits, [array.name])
        if rule is None:
            return stream
        return self._thresholds(node, rule, stream, beats)

    def _thresholds(self, node: Node, rule: Thresholds, stream: str, beats: int) -> str:
        lanes, acc, out = self._folding(node).pe, self._sum_bits(node), rule.format.bits
        named: dict[str, int | str] = {"LANES": lanes}
        if len(rule.rows[0]) <= PARALLEL:
            found = thresholds(self._name("thresholds", node), rule, acc, lanes)
            self.tables += [found.thresholds, found.codes]
            named |= {
                "WORDS": found.words,
                "ACC": acc,
                "T": found.bits,
                "COUNT": len(rule.rows[0]),
                "OUT": _type(rule.format),
            }
            arrays = [found.thresholds.name, found.codes.name]
            return self.wires.call("threshold_parallel", named | {"BEATS": beats}, [stream], lanes * out, arrays)
        table = search(self._name("thresholds", node), rule, acc, lanes)
        self.tables.append(table)
        named |= {"WORDS": table.words, "ACC": acc, "OUT": _type(rule.format), "TABLE": table.name, "BEATS": beats}
        return self.wires.call("threshold_search", named, [stream], lanes * out)

    # ---- between layers ----------------------------------------------------------------------

    def _lead(self, tensor: str, stream: str, lanes: int) -> None:
        """Leads a stream of `lanes` elements a beat to all its readers."""
        readers, elements = self.readers[tensor], prod(self.network.tensor(tensor).shape)
        for i, (node, operand) in enumerate(readers):
            wanted = self._lanes(node)
            stream, own = self.wires.branch(stream, elements // lanes) if i < len(readers) - 1 else ("", stream)
            own = self.wires.widened(own, lanes, wanted, elements)
            if node.layer.name in self.joins:
                self.wires.operand(own, elements // wanted)
            self.streams[node.layer.name, operand] = own

    def _fork(self, node: Node, stream: str) -> tuple[str, str]:
        return self.wires.branch(stream, node.layer.positions * node.layer.rows // self._folding(node).pe)

    # ---- of layers ---------------------------------------------------------------------------

    def _name(self, what: str, node: Node) -> str:
        """A name for C++, which has no dots and begins with a letter."""
        return re.sub(r"\W", "_", f"{what}{len(self.tables)}_{node.layer.name}")

    def _field(self, last: Node) -> int:
        """Bits of a sum as it leaves."""
        sums = self._sum_bits(last)
        if sums > FIELDS[-1]:
            raise ValueError(
                f"a sum that leaves has at most {FIELDS[-1]} bits, unlike layer {last.layer.name!r} with {sums}"
            )
        return next(bits for bits in FIELDS if bits >= sums)

    def _sum_bits(self, node: Node) -> int:
        """Of an exact sum, in two's complement."""
        layer, first = node.layer, self.network.tensor(node.inputs[0]).quantizer
        if not multiplies(layer):
            return sum_bits(first.format, 2 if layer.kind is Kind.ADD else layer.dot, first.narrow)
        weight = self.weights[layer.name]
        unsigned = not (weight.format.signed or first.format.signed)
        return tight_bits(weight.format, first.format, layer.dot, (weight.narrow, first.narrow)) + unsigned

    def _format(self, node: Node) -> Format:
        """Of the first operand."""
        return self.network.tensor(node.inputs[0]).quantizer.format

    def _lanes(self, node: Node) -> int:
        """Elements that a layer reads in a cycle."""
        return stream_width(node.layer, self._folding(node))

    def _folding(self, node: Node) -> Folding:
        return self.foldings.get(node.layer.name, Folding())


def _type(fmt: Format) -> str:
    """A format in C++."""
    return f"Format<{fmt.exponent}, {fmt.mantissa}, {int(fmt.signed)}>"


def _geometry(moved: Window) -> dict[str, int]:
    sizes = {"H": moved.height, "W": moved.width, "CF": moved.beats}
    pairs = zip("KSP", (moved.kernel, moved.stride, moved.padding), strict=True)
    return sizes | {f"{key}{axis}": size for key, pair in pairs for axis, size in zip("HW", pair, strict=True)}
