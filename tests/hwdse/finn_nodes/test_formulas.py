"""Each kind of node, with attributes at random, on several parts: the formulas give FINN's own numbers."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from hwdse.finn import messages
from hwdse.finn_nodes import (
    KINDS,
    ConvolutionInputGenerator,
    Dsp,
    Elementwise,
    MemMode,
    Multiplier,
    MvauHls,
    Node,
    RamStyle,
    ThresholdingHls,
    VvauHls,
    VvauRtl,
    dsp_of,
)
from hwdse.finn_worker import __file__ as worker
from tests.hwdse.finn.fakes import real_environment

PARTS = (
    "xczu3eg-sbva484-1-e",
    "xc7z020clg400-1",
    "xcu250-figd2104-2L-e",
    "xcvc1902-vsva2197-2MP-e-S",
    "xcv80-lsva4737-2MHP-e-s",
)
PER_OPERATION = 60
RAMS = ("auto", "block", "distributed", "ultra")

Attributes = dict[str, object]


def divisor(draw: Random, whole: int) -> int:
    """One of those of `whole`."""
    return draw.choice([part for part in range(1, whole + 1) if whole % part == 0])


def datatype(draw: Random, least: int, most: int) -> str:
    """An integer of FINN with that many bits."""
    return f"{draw.choice(('INT', 'UINT'))}{draw.randint(least, most)}"


def products(draw: Random) -> Attributes:
    """Of units with weights: those of our widths, and wider ones."""
    widest = draw.choice((8, 8, 32))
    return {
        "inputDataType": datatype(draw, 1 if widest == 8 else 9, widest),
        "weightDataType": f"INT{draw.randint(2, widest)}",
        "accDataType": datatype(draw, 4, 40),
        "outputDataType": datatype(draw, 1, 8),
        "noActivation": draw.choice((0, 1)),
        "ram_style": draw.choice(RAMS),
        "resType": draw.choice(("auto", "lut", "dsp")),
    }


def mvau(draw: Random) -> Attributes:
    """Of a matrix-vector unit."""
    mw, mh = draw.choice((1, 9, 27, 64, 144, 800, 1152)), draw.choice((1, 10, 16, 64, 96, 512))
    return {
        **products(draw),
        "MW": mw,
        "MH": mh,
        "SIMD": divisor(draw, mw),
        "PE": divisor(draw, mh),
        "numInputVectors": draw.choice(([1], [1, 7, 9], [16])),
        "mem_mode": draw.choice([mode.value for mode in MemMode]),
        "ram_style_thresholds": draw.choice(RAMS[:3]),
    }


def vvau(draw: Random) -> Attributes:
    """Of a vector-vector unit."""
    channels, kernel = draw.choice((1, 6, 32, 256)), draw.choice(([1, 1], [3, 3], [5, 3]))
    return {
        **products(draw),
        "Channels": channels,
        "Kernel": kernel,
        "PE": divisor(draw, channels),
        "SIMD": divisor(draw, kernel[0] * kernel[1]),
        "Dim": [draw.randint(1, 30), draw.randint(1, 30)],
        "mem_mode": draw.choice(("internal_embedded", "internal_decoupled", "external")),
    }


def thresholding(draw: Random) -> Attributes:
    """Of thresholds."""
    channels, bits = draw.choice((1, 12, 64, 512, 4096)), draw.randint(1, 8)
    return {
        "NumChannels": channels,
        "PE": divisor(draw, channels),
        "numSteps": 2**bits - 1,
        "inputDataType": datatype(draw, 2, 32),
        "weightDataType": datatype(draw, 2, 32),
        "outputDataType": f"UINT{bits}",
        "numInputVectors": draw.choice(([1], [1, 7, 9])),
    }


def thresholding_hls(draw: Random) -> Attributes:
    """Of those in HLS."""
    return {**thresholding(draw), "ram_style": draw.choice(RAMS[1:])}


def thresholding_rtl(draw: Random) -> Attributes:
    """Of those in RTL."""
    low, high = draw.choice(((0, 0), (0, 0), (64, 2048), (0, 512), (300, 0)))
    triggers = {"depth_trigger_bram": low, "depth_trigger_uram": high}
    return {**thresholding(draw), **triggers, "uniform_thres": draw.choice((0, 0, 1))}


def window(draw: Random) -> Attributes:
    """Of a window generator: of planes and of lines, at once and one by one."""
    kernel, stride, dilation = ([draw.randint(1, most) for _ in range(2)] for most in (5, 3, 2))
    image = [(size - 1) * 2 + 1 + draw.choice((0, 3, 20, 200)) for size in kernel]
    if draw.random() < 0.25:
        line = draw.choice((0, 1))
        kernel[line] = stride[line] = dilation[line] = image[line] = 1
    channels, depthwise = draw.choice((1, 6, 32, 128)), draw.choice((0, 1))
    image = [max(size, step) for size, step in zip(image, stride, strict=True)]
    spans = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    out = [(size - span) // step + 1 for size, span, step in zip(image, spans, stride, strict=True)]
    at_once = draw.choice((0, 0, 1))
    return {
        "ConvKernelDim": kernel,
        "IFMChannels": channels,
        "IFMDim": image,
        "OFMDim": out,
        "SIMD": channels if at_once and not depthwise else divisor(draw, channels),
        "Stride": stride,
        "Dilation": dilation,
        "inputDataType": datatype(draw, 1, 16),
        "outputDataType": "INT4",
        "depthwise": depthwise,
        "parallel_window": at_once,
        "ram_style": draw.choice(RAMS),
    }


def padding(draw: Random) -> Attributes:
    """Of padding."""
    channels = draw.choice((1, 3, 64))
    return {
        "ImgDim": [draw.randint(1, 40), draw.randint(1, 40)],
        "Padding": [draw.randint(0, 3) for _ in range(4)],
        "NumChannels": channels,
        "SIMD": divisor(draw, channels),
        "inputDataType": "INT4",
    }


def pool(draw: Random) -> Attributes:
    """Of a pool."""
    channels = draw.choice((1, 12, 64))
    return {
        "Channels": channels,
        "PE": divisor(draw, channels),
        "KernelSize": [draw.randint(1, 4), draw.randint(1, 4)],
        "Function": "MaxPool",
        "OutImgDims": [draw.randint(1, 20), draw.randint(1, 20)],
        "InputDataType": "UINT4",
        "OutputDataType": "UINT4",
    }


def by_channel(draw: Random) -> Attributes:
    """Of a sum over an image."""
    channels = draw.choice((1, 12, 64))
    return {
        "NumChannels": channels,
        "PE": divisor(draw, channels),
        "inputDataType": datatype(draw, 2, 8),
        "numInputVectors": draw.choice(([1], [1, 5, 9])),
    }


def copies(draw: Random) -> Attributes:
    """Of copies of a stream."""
    return {**by_channel(draw), "NumOutputStreams": 2}


def labels(draw: Random) -> Attributes:
    """Of the choice of a class."""
    count = draw.choice((10, 100, 1000))
    shared: Attributes = {"Labels": count, "PE": divisor(draw, count), "K": 1}
    return {**shared, "inputDataType": "INT16", "outputDataType": "UINT16"}


def elementwise(draw: Random) -> Attributes:
    """Of a function of two operands; often of a stream and a constant."""
    channels, rows = draw.choice((1, 10, 64, 600)), draw.choice(([1], [1, 7, 9]))
    right = draw.choice(([*rows, channels], [channels], [1]))
    return {
        "lhs_dtype": datatype(draw, 2, 32),
        "rhs_dtype": datatype(draw, 1, 32),
        "out_dtype": "INT32",
        "lhs_shape": [*rows, channels],
        "rhs_shape": right,
        "out_shape": [*rows, channels],
        "rhs_style": draw.choice(("input", "const", "const")),
        "PE": divisor(draw, channels),
        "ram_style": draw.choice(RAMS),
        "mem_mode": draw.choice(("internal_embedded", "internal_decoupled", "internal_decoupled")),
    }


def converter(draw: Random) -> Attributes:
    """Of words of another width."""
    shape = [1, 64]
    widths = {"inWidth": draw.randint(1, 200), "outWidth": draw.randint(1, 200)}
    return {**widths, "inShape": shape, "outShape": shape, "dataType": "INT4"}


def fifo(draw: Random) -> Attributes:
    """Of a queue: short and long, narrow and wide."""
    depth = draw.choice((2, 5, 33, 34, 64, 100, 257, 500, 2028, 5000, 20000)) + draw.randint(0, 3)
    folded = [1, 4, draw.choice((1, 3, 9, 40))]
    return {
        "depth": depth,
        "folded_shape": folded,
        "normal_shape": [1, 4 * folded[-1]],
        "dataType": datatype(draw, 1, 8),
        "ram_style": draw.choice(("auto", "auto", "srl", "block", "distributed", "ultra")),
    }


DRAWN: dict[str, Callable[[Random], Attributes]] = {
    "MVAU_hls": mvau,
    "MVAU_rtl": mvau,
    "VVAU_hls": vvau,
    "VVAU_rtl": vvau,
    "Thresholding_hls": thresholding_hls,
    "Thresholding_rtl": thresholding_rtl,
    "ConvolutionInputGenerator_rtl": window,
    "FMPadding_rtl": padding,
    "Pool_hls": pool,
    "GlobalAccPool_hls": by_channel,
    "DuplicateStreams_hls": copies,
    "LabelSelect_hls": labels,
    "ElementwiseAdd_hls": elementwise,
    "ElementwiseMul_hls": elementwise,
    "ElementwiseAdd_rtl": elementwise,
    "StreamingDataWidthConverter_rtl": converter,
    "StreamingFIFO_rtl": fifo,
}

Numbers = tuple[int, ...]  # cycles, LUTs, block RAMs, UltraRAMs, DSPs


def asked() -> Iterator[tuple[str, Attributes, str]]:
    """Operations with attributes at random, on the parts in turn."""
    draw = Random(6)
    for operation, attributes in DRAWN.items():
        for i in range(PER_OPERATION):
            yield operation, attributes(draw), PARTS[i % len(PARTS)]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Node, Numbers]]:
    """For each that is asked: its operation, the node that hwdse reads, FINN's numbers."""
    python, folder = real_environment().python, tmp_path_factory.mktemp("nodes")
    requests = list(asked())
    (folder / "nodes.json").write_text(json.dumps(requests))
    program = Path(__file__).with_name("in_finn.py")
    command = [str(python), "-I", str(program), str(Path(worker).parents[1])]
    settings = {"FINN_BUILD_DIR": str(folder), "FINN_SETTINGS": str(folder / "none")}
    files = [str(folder / "nodes.json"), str(folder / "answers.json")]
    done = subprocess.run([*command, *files], env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "answers.json").read_text())
    nodes = [messages.read(KINDS[one["node"].pop("kind")], one["node"]) for one in found]
    pairs = zip(requests, nodes, found, strict=True)
    return [(request[0], node, tuple(one["numbers"])) for request, node, one in pairs]


