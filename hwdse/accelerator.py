"""The units that a layer becomes: leaf modules with their parameters, from the layer, its quantisers and its folding.

What is priced, synthesised and built is this list. Streams are NHWC; a layer's units follow each other, and a FIFO of
`FIFO_WORDS` beats ends each of its outputs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

from hwdse.arithmetic import tight_bits
from hwdse.design import Folding, Quantizer
from hwdse.folding import multiplies, taps_at_once, window
from hwdse.matrix_vector import MatrixVector, Style
from hwdse.memory import FIFO_WORDS, LUT_WORDS
from hwdse.serial_window import depth_pixels
from hwdse.target import FpgaTarget
from hwdse.thresholds import levels, places
from hwdse.units import sum_bits
from hwdse.window import Window, parallel_cycles
from hwdse.workload import Kind, Layer

Parameters = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Element:
    """One unit of a layer: what it is for, and its leaf module with parameters."""

    role: str  # `window`, `matrix`, `thresholds`, ...
    module: str
    parameters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the same sums may be made of: any choice gives the same numbers."""

    style: Style = "shift"
    weights_in_block: bool | None = None  # None: by depth, as the others
    parallel_thresholds: bool = False
    thresholds_in_block: bool | None = None
    window_in_block: bool | None = None


@dataclass(frozen=True, slots=True)
class Quantised:
    """A layer with the quantisers of what it reads and gives, and its folding."""

    layer: Layer
    operands: tuple[Quantizer, ...]  # of its streams in operand order, then of its weights
    outputs: tuple[Quantizer, ...]
    folding: Folding
    target: FpgaTarget

    @property
    def sum_bits(self) -> int | None:
        """Bits of an exact sum in two's complement; nothing where codes stay codes."""
        layer, first = self.layer, self.operands[0]
        if layer.kind in (Kind.MAX_POOL, Kind.TABLE):
            return None
        if not multiplies(layer):
            return sum_bits(first.format, 2 if layer.kind is Kind.ADD else layer.dot, first.narrow)
        weight = self.operands[1]
        signed = weight.format.signed or first.format.signed
        return tight_bits(weight.format, first.format, layer.dot, (weight.narrow, first.narrow)) + (not signed)

    @property
    def words(self) -> int:
        """Output channels that one PE makes in turn."""
        return self.layer.rows // self.folding.pe

    @property
    def own_thresholds(self) -> bool:
        """Whether channels differ in bias or scale, or in the norm that is in their thresholds."""
        layer = self.layer
        return layer.bias or layer.by_channel or (layer.weights > 0 and self.operands[1].granularity == "channel")


def elements(quantised: Quantised, choice: Choice, role: str | None = None) -> tuple[Element, ...]:
    """The units of a layer in the order of its stream; with `role`, which is a key of `_MAKERS`, those for it alone."""
    makers = _MAKERS.values() if role is None else [_MAKERS[role]]
    found = (one for make in makers for one in make(quantised, choice) if role in (None, one[0]))
    return tuple(Element(role, module, tuple(parameters.items())) for role, module, parameters in found)


def stage(quantised: Quantised, choice: Choice, name: str) -> tuple[Element, ...]:
    """The units of a stage of a layer, which a key of `_MAKERS` names: the one that it is named for, and all others."""
    found = _MAKERS[name](quantised, choice)
    return tuple(Element(role, module, tuple(parameters.items())) for role, module, parameters in found)


Found = Iterator[tuple[str, str, Parameters]]


def _inputs(q: Quantised, choice: Choice) -> Found:
    """The sliding window: all taps at once, or tap by tap; some at once are all, given out in parts."""
    moved, taps = _window(q), taps_at_once(q.layer, q.folding)
    if moved is None:
        return
    named, block = dict(moved.parameters), choice.window_in_block
    if taps == 1:
        depth = depth_pixels(moved)
        named |= {"GROUPS": moved.groups, "D": depth, "BLOCK": _block(q, depth * moved.beats, block)}
        yield "window", "window_serial", named
        return
    try:
        parallel_cycles(moved)  # checks it
    except ValueError as error:
        raise ValueError(f"{error}, in layer {q.layer.name!r}") from None
    yield "window", "window_parallel", {**named, "BLOCK": _block(q, moved.width * moved.beats, block)}
    if taps < prod(moved.kernel):
        whole = prod(moved.kernel) * moved.lanes
        yield "window parts", "width", {"ELEMENT": moved.bits, "IN": whole, "OUT": taps * moved.lanes}


def _window(q: Quantised) -> Window | None:
    return window(q.layer, q.folding, q.operands[0].format.bits)


