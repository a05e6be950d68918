"""From a network in whole numbers to the netlist of its accelerator: every unit with its contents, and all streams.

The units of a layer are those of its price (`hwdse.accelerator`). Between layers come what the price of a layer alone
cannot know: a branch where a stream has several readers, a change of width where two layers work on different numbers
of elements, and a queue in which one operand of an add waits for the other. `hwdse.queues` finds how deep queues are.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm, prod

import numpy as np

from hwdse.accelerator import Element
from hwdse.design import Folding
from hwdse.folding import stream_width
from hwdse.matrix_vector import products
from hwdse.memory import FIFO_WORDS, LUT_WORDS
from hwdse.netlist import Instance, Memory, Netlist, Unit
from hwdse.network import Network, Node, Rule, Table
from hwdse.ports import ports
from hwdse.structure.lanes import TABLE, as_format
from hwdse.units import branch, fifo, width

BEFORE = ("window", "window parts", "matrix", "add", "pool")  # roles of the units that make a layer's results
Depths = Mapping[str, int]  # of queues, by the name of the instance, in beats


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A netlist with the ports `in` and `out`: codes of images enter, sums leave, both pixel by pixel."""

    netlist: Netlist
    lanes_in: int  # codes in a beat that enters
    code_bits: int
    lanes_out: int  # sums in a beat that leaves
    sum_bits: int
    queues: tuple[tuple[str, int], ...]  # every queue: its instance, and the beats of an image that pass through it


def generate(network: Network, units: Mapping[str, Sequence[Element]], depths: Depths, *, block: bool) -> Accelerator:
    """The accelerator of `network`, its layers made of `units`.

    A queue is as deep as `depths` says, or as it is priced; `block`: there is block RAM for deep ones.
    """
    return _Generator(network, units, depths, block).accelerator()