def numbers(node: Node) -> Numbers:
    """Ours."""
    return node.cycles, node.luts, node.bram18s, node.urams, node.dsps


def test_all_numbers_are_those_of_finn(answers: list[tuple[str, Node, Numbers]]) -> None:
    wrong = [(node, numbers(node), of_finn) for _, node, of_finn in answers if numbers(node) != of_finn]
    assert wrong == []
    assert [node.operation for _, node, _ in answers] == [operation for operation, _, _ in answers]


def test_many_layers_were_compared(answers: list[tuple[str, Node, Numbers]]) -> None:
    layers = {node for _, node, _ in answers}
    assert len(layers) >= 800
    assert {type(node) for node in layers} == set(KINDS.values())
    weighted = Counter(type(node).__name__ for node in layers if node.operation.startswith(("MVAU", "VVAU")))
    assert sum(weighted.values()) >= 200
    assert min(weighted.values()) >= 50
    for number in range(1, 5):  # each kind of area was asked about
        assert sum(of_finn[number] > 0 for _, _, of_finn in answers) >= 20
    assert {node.dsp for node in layers if isinstance(node, KINDS["MvauRtl"])} == set(Dsp)  # type: ignore[attr-defined]


HLS = partial(
    MvauHls,
    pe=4,
    simd=8,
    mw=64,
    mh=16,
    weight_bits=2,
    input_bits=2,
    signed_input=False,
    accumulator_bits=10,
    output_bits=10,
    activation=False,
    vectors=1,
    mem_mode=MemMode.DECOUPLED,
    ram_style=RamStyle.AUTO,
    ram_style_thresholds=RamStyle.AUTO,
    multiplier=Multiplier.AUTO,
    tiles=1,
)