def _block(q: Quantised, words: int, chosen: bool | None = None) -> int:
    """Where a memory goes: as chosen, else in LUTs up to `LUT_WORDS` words and where the device has nothing else."""
    return int(words > LUT_WORDS and q.target.brams > 0) if chosen is None else int(chosen)


def _body(q: Quantised, choice: Choice) -> Found:
    layer, first, lanes = q.layer, q.operands[0], q.folding.pe
    codes = {"AE": first.format.exponent, "AM": first.format.mantissa, "AS": int(first.format.signed)}
    match layer.kind:
        case Kind.CONV | Kind.LINEAR | Kind.MATMUL:
            matrix = matrix_vector(q, choice)
            yield "matrix", matrix.module, matrix.parameters
        case Kind.ADD:
            yield "add", "residual_add", {"LANES": lanes, **codes, "SUM": _bits(q)}
        case Kind.MAX_POOL:
            yield "pool", "max_pool", {"LANES": lanes, "TAPS": layer.dot, **codes}
        case Kind.AVG_POOL:
            groups = q.words if _window(q) is None else 1  # all sums wait where pixels come before channels
            named = {"LANES": lanes, "GROUPS": groups, "TAPS": layer.dot, **codes, "SUM": _bits(q)}
            yield "pool", "sum_pool", {**named, "BLOCK": _block(q, groups)}


def matrix_vector(q: Quantised, choice: Choice) -> MatrixVector:
    """The matrix-vector unit of a layer that multiplies."""
    layer, (first, second) = q.layer, q.operands
    groups = 1 if layer.depthwise else layer.groups
    value = MatrixVector(
        second.format,
        first.format,
        rows=layer.rows // groups,
        dot=layer.dot,
        folding=q.folding,
        groups=groups,
        shared=not layer.depthwise,
        style=choice.style,
        narrow=(second.narrow, first.narrow),
        buffer_block=bool(_block(q, layer.dot // q.folding.simd)),
        streamed=layer.kind is Kind.MATMUL,
        lut_inputs=q.target.lut_inputs,
        dsp=q.target.dsp if choice.style == "dsp" else None,
    )
    return replace(value, block=bool(_block(q, value.words, choice.weights_in_block)))


def _bits(q: Quantised) -> int:
    bits = q.sum_bits
    assert bits is not None
    return bits


def _outputs(q: Quantised, choice: Choice) -> Found:
    """A branch for every output but the first, what makes each output's codes, and a FIFO for every stream."""
    lanes, sums = q.folding.pe, q.sum_bits
    before = sums or q.operands[0].format.bits
    for _ in q.outputs[1:]:
        yield "branch", "branch", {"BITS": lanes * before}
    for output in q.outputs:
        yield from _codes(q, choice, output, sums)
    for bits in [output.format.bits for output in q.outputs] or [before]:
        yield "fifo", "fifo", {"BITS": lanes * bits, "DEPTH": FIFO_WORDS, "BLOCK": 0}


def _codes(q: Quantised, choice: Choice, output: Quantizer, bits: int | None) -> Found:
    """Thresholds where sums leave, and a table of the function where a layer is one; codes may stay as they are."""
    lanes, first = q.folding.pe, q.operands[0].format.bits
    if bits is not None:
        yield "thresholds", *thresholds(output, bits, lanes, q.words if q.own_thresholds else 1, q.target, choice)
    elif q.layer.kind is Kind.TABLE:
        block = _block(q, 1 << first)
        yield "table", "code_table", {"LANES": lanes, "IN": first, "OUT": output.format.bits, "BLOCK": block}


def thresholds(
    output: Quantizer, bits: int, lanes: int, words: int, target: FpgaTarget, choice: Choice
) -> tuple[str, Parameters]:
    """The unit that turns `lanes` sums of `bits` bits into codes of `output`; `words` sets of thresholds a lane."""
    fmt = output.format
    named = {"LANES": lanes, "WORDS": words, "ACC": bits, "WIDE": 0}
    named |= {"OE": fmt.exponent, "OM": fmt.mantissa, "OS": int(fmt.signed)}
    deep = target.brams > 0 if choice.thresholds_in_block is None else choice.thresholds_in_block
    named |= {"BLOCK": LUT_WORDS + 1 if deep else 0}
    if not choice.parallel_thresholds:
        return "threshold_search", named
    count, first = len(levels(fmt, output.narrow)) - 1, places(fmt, output.narrow).count(-1)
    return "threshold_parallel", {**named, "COUNT": count, "FIRST": first}


_MAKERS: Mapping[str, Callable[[Quantised, Choice], Found]] = {
    "window": _inputs,
    "matrix": _body,
    "thresholds": _outputs,
}