class _Generator:
    def __init__(self, network: Network, units: Mapping[str, Sequence[Element]], depths: Depths, block: bool) -> None:
        check_names(network)
        self.network, self.units, self.depths, self.block = network, units, depths, block
        self.foldings = dict(network.design.folding)
        self.readers = {tensor.name: tuple(network.readers(tensor.name)) for tensor in network.tensors}
        self.instances: list[Instance] = []
        self.nets: dict[tuple[str, int], str] = {}  # what each operand of each layer reads
        self.queues: dict[str, int] = {}  # instance -> beats of an image

    def accelerator(self) -> Accelerator:
        """The whole."""
        image = self.network.tensor(self.network.input)
        lanes = self._lanes(self.readers[image.name][0][0])
        self._lead(image.name, "in", lanes)
        for node in self.network.nodes:
            self._layer(node)
        last = self.network.nodes[-1]
        lanes_out = self._folding(last).pe
        sums = self.instances[-1].unit.outputs[0].bits // lanes_out
        queues = tuple(self.queues.items())
        return Accelerator(Netlist(tuple(self.instances)), lanes, image.quantizer.format.bits, lanes_out, sums, queues)

    # ---- one layer ---------------------------------------------------------------------------

    def _layer(self, node: Node) -> None:
        layer, found = node.layer, self.units[node.layer.name]
        nets = [self.nets[layer.name, operand] for operand in range(len(node.inputs))]
        for element in (one for one in found if one.role in BEFORE):
            if element.role == "matrix":
                nets = self._by_channel(node, nets)
            nets = [self._put(f"{layer.name} {element.role}", _filled(element, node), nets)]
        self._outputs(node, nets[0], [one for one in found if one.role not in BEFORE])

    def _by_channel(self, node: Node, nets: list[str]) -> list[str]:
        """What a matrix-vector unit reads: of a depthwise layer all taps of a channel, then those of the next."""
        folding = self._folding(node)
        if not node.layer.depthwise or 1 in (folding.pe, folding.simd):
            return nets
        bits = self.network.tensor(node.inputs[0]).quantizer.format.bits
        unit = _bare("transpose", {"ELEMENT": bits, "ROWS": folding.simd, "COLUMNS": folding.pe})
        return [self._put(f"{node.layer.name} taps", unit, nets)]

    def _outputs(self, node: Node, net: str, found: Sequence[Element]) -> None:
        """What makes codes of a layer's results, and a queue for each stream of them."""
        name, lanes = node.layer.name, self._folding(node).pe
        queues = [element for element in found if element.role == "fifo"]
        makers = [element for element in found if element.role in ("thresholds", "table")]
        if len(queues) != max(1, len(node.outputs)):
            raise ValueError(f"results are quantised once for each site, unlike those of layer {name!r}")
        if not node.outputs:
            self._queue(f"{name} fifo", net, node.layer.positions * node.layer.rows // lanes, "out")
            return
        for i, (tensor, rule) in enumerate(node.outputs):
            net, own = self._fork(f"{name} results{i}", net) if i < len(queues) - 1 else ("", net)
            if makers:
                own = self._put(f"{name} {makers[i].role}{i}", _coded(makers[i], rule, node), [own])
            self._lead(tensor, own, lanes, f"{name} fifo{i}")

    # ---- between layers ----------------------------------------------------------------------

    def _lead(self, tensor: str, net: str, lanes: int, queue: str | None = None) -> None:
        """Leads a stream of `lanes` elements a beat to all its readers, each through a queue of its own.

        Without, a reader that waits would stop the others. A queue is where the stream is widest: a change to more
        elements a beat behind it would take from it too slowly, one to fewer before it would take too slowly from the
        layer. What enters the accelerator needs none, unless there are several readers.
        """
        readers, elements = self.readers[tensor], prod(self.network.tensor(tensor).shape)
        for i, (node, operand) in enumerate(readers):
            wanted, name = self._lanes(node), queue
            if len(readers) > 1:
                name = f"{node.layer.name} wait{operand}"
            net, own = self._fork(f"{tensor} branch{i}", net) if i < len(readers) - 1 else ("", net)
            if name is not None and wanted <= lanes:
                own = self._queue(name, own, elements // lanes)
            own = self._widened(f"{node.layer.name} in{operand}", own, lanes, wanted)
            if name is not None and wanted > lanes:
                own = self._queue(name, own, elements // wanted)
            self.nets[node.layer.name, operand] = own

    def _widened(self, name: str, net: str, lanes: int, wanted: int) -> str:
        """A stream with another number of elements in a beat; by way of a beat that holds whole ones of both."""
        element, whole = self._bits(net) // lanes, lcm(lanes, wanted)
        for before, after in ((lanes, whole), (whole, wanted)):
            if before != after:
                net = self._put(f"{name} {before}to{after}", width(element, before, after), [net])
        return net

    def _lanes(self, node: Node) -> int:
        """Elements that a layer reads in a cycle."""
        return stream_width(node.layer, self._folding(node))

    def _folding(self, node: Node) -> Folding:
        return self.foldings.get(node.layer.name, Folding())

    # ---- instances ---------------------------------------------------------------------------

    def _put(self, name: str, unit: Unit, nets: Sequence[str], out: str | None = None) -> str:
        """Places a unit with one output; gives its net."""
        own = identifier(name)
        net = f"{own}_o" if out is None else out
        ins = tuple(zip((stream.name for stream in unit.inputs), nets, strict=True))
        self.instances.append(Instance(own, unit, (*ins, (unit.outputs[0].name, net))))
        return net

    def _queue(self, name: str, net: str, beats: int, out: str | None = None) -> str:
        """Places a queue, through which an image passes in `beats`."""
        depth = self.depths.get(identifier(name), FIFO_WORDS)
        self.queues[identifier(name)] = beats
        return self._put(name, fifo(self._bits(net), depth, block=self.block and depth > LUT_WORDS), [net], out)

    def _fork(self, name: str, net: str) -> tuple[str, str]:
        """A branch of a stream: the net for all other readers, and the net for one."""
        own, unit = identifier(name), branch(self._bits(net))
        self.instances.append(Instance(own, unit, (("in", net), ("out0", f"{own}_o0"), ("out1", f"{own}_o1"))))
        return f"{own}_o1", f"{own}_o0"

    def _bits(self, net: str) -> int:
        """Of a beat on `net`."""
        for instance in self.instances:
            names = dict(instance.nets)
            for stream in instance.unit.outputs:
                if names[stream.name] == net:
                    return stream.bits
        image = self.network.tensor(self.network.input)
        return self._lanes(self.readers[image.name][0][0]) * image.quantizer.format.bits


def identifier(name: str) -> str:
    """A name for Verilog, which has no dots and blanks, and begins with no digit."""
    return re.sub(r"^(?=\d)", "layer", re.sub(r"\W", "_", name))


def check_names(network: Network) -> None:
    """ValueError where two layers have one name in Verilog."""
    known: dict[str, str] = {}
    for name in (node.layer.name for node in network.nodes):
        other = known.setdefault(identifier(name), name)
        if other != name:
            raise ValueError(f"layers {other!r} and {name!r} are both {identifier(name)!r} in hardware: rename one")


# ---- units with their contents -------------------------------------------------------------------


def _bare(module: str, parameters: Mapping[str, int], *memories: Memory) -> Unit:
    return Unit(module, tuple(parameters.items()), *ports(module, parameters), memories)


def _filled(element: Element, node: Node) -> Unit:
    """A unit that makes results, with its weights."""
    p = dict(element.parameters)
    if element.module != "mvu":
        return _bare(element.module, p)
    formats = {side: as_format(p[f"{side}E"], p[f"{side}M"], p[f"{side}S"]) for side in "WA"}
    tables = (products(formats["W"], formats["A"], p["PRODUCT"]),) if p["STYLE"] == TABLE else ()
    assert node.weights is not None
    return _bare("mvu", p, _matrix(node.weights, p, formats["W"].bits), *tables)


def _matrix(codes: np.ndarray, p: Mapping[str, int], bits: int) -> Memory:
    """The weights in the order of their use: groups, outputs by PE, terms by SIMD; PE major in a word."""
    pe, simd = p["PE"], p["SIMD"]
    folded = codes.reshape(p["GROUPS"] * p["ROWS"] // pe, pe, p["DOT"] // simd, simd).swapaxes(1, 2)
    words = folded.reshape(-1, pe * simd)
    return Memory("weights", pe * simd * bits, tuple(_join(word, bits) for word in words.tolist()))


def _join(codes: Sequence[int], bits: int) -> int:
    return sum(code << bits * i for i, code in enumerate(codes))


def _coded(element: Element, rule: Rule, node: Node) -> Unit:
    """A unit that makes codes, with its thresholds or its table."""
    p = dict(element.parameters)
    if isinstance(rule, Table):
        return _bare("code_table", p, Memory("codes", p["OUT"], rule.codes))
    assert rule is not None
    wide = replace(rule, acc_bits=p["ACC"])
    same = len(set(wide.rows)) == 1
    rows = replace(wide, rows=wide.rows[: p["LANES"]]) if same and p["WORDS"] == 1 else wide
    make = rows.search if element.module == "threshold_search" else rows.parallel
    unit = make(p["LANES"], block_words=p["BLOCK"] or None)
    words = dict(unit.parameters)["WORDS"]
    if words != p["WORDS"]:
        raise ValueError(
            f"thresholds of layer {node.layer.name!r} are priced as {p['WORDS']} a lane, but there are {words}"
        )
    return unit
