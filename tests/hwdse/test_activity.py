"""What units do in a frame: counted by hand for tiny layers, and for every layer by what must hold."""

from dataclasses import replace

import pytest

from hwdse import activity
from hwdse.accelerator import Choice, Quantised, elements
from hwdse.activity import Access, Add, Multiply, Operation, operations
from hwdse.design import Folding, Quantizer
from hwdse.folding import legal, multiplies
from hwdse.matrix_vector import Style, table_bits
from hwdse.structure import modules
from hwdse.structure.blocks import FABRICS, tree_bits
from hwdse.target import fpga
from hwdse.workload import Layer
from tests.cost_models.workloads import (
    ADD,
    AVG_POOL,
    DEPTHWISE,
    LAYERS,
    MATMUL,
    MAX_POOL,
    TABLE,
    conv,
    linear,
)

TINY = linear("tiny", "x", ("y",), 4, 2, bias=False)
SMALL = conv("small", "x", ("y",), (2, 2), 4, bias=False)
INSIDE = [layer for layer in LAYERS if layer.inputs]
ECP5, ICE40, AMD = "ecp5_85f", "ice40_up5k", "xczu7ev"


def quantised(
    layer: Layer, weights: str, activations: str, folding: Folding, output: str = "uint2", device: str = ECP5
) -> Quantised:
    """`layer` with one format for all it reads, one for its weights and one for each output."""
    operands = [Quantizer.parse(activations)] * len(layer.inputs) + [Quantizer.parse(weights)] * (layer.weights > 0)
    return Quantised(
        layer, tuple(operands), tuple(Quantizer.parse(output) for _ in layer.outputs), folding, fpga(device)
    )


def done(q: Quantised, style: Style = "shift", **choice: bool) -> list[Operation]:
    """All operations of a frame."""
    return list(operations(q, elements(q, Choice(style, **choice))))


def products(q: Quantised, style: Style = "shift") -> list[Operation]:
    """Those that make products."""
    return [one for one in done(q, style) if isinstance(one, Multiply) or one.part == "products"]


# ---- by hand -------------------------------------------------------------------------------------


def test_integers() -> None:
    """4 inputs, 2 outputs, 2 products a beat: 4 beats, of which the last 2 read the vector again."""
    assert done(quantised(TINY, "int4", "uint4", Folding(1, 2))) == [
        Multiply(8, (4, 4)),
        Add("sums", 4, 9),  # products of 8 bits, two by two
        Add("sums", 4, 10),  # two halves of a sum, accumulated
        Access("memory", 4, 8, 2),  # the vector: 2 writes, 2 reads
        Access("memory", 4, 8, 4),  # the weights
        Add("comparisons", 4, 10),  # 2 outputs, 2 bits each
        Access("memory", 2, 10, 2),  # the second threshold depends on the first bit
    ]


def test_minifloats_multiply_significands_and_shift_by_the_sum_of_the_exponents() -> None:
    """2 bits by 2, shifted by 0 to 4 places, which is three stages; exponents of 2 bits are added."""
    assert done(quantised(TINY, "e2m1:channel", "ue2m1", Folding(1, 4))) == [
        Multiply(8, (2, 2)),
        Add("products", 24, 9),
        Add("products", 8, 3),
        Add("sums", 4, 10),  # 2 outputs of 4 terms at once, without an accumulator
        Add("sums", 2, 11),
        Access("memory", 2, 16, 2),
        Add("comparisons", 4, 11),
        Access("memory", 2, 11, 2),  # a set of thresholds for each channel, so that the first is read too
        Access("memory", 2, 11, 4),
    ]


def test_a_window_tap_by_tap() -> None:
    """A 4 x 4 image of 2 channels: 32 beats in, 16 positions x 9 taps x 2 channels out."""
    found = done(quantised(SMALL, "int4:channel", "uint4", Folding(1, 1)))
    assert found[0] == Access("memory", 32 + 288, 4, 22)
    assert Multiply(576, (4, 4)) in found  # padding is multiplied too
    assert Access("memory", 576, 4, 18) in found  # the vector: half of the beats are its first pass


