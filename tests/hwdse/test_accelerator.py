"""The units of a layer: what is priced is what the unit functions build, and every stream fits the next unit."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from hwdse import board_top, units
from hwdse.accelerator import Choice, Element, Quantised, elements, matrix_vector
from hwdse.design import Folding, Quantizer
from hwdse.folding import cycles, legal, multiplies, stream_width
from hwdse.matrix_vector import MatrixVector, Style, table_bits
from hwdse.memory import FIFO_WORDS, LUT_WORDS
from hwdse.netlist import Stream, Unit, closure, modules
from hwdse.serial_window import serial_cycles, window_serial
from hwdse.structure.lanes import as_format
from hwdse.target import FpgaTarget, fpga
from hwdse.thresholds import Thresholds, levels
from hwdse.window import Window, parallel_cycles, window_parallel
from hwdse.workload import Kind, Layer
from tests.cost_models.workloads import (
    ADD,
    AVG_POOL,
    CONV,
    DEPTHWISE,
    GROUPED,
    LAYERS,
    LINEAR,
    MATMUL,
    MAX_POOL,
    STRIDED,
    TABLE,
    conv,
    matmul,
)

ECP5, AMD = fpga("ecp5_85f"), fpga("xczu7ev")
PLAIN = Choice()
WIDE = conv("wide", "a", ("b",), (16, 8), 12, stride=2)  # an odd image for its stride
WINDOWED = replace(AVG_POOL, name="windowed", dot=4, positions=16, out_shape=(32, 4, 4), kernel=(2, 2), stride=(2, 2))
ADAPTIVE = replace(AVG_POOL, name="adaptive", dot=16, positions=4, out_shape=(32, 2, 2))
TOKENS = Layer("tokens", Kind.AVG_POOL, ("e",), ("f",), 32, 64, 1, in_shape=(64, 32), out_shape=(32,))
HEADS = matmul("heads", ("e", "f"), ("e", "f"), 2, 6, 8, 4)
MULTIPLIER = conv("multiplier", "a", ("b",), (16, 32), 32, groups=16)
FORKED = replace(CONV, name="forked", outputs=("a", "b", "c"))
TABLES = replace(TABLE, name="tables", outputs=("e", "f"))
BARE = replace(CONV, name="bare", outputs=())
INSIDE = [layer for layer in LAYERS if layer.inputs]
EVERY = [*INSIDE, WIDE, WINDOWED, ADAPTIVE, TOKENS, HEADS, MULTIPLIER, FORKED, TABLES, BARE]
ENDINGS = ("uint4", "e2m1", "int5", "ue3m1")  # formats of the outputs
PAIRS = ("int4 uint4", "e2m1 ue2m2", "int3 int8", "e3m2 e3m2", "int8:full int4:full")

each_layer = pytest.mark.parametrize("layer", EVERY, ids=lambda layer: layer.name)


def quantised(
    layer: Layer, pair: str, folding: Folding, target: FpgaTarget = ECP5, granularity: str = "channel"
) -> Quantised:
    """`layer` with formats for its weights and its inputs, and one of `ENDINGS` for each output."""
    weights, activations = (Quantizer.parse(name) for name in pair.split())
    operands = [activations] * len(layer.inputs) + [replace(weights, granularity=granularity)] * (layer.weights > 0)
    ends = [Quantizer.parse(name) for name in ENDINGS[len(pair) % 2 :][: len(layer.outputs)]]
    return Quantised(layer, tuple(operands), tuple(ends), folding, target)


def foldings(layer: Layer) -> tuple[Folding, ...]:
    """Few and many lanes, and for windows every number of taps at once."""
    every = legal(layer)
    ends = (every[0], every[-1], every[len(every) // 2])
    simds = {folding.simd: folding for folding in every if folding.pe <= 4}
    return tuple(dict.fromkeys((*ends, *(simds.values() if layer.kind is Kind.CONV else ()))))


def styles(q: Quantised) -> tuple[Style, ...]:
    """How the products of a layer can be made."""
    if not multiplies(q.layer):
        return ("shift",)
    weight, activation = q.operands[1].format, q.operands[0].format
    return ("shift", "decode", "dsp", *(("table",) if table_bits(weight, activation) <= 6 else ()))


def lists(layer: Layer) -> list[tuple[Quantised, tuple[Element, ...]]]:
    """The units of a layer in many formats, foldings and choices."""
    return [
        (q, elements(q, Choice(style, parallel_thresholds=parallel)))
        for pair in PAIRS
        for folding in foldings(layer)
        for target in (ECP5, AMD)
        for q in [quantised(layer, pair, folding, target)]
        for style in styles(q)
        for parallel in (False, True)
    ]


# ---- what is priced is what is built --------------------------------------------------------------


def built(q: Quantised, element: Element) -> Unit:
    """The hardware of `element`: made by the function of its unit from the sizes that the element states."""
    p = dict(element.parameters)
    match element.module:
        case "mvu" | "mvu_streamed":
            return _matrix(q, p)
        case "window_serial" | "window_parallel":
            return _window(p, serial=element.module == "window_serial")
        case "threshold_search" | "threshold_parallel":
            return _thresholds(q, p, parallel=element.module == "threshold_parallel")
        case "fifo":
            return units.fifo(p["BITS"], p["DEPTH"], block=bool(p["BLOCK"]))
        case "width":
            return units.width(p["ELEMENT"], p["IN"], p["OUT"])
        case "branch":
            return units.branch(p["BITS"])
        case "code_table":
            return units.code_table([0] * (1 << p["IN"]), p["OUT"], p["LANES"], block=bool(p["BLOCK"]))
    fmt, narrow = q.operands[0].format, q.operands[0].narrow
    match element.module:
        case "residual_add":
            return units.residual_add(fmt, p["LANES"], narrow=narrow)
        case "max_pool":
            return units.max_pool(fmt, p["LANES"], p["TAPS"])
        case "sum_pool":
            return units.sum_pool(fmt, p["LANES"], p["TAPS"], p["GROUPS"], narrow=narrow, block=bool(p["BLOCK"]))
    raise AssertionError(f"no unit function of {element.module}")


STYLES: tuple[Style, ...] = ("shift", "decode", "table", "dsp", "dsp")  # of STYLE


def _matrix(q: Quantised, p: dict[str, int]) -> Unit:
    style = STYLES[p["STYLE"]]
    value = MatrixVector(
        as_format(p["WE"], p["WM"], p["WS"]),
        as_format(p["AE"], p["AM"], p["AS"]),
        rows=p["ROWS"],
        dot=p["DOT"],
        folding=Folding(p["PE"], p["SIMD"]),
        groups=p.get("GROUPS", q.layer.groups),
        shared=bool(p["SHARED"]),
        style=style,
        narrow=(q.operands[1].narrow, q.operands[0].narrow),
        block=bool(p.get("BLOCK", 0)),
        buffer_block=bool(p["BUFFER_BLOCK"]),
        streamed="BLOCK" not in p,
        lut_inputs=q.target.lut_inputs,
        dsp=q.target.dsp if style == "dsp" else None,
    )
    return value.unit(None if value.streamed else [0] * value.words)


def _window(p: dict[str, int], *, serial: bool) -> Unit:
    (kernel, stride, padding) = ((p[f"{key}H"], p[f"{key}W"]) for key in "KSP")
    sizes = p["LANES"], p["BITS"], p["CF"]
    window = Window(p["H"], p["W"], kernel, stride, padding, *sizes, p["GROUPS"] if serial else 1)
    if serial:
        return window_serial(window, depth=p["D"], block=bool(p["BLOCK"]))
    return window_parallel(window, block=bool(p["BLOCK"]))


def _thresholds(q: Quantised, p: dict[str, int], *, parallel: bool) -> Unit:
    fmt = as_format(p["OE"], p["OM"], p["OS"])
    (output,) = dict.fromkeys(one for one in q.outputs if one.format == fmt)
    rows = ((0,) * (len(levels(fmt, output.narrow)) - 1),) * (p["LANES"] * p["WORDS"])
    value = Thresholds(fmt, p["ACC"], rows, output.narrow)
    build = value.parallel if parallel else value.search
    return build(p["LANES"], block_words=p["BLOCK"] or None)


@each_layer
def test_a_priced_unit_is_the_one_that_is_built(layer: Layer) -> None:
    seen = set[str]()
    for q, found in lists(layer):
        for element in found:
            unit = built(q, element)
            assert (unit.module, unit.parameters) == (element.module, element.parameters)
            seen.add(element.module)
    assert seen <= set(modules())
    assert all(closure(module) for module in seen)


def test_every_leaf_of_the_accelerator_is_in_some_layer() -> None:
    seen = {element.module for layer in EVERY for _, found in lists(layer) for element in found}
    inner = {name for module in seen for name in closure(module)}
    between = {"transpose"}  # wires, which the generator puts between units
    assert inner == set(modules()) - set(board_top.MODULES) - between  # the first are a board's


# ---- the streams between units ---------------------------------------------------------------------


def bits(streams: tuple[Stream, ...]) -> list[int]:
    """The bits of beats."""
    return [stream.bits for stream in streams]


@each_layer
def test_streams_of_units_that_follow_each_other_fit(layer: Layer) -> None:
    for q, found in lists(layer):
        by = dict[str, list[Unit]]()
        for element in found:
            by.setdefault(element.role, []).append(built(q, element))
        names = ("window", "window parts", "matrix", "add", "pool")
        line = [unit for name in names for unit in by.get(name, [])]
        entering = q.operands[0].format.bits * stream_width(layer, q.folding)
        reads = bits(line[0].inputs) if line else [q.folding.pe * q.operands[0].format.bits]
        assert reads[0] == entering
        for before, after in pairwise(line):
            assert bits(before.outputs) == bits(after.inputs)[:1]
        stream = bits(line[-1].outputs) if line else reads[:1]
        branches, coders = by.get("branch", []), [*by.get("thresholds", []), *by.get("table", [])]
        assert len(branches) == max(0, len(layer.outputs) - 1)
        assert all(bits(unit.inputs) == stream and bits(unit.outputs) == stream * 2 for unit in branches)
        assert all(bits(unit.inputs) == stream for unit in coders)
        ends = [width for unit in coders for width in bits(unit.outputs)] or stream
        assert [width for unit in by["fifo"] for width in bits(unit.inputs)] == ends
        if layer.outputs and layer.kind is not Kind.MAX_POOL:
            assert ends == [q.folding.pe * output.format.bits for output in q.outputs]


@each_layer
def test_units_are_in_the_order_of_the_stream(layer: Layer) -> None:
    order = ["window", "window parts", "matrix", "add", "pool", "branch", "thresholds", "table", "fifo"]
    for _, found in lists(layer):
        roles = [element.role for element in found]
        assert roles == sorted(roles, key=order.index)


def test_a_linear_layer_and_a_convolution_of_one_pixel_read_their_stream_as_it_is() -> None:
    pointwise = conv("pointwise", "a", ("b",), (16, 8), 8, kernel=1)
    for layer, simd in ((LINEAR, 4), (pointwise, 4)):
        (unit, *_) = elements(quantised(layer, "int4 uint4", Folding(2, simd)), Choice())
        assert unit.module == "mvu"


# ---- layer by layer ------------------------------------------------------------------------------


def roles(layer: Layer, folding: Folding, pair: str = "int4 uint4", target: FpgaTarget = ECP5) -> list[str]:
    """`role: module` of every unit."""
    found = elements(quantised(layer, pair, folding, target), Choice())
    return [f"{element.role}: {element.module}" for element in found]


def parameters(layer: Layer, folding: Folding, role: str, choice: Choice = PLAIN, **how: str) -> dict[str, int]:
    """The parameters of the unit for `role`."""
    q = quantised(layer, how.get("pair", "int4 uint4"), folding, granularity=how.get("granularity", "channel"))
    (found,) = (element.parameters for element in elements(q, choice) if element.role == role)
    return dict(found)


ENDS = ["thresholds: threshold_search", "fifo: fifo"]
FORKS = [*["branch: branch"] * 2, *["thresholds: threshold_search"] * 3, *["fifo: fifo"] * 3]


@pytest.mark.parametrize(
    ("layer", "folding", "expected"),
    [
        (CONV, Folding(1, 1), ["window: window_serial", "matrix: mvu", *ENDS]),
        (CONV, Folding(1, 9), ["window: window_parallel", "window parts: width", "matrix: mvu", *ENDS]),
        (CONV, Folding(1, 27), ["window: window_parallel", "matrix: mvu", *ENDS]),
        (DEPTHWISE, Folding(4, 1), ["window: window_serial", "matrix: mvu", *ENDS]),
        (DEPTHWISE, Folding(4, 3), ["window: window_parallel", "window parts: width", "matrix: mvu", *ENDS]),
        (DEPTHWISE, Folding(4, 9), ["window: window_parallel", "matrix: mvu", *ENDS]),
        (STRIDED, Folding(4, 4), ["window: window_serial", "matrix: mvu", *ENDS]),
        (GROUPED, Folding(2, 24), ["window: window_parallel", "window parts: width", "matrix: mvu", *ENDS]),
        (ADD, Folding(2), ["add: residual_add", *ENDS]),
        (MAX_POOL, Folding(2), ["window: window_serial", "pool: max_pool", "fifo: fifo"]),
        (AVG_POOL, Folding(2), ["pool: sum_pool", *ENDS]),
        (TOKENS, Folding(2), ["pool: sum_pool", *ENDS]),
        (WINDOWED, Folding(2), ["window: window_serial", "pool: sum_pool", *ENDS]),
        (ADAPTIVE, Folding(2), ["window: window_serial", "pool: sum_pool", *ENDS]),
        (TABLE, Folding(2), ["table: code_table", "fifo: fifo"]),
        (TABLES, Folding(2), ["branch: branch", *["table: code_table"] * 2, *["fifo: fifo"] * 2]),
        (MATMUL, Folding(2, 2), ["matrix: mvu_streamed", *ENDS]),
        (LINEAR, Folding(2, 2), ["matrix: mvu", "fifo: fifo"]),
        (FORKED, Folding(1, 27), ["window: window_parallel", "matrix: mvu", *FORKS]),
    ],
    ids=lambda value: getattr(value, "name", None),
)  # fmt: skip
def test_units_of_a_layer(layer: Layer, folding: Folding, expected: list[str]) -> None:
    assert roles(layer, folding) == expected


@pytest.mark.parametrize(
    ("layer", "folding"), [(CONV, Folding(4, 3)), (GROUPED, Folding(4, 8)), (STRIDED, Folding(1, 4))]
)
def test_a_matrix_is_stored_once(layer: Layer, folding: Folding) -> None:
    found = matrix_vector(quantised(layer, "int4 uint4", folding), Choice())
    assert found.words * folding.pe * folding.simd == layer.weights
    assert (found.groups, found.rows * found.groups, found.shared) == (layer.groups, layer.rows, True)
    assert found.words * layer.positions == layer.macs // (folding.pe * folding.simd)


def test_the_channels_of_a_depthwise_layer_stand_alone() -> None:
    found = parameters(DEPTHWISE, Folding(4, 3), "matrix")
    assert (found["GROUPS"], found["SHARED"], found["ROWS"], found["DOT"]) == (1, 0, 16, 9)
    serial = parameters(DEPTHWISE, Folding(4, 1), "window")
    assert (serial["CF"], serial["GROUPS"]) == (4, 4)
    assert parameters(GROUPED, Folding(4, 4), "window")["GROUPS"] == 4
    assert parameters(CONV, Folding(4, 1), "window")["GROUPS"] == 1


def test_outputs_of_one_channel_are_a_group() -> None:
    found = parameters(MULTIPLIER, Folding(2, 3), "matrix")
    assert (found["GROUPS"], found["SHARED"], found["ROWS"], found["DOT"]) == (16, 1, 2, 9)
    serial = parameters(MULTIPLIER, Folding(2, 1), "window")
    assert (serial["LANES"], serial["CF"], serial["GROUPS"]) == (1, 16, 16)


def test_heads_have_operands_of_their_own() -> None:
    found = matrix_vector(quantised(HEADS, "int4 uint4", Folding(2, 4)), Choice())
    assert (found.groups, found.rows, found.dot, found.streamed) == (2, 4, 8, True)


def test_pools_add_what_they_see() -> None:
    assert parameters(AVG_POOL, Folding(4), "pool") | {"TAPS": 64, "GROUPS": 8} == parameters(
        AVG_POOL, Folding(4), "pool"
    )
    windowed, adaptive = (parameters(layer, Folding(4), "pool") for layer in (WINDOWED, ADAPTIVE))
    assert (windowed["TAPS"], windowed["GROUPS"]) == (4, 1)
    assert (adaptive["TAPS"], adaptive["GROUPS"]) == (16, 1)
    window = parameters(ADAPTIVE, Folding(4), "window")
    assert [window[key] for key in ("KH", "KW", "SH", "SW")] == [4, 4, 4, 4]
    subsampled = replace(WINDOWED, dot=1, kernel=(1, 1))  # a pool of one pixel takes some of them
    assert parameters(subsampled, Folding(4), "window")["SH"] == 2


def test_channels_that_differ_have_thresholds_of_their_own() -> None:
    plain = replace(CONV, bias=False)
    words = [parameters(plain, Folding(4, 3), "thresholds", granularity=g)["WORDS"] for g in ("channel", "tensor")]
    assert words == [4, 1]
    assert parameters(CONV, Folding(4, 3), "thresholds", granularity="tensor")["WORDS"] == 4  # of their biases
    assert parameters(ADD, Folding(4), "thresholds")["WORDS"] == 1
    assert parameters(replace(ADD, by_channel=True), Folding(4), "thresholds")["WORDS"] == 8  # of a norm


def test_parallel_thresholds_are_those_of_the_format() -> None:
    found = parameters(CONV, Folding(4, 3), "thresholds", Choice(parallel_thresholds=True))
    assert (found["COUNT"], found["FIRST"]) == (15, 0)


@pytest.mark.parametrize(("words", "block"), [(LUT_WORDS, 0), (LUT_WORDS + 1, 1)])
def test_depth_alone_decides_where_a_memory_goes(words: int, block: int) -> None:
    layer = replace(LINEAR, rows=words, dot=1)
    for pair in PAIRS:
        assert parameters(layer, Folding(1, 1), "matrix", pair=pair)["BLOCK"] == block
    bare = replace(ECP5, brams=0)
    q = quantised(layer, "int4 uint4", Folding(1, 1), bare)
    assert all(dict(element.parameters).get("BLOCK", 0) == 0 for element in elements(q, Choice()))
    forced = parameters(layer, Folding(1, 1), "matrix", Choice(weights_in_block=True))
    assert forced["BLOCK"] == 1


def test_sums_are_exact_in_every_unit() -> None:
    for pair in PAIRS:
        q = quantised(CONV, pair, Folding(4, 3))
        sums = {dict(e.parameters)["ACC"] for e in elements(q, Choice()) if e.role in ("matrix", "thresholds")}
        assert sums == {q.sum_bits}
    assert quantised(MAX_POOL, "int4 uint4", Folding()).sum_bits is None
    assert parameters(ADD, Folding(2), "add")["SUM"] == 6  # 30 in two's complement
    assert parameters(BARE, Folding(2, 3), "fifo") == {"BITS": 2 * 13, "DEPTH": FIFO_WORDS, "BLOCK": 0}


@each_layer
def test_no_window_is_slower_than_its_layer_says(layer: Layer) -> None:
    for q, found in lists(layer):
        for element in found:
            if element.role == "window":
                assert window_cycles(element) <= cycles(layer, q.folding)


def window_cycles(element: Element) -> int:
    """Cycles of a window between two images."""
    p = dict(element.parameters)
    serial = element.module == "window_serial"
    kernel, stride, padding = ((p[f"{key}H"], p[f"{key}W"]) for key in "KSP")
    groups = p["GROUPS"] if serial else 1
    window = Window(p["H"], p["W"], kernel, stride, padding, p["LANES"], p["BITS"], p["CF"], groups)
    return serial_cycles(window, p["D"]) if serial else parallel_cycles(window)


# ---- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "folding", "message"),
    [
        (
            replace(AVG_POOL, dot=10, positions=9, out_shape=(32, 3, 3)),
            Folding(1, 1),
            "an adaptive pool divides its image evenly, but layer 'avg_pool' makes 3 x 3 of 8 x 8",
        ),
        (
            replace(CONV, padding=(2, 1), out_shape=(16, 34, 32), positions=34 * 32),
            Folding(1, 27),
            "padding of a parallel window is less than half of its 3 taps and less than its 32 pixels, unlike 2, "
            "in layer 'conv'",
        ),
    ],
)
def test_what_no_unit_does_names_the_layer(layer: Layer, folding: Folding, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        elements(quantised(layer, "int4 uint4", folding), Choice())