def test_a_folding_is_another_node() -> None:
    node = HLS()
    assert node.folding == (4, 8)
    assert node.with_folding(pe=16) == HLS(pe=16)
    assert node.with_folding(simd=1).cycles == 4 * 64
    with pytest.raises(ValueError, match=r"^PE of MVAU_hls divides 16, unlike 3$"):
        node.with_folding(pe=3)
    with pytest.raises(ValueError, match=r"^SIMD of MVAU_hls divides 64, unlike 0$"):
        HLS(simd=0)


TOO_WIDE = "HLS takes words of 8191 bits at most, not {}"
ADD = partial(
    Elementwise,
    function="Add",
    backend="hls",
    pe=1024,
    left_shape=(1, 1024),
    right_shape=(1024,),
    out_shape=(1, 1024),
    right_bits=8,
    right_constant=True,
    mem_mode=MemMode.DECOUPLED,
    ram_style=RamStyle.BLOCK,
)


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (HLS(), None),
        (HLS(mw=4096, mh=64, pe=64, simd=64), "HLS takes words of 8191 bits at most, not 8192"),
        (HLS(mw=4096, simd=2), "HLS takes SIMD from MW / 1024 = 4 on, not 2"),
        (HLS(tiles=2), "HLS has no tiles"),
        (ThresholdingHls(512, 512, 1, 16, 16, 4, 15, RamStyle.BLOCK), TOO_WIDE.format(512 * 16 * 15)),
        (ThresholdingHls(512, 512, 1, 17, 1, 1, 1, RamStyle.BLOCK), TOO_WIDE.format(512 * 17)),
        (ADD(), TOO_WIDE.format(8192)),
        (ADD(mem_mode=MemMode.EMBEDDED), None),
        (ADD(backend="rtl"), None),
    ],
)
def test_what_hls_does_not_take(node: Node, problem: str | None) -> None:
    assert node.problem == problem