def test_a_window_of_all_taps() -> None:
    """Two rows above of 2 channels at once are read and written as each of 16 pixels enters."""
    found = done(quantised(SMALL, "int4:channel", "uint4", Folding(1, 18)))
    assert found[0] == Access("memory", 32, 16, 4)
    assert found[1] == Multiply(576, (4, 4))
    sums = [(one.count, one.bits) for one in found if isinstance(one, Add) and one.part == "sums"]
    assert sum(count for count, _ in sums) == 32 * 17
    one_beat_a_channel = done(quantised(DEPTHWISE, "int4:channel", "uint4", Folding(1, 9)))
    assert one_beat_a_channel[0] == Access("memory", 2 * 32 * 32 * 16, 8, 512, block=True)
    assert one_beat_a_channel[1] == Access("memory", 2 * 32 * 32 * 16, 24, 16)  # columns wait for their channel


def test_depthwise_layers_keep_no_vector() -> None:
    """Every channel reads its own taps, once."""
    found = done(quantised(DEPTHWISE, "int4:channel", "uint4", Folding(2, 1)))
    matrix = [one for one in found if isinstance(one, Access) and one.bits == 2 * 4]
    assert [(one.count, one.words) for one in matrix] == [
        (16 * 32 * 32 // 2 + 9 * 8 * 1024, 67 * 8),  # the window: in, and 9 taps of 8 beats at each position
        (9 * 8 * 1024, 72),  # the weights
    ]


def test_thresholds_at_once() -> None:
    few = done(quantised(TINY, "int4", "uint4", Folding(1, 2)), parallel_thresholds=True)
    assert few[-1:] == [Add("comparisons", 6, 10)]  # 2 outputs by 3 constants
    several = done(quantised(TINY, "int4:channel", "uint4", Folding(1, 2)), parallel_thresholds=True)
    assert several[-2:] == [Add("comparisons", 6, 10), Access("memory", 2, 30, 2)]


def test_deep_thresholds_are_in_blocks() -> None:
    wide = linear("wide", "x", ("y",), 4, 64, bias=False)
    found = done(quantised(wide, "int4:channel", "uint4", Folding(1, 4), output="uint4"))
    accesses = [one for one in found if isinstance(one, Access)][1:5]
    assert [(one.words, one.block) for one in accesses] == [(64, False), (128, False), (256, True), (512, True)]


def test_adds_and_pools() -> None:
    assert done(quantised(ADD, "int4", "int4", Folding(2, 1)))[0] == Add("sums", 8192, 5)
    # of minifloats both operands become fixed point: a shift by 0 to 2 is two stages
    assert done(quantised(ADD, "int4", "e2m1", Folding(2, 1)))[:2] == [Add("sums", 4 * 8192, 5), Add("sums", 8192, 6)]
    assert done(quantised(MAX_POOL, "int4", "int4", Folding(2, 1)))[:2] == [
        Access("memory", 16 * 16 * 16 + 64 * 4 * 16, 8, 36 * 16, block=True),
        Add("comparisons", 64 * 32 * 4, 4),
    ]
    assert done(quantised(AVG_POOL, "int4", "int4", Folding(2, 1)))[:2] == [
        Add("sums", 32 * 64, 10),
        Access("memory", 2 * 16 * 64, 20, 16),
    ]


def test_a_function_of_a_code_is_read_from_a_table() -> None:
    assert done(quantised(TABLE, "int4", "int4", Folding(2, 1)))[0] == Access("memory", 64 * 32, 2, 16)


def test_a_matmul_loads_and_reads_its_second_operand() -> None:
    found = done(quantised(MATMUL, "int4", "int4", Folding(2, 4)))
    words = 2 * 32 * 4 * 4  # two of 4 heads x 64 columns by 16 terms, 2 x 4 at a time
    assert found[-2:] == [
        Access("memory", 4 * 64 * 16 // 4, 16, words, block=True),
        Access("memory", 64 * 4 * 64 * 16 // 8, 32, words, block=True),
    ]


def test_a_bias_of_sums_that_leave_is_added() -> None:
    last = linear("last", "x", (), 4, 2)
    q = quantised(last, "int4", "uint4", Folding(1, 2))
    assert done(q)[-2:] == [Add("sums", 2, 10), Access("memory", 2, 10, 2)]
    assert done(replace(q, folding=Folding(2, 2)))[-1] == Add("sums", 2, 10)  # one word is wires


# ---- how products are made -----------------------------------------------------------------------


def test_products_in_a_table() -> None:
    assert products(quantised(TINY, "int3", "uint3", Folding(1, 4)), "table") == [Access("products", 8, 6, 64)]


def test_products_of_decoded_minifloats() -> None:
    """e2m1 in fixed point has 4 bits and a sign; unsigned without."""
    assert products(quantised(TINY, "e2m1", "ue2m1", Folding(1, 4)), "decode") == [
        Add("products", 16, 5),
        Add("products", 16, 4),
        Multiply(8, (5, 4)),
    ]


def test_products_in_dsp_blocks_where_the_tool_makes_one() -> None:
    wide = quantised(TINY, "int8", "int8", Folding(1, 4), device=AMD)
    assert products(wide, "dsp") == [Multiply(8, (8, 8), dsp=True)]
    narrow = quantised(TINY, "int4", "int4", Folding(1, 4), device=AMD)
    assert products(narrow, "dsp") == [Multiply(8, (4, 4))]  # 8 bits are too few, so that they are LUTs
    packed = quantised(TINY, "int4", "int4", Folding(2, 4), device=AMD)
    assert products(packed, "dsp") == [Multiply(8, (4, 4), dsp=True)]  # two in one block
    shifted = products(quantised(TINY, "e2m5", "e2m5", Folding(1, 4), device=AMD), "dsp")
    assert shifted[0] == Multiply(8, (6, 6), dsp=True)
    assert [type(one) for one in shifted[1:]] == [Add, Add]  # by LUTs


def test_a_uniform_grid_is_not_added_by_exponents() -> None:
    assert products(quantised(TINY, "int4", "e3m2", Folding(1, 4)))[0] == Multiply(8, (4, 3))
    assert len(products(quantised(TINY, "int4", "e3m2", Folding(1, 4)))) == 2  # one exponent: only the shift


# ---- for every layer -----------------------------------------------------------------------------


def test_every_module_is_counted() -> None:
    assert set(activity._RULES) == set(modules())


@pytest.mark.parametrize("layer", INSIDE, ids=lambda layer: layer.name)
@pytest.mark.parametrize("pair", ["int4 uint4", "e2m1 ue2m1", "int3 e3m2"])
@pytest.mark.parametrize("device", [ECP5, ICE40])
def test_counts_of_every_layer(layer: Layer, pair: str, device: str) -> None:
    """Products are the layer's whatever the folding, and every one but an output's first is added."""
    weights, activations = pair.split()
    for folding in legal(layer)[:: max(1, len(legal(layer)) // 5)]:
        q = quantised(layer, weights, activations, folding, device=device)
        found = done(q)
        for one in found:
            assert one.count > 0
        if not multiplies(layer):
            assert not any(isinstance(one, Multiply) for one in found)
            continue
        assert sum(one.count for one in found if isinstance(one, Multiply)) == layer.macs
        adds = sum(one.count for one in found if isinstance(one, Add) and one.part == "sums")
        bias = layer.positions * layer.rows * (layer.bias and not layer.outputs)
        whole = folding.simd == layer.dot  # else the accumulator adds the first part too
        assert adds - bias == layer.macs - layer.positions * layer.rows * whole


@pytest.mark.parametrize(("lanes", "width", "bits"), [(1, 8, 8), (2, 8, 9), (7, 5, 8), (9, 8, 12), (64, 6, 12)])
def test_adders_are_those_of_the_area_model(lanes: int, width: int, bits: int) -> None:
    found = activity._adders(lanes, width, bits)
    assert sum(number for _, number in found) == lanes - 1
    assert sum(size * number for size, number in found) == tree_bits(lanes, width, bits, FABRICS["xcup"])


def test_products_in_a_table_are_counted_once_each() -> None:
    q = quantised(SMALL, "e2m0", "ue2m1", Folding(2, 2))
    assert table_bits(q.operands[1].format, q.operands[0].format) == 5
    assert products(q, "table")[0] == Access("products", SMALL.macs, 7, 32)  # 4 x 12 in smallest steps, and a sign