def test_a_window_at_once_takes_all_channels() -> None:
    make = partial(
        ConvolutionInputGenerator,
        channels=8,
        image=(8, 8),
        out_image=(6, 6),
        kernel=(3, 3),
        stride=(1, 1),
        dilation=(1, 1),
        input_bits=4,
        parallel_window=True,
        ram_style=RamStyle.DISTRIBUTED,
    )
    assert make(simd=4, depthwise=True).cycles == 2 * 64 + 2
    with pytest.raises(ValueError, match=r"^a window at once takes SIMD = 8, all channels, not 4$"):
        make(simd=4, depthwise=False)


def test_a_channel_at_a_time_before_its_taps() -> None:
    make = partial(
        VvauRtl,
        channels=8,
        taps=9,
        pixels=4,
        weight_bits=4,
        input_bits=4,
        signed_input=False,
        accumulator_bits=12,
        output_bits=12,
        activation=False,
        mem_mode=MemMode.DECOUPLED,
        ram_style=RamStyle.AUTO,
        multiplier=Multiplier.AUTO,
    )
    assert make(pe=8, simd=3).problem is None
    make_hls = partial(VvauHls, **make.keywords)
    wide = make_hls(channels=512, pe=512, simd=9)
    assert wide.problem == f"HLS takes words of 8191 bits at most, not {512 * 9 * 4}"
    assert make_hls(channels=512, pe=512, simd=3).problem is None
    assert make_hls(channels=512, pe=512, simd=3, weight_bits=8).problem is not None
    assert make_hls(channels=512, pe=512, simd=3, weight_bits=8, mem_mode=MemMode.EMBEDDED).problem is None
    assert make_hls(channels=512, pe=512, simd=1, output_bits=17).problem is not None
    assert make_hls(pe=4, simd=3).problem == make(pe=4, simd=3).problem
    assert make(channels=512, pe=512, simd=9).problem is None  # RTL
    assert make(pe=4, simd=3).problem == "SIMD is above 1 where PE is all 8 channels, not 4"


@pytest.mark.parametrize(
    ("part", "dsp"), [(PARTS[0], Dsp.DSP48E2), (PARTS[1], Dsp.DSP48E1), (PARTS[3], Dsp.DSP58), (PARTS[4], Dsp.DSP58)]
)
def test_the_dsps_of_a_part(part: str, dsp: Dsp) -> None:
    assert dsp_of(part) is dsp


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (3, "a node is an object of JSON, not 3"),
        ({"kind": "Mvau"}, f"no kind of node 'Mvau'; known: {', '.join(KINDS)}"),
        ({"kind": "LabelSelect", "pe": 1}, "a LabelSelect has pe, labels, not pe"),
        ({"kind": "LabelSelect", "pe": 3, "labels": 10}, "PE of LabelSelect_hls divides 10, unlike 3"),
    ],
)
def test_a_message_without_a_node(data: object, rule: str) -> None:
    folded = {"node": "a", "pe": 1, "simd": None, "at_once": None}
    unit = {"folded": folded, "layer": None, "operation": "a", "inputs": [], "node": data}
    area = dict.fromkeys(("cycles", "luts", "bram18s", "urams", "dsps"), 0)
    with pytest.raises(ValueError, match=f"^{rule}$"):
        messages.read(messages.Unit, {**unit, **area})
