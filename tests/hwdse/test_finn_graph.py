"""What FINN makes of networks written by hand, and what it has no unit for."""

from dataclasses import replace

import pytest

from hwdse.design import Design, Quantizer
from hwdse.finn_graph import Placed, alone, graph, sources
from hwdse.finn_nodes import Dsp, MvauHls, MvauRtl, Node
from hwdse.workload import Kind, Layer, Site, Workload
from tests.cost_models.workloads import ADD, ALL_KINDS, AVG_POOL, CONV, GROUPED, LINEAR, MATMUL, conv, design

RESIDUAL = (
    replace(conv("stem", "image", ("a",), (3, 16), 8), relu=True),
    replace(conv("one", "a", ("b",), (16, 16), 8), relu=True),
    conv("two", "b", ("a",), (16, 16), 8),
    replace(ADD, name="add", inputs=("a", "a"), outputs=("c",), rows=16, positions=64, out_shape=(16, 8, 8), relu=True),
    replace(LINEAR, inputs=("c",), dot=1024, in_shape=(1024,)),
)
SITES = (
    Site("image", ("input",), ("stem",), 192),
    Site("a", ("relu", "two"), ("one", "add"), 2048),
    Site("b", ("relu1",), ("two",), 1024),
    Site("c", ("relu2",), ("linear",), 1024),
)
NETWORK = Workload("residual", RESIDUAL, SITES, (3, 8, 8))


def of(workload: Workload, weights: str = "int4", activations: str = "int4", dsp: Dsp = Dsp.DSP48E2) -> list[Placed]:
    """The nodes of a uniform design."""
    names = [layer.name for layer in workload.layers if layer.weights]
    how = Design.of(
        {name: Quantizer.parse(weights) for name in names},
        {site.name: Quantizer.parse(activations) for site in workload.sites},
    )
    return list(graph(workload, how, dsp))


def test_who_reads_whom() -> None:
    assert sources(NETWORK) == {
        "stem": ("image",),
        "one": ("stem",),
        "two": ("one",),
        "add": ("stem", "two"),
        "linear": ("add",),
    }


def test_a_residual_network() -> None:
    found = of(NETWORK)
    assert [(one.name, one.inputs) for one in found if not one.name.endswith(("window", "padding"))] == [
        ("stem unit", ("stem window",)),
        ("stem thresholds", ("stem unit",)),
        ("stem copies", ("stem thresholds",)),
        ("one unit", ("one window",)),
        ("one thresholds", ("one unit",)),
        ("two unit", ("two window",)),
        ("two thresholds", ("two unit",)),
        ("add adder", ("stem copies", "two thresholds")),
        ("add thresholds", ("add adder",)),
        ("linear unit", ("add thresholds",)),
        ("linear scale", ("linear unit",)),
        ("linear bias", ("linear scale",)),
    ]
    assert [one.node.folding for one in found if one.role == "unit"] == [(1, 1)] * 4


def test_a_sign_behind_a_relu_is_dropped() -> None:
    bits = {one.name: getattr(one.node, "output_bits", None) for one in of(NETWORK)}
    assert (bits["stem thresholds"], bits["two thresholds"]) == (3, 4)
    assert [type(one.node) for one in of(NETWORK) if one.role == "unit"] == [MvauRtl, MvauHls, MvauHls, MvauHls]
    unsigned = {one.name: getattr(one.node, "output_bits", None) for one in of(NETWORK, activations="uint4")}
    assert unsigned["stem thresholds"] == 4


@pytest.mark.parametrize(
    ("weights", "dsp", "kind"),
    [
        ("int4", Dsp.DSP48E2, MvauRtl),
        ("int3", Dsp.DSP48E2, MvauHls),
        ("e2m1", Dsp.DSP48E1, MvauRtl),
        ("e4m3", Dsp.DSP48E2, MvauRtl),  # 19 bits
        ("e5m2", Dsp.DSP48E2, MvauHls),  # 34 bits: no DSP has such a port
        ("int4:full", Dsp.DSP48E2, MvauRtl),
        ("int4:full", Dsp.DSP48E1, MvauHls),
    ],
)
def test_rtl_or_hls(weights: str, dsp: Dsp, kind: type[Node]) -> None:
    units = [one.node for one in of(NETWORK, weights, "uint4", dsp) if one.role == "unit"]
    assert {type(node) for node in units} == {kind}


def test_an_input_that_two_layers_read_is_copied() -> None:
    layers = (*RESIDUAL[:2], replace(RESIDUAL[1], name="other", inputs=("image",), in_shape=(3, 8, 8)), RESIDUAL[-1])
    found = of(replace(NETWORK, layers=layers))
    assert found[0].name == "stem copies of the input"
    assert found[1].inputs == ("stem copies of the input",)


def test_a_layer_alone_copies_nothing() -> None:
    how = design("int4", "int4", {})
    assert [one.role for one in alone(ADD, how, Dsp.DSP48E2)] == ["adder", "thresholds"]
    assert [one.role for one in alone(CONV, how, Dsp.DSP48E2)] == ["padding", "window", "unit", "thresholds"]


@pytest.mark.parametrize(
    ("layer", "rule"),
    [
        (GROUPED, "FINN maps convolutions of all channels or of each, unlike layer 'grouped'"),
        (MATMUL, "FINN has no unit for matmul, which layer 'matmul' is"),
        (replace(AVG_POOL, positions=4), "FINN maps average pools of whole images, unlike layer 'avg_pool'"),
        (replace(LINEAR, positions=4), "FINN maps linear layers of one vector, unlike layer 'linear'"),
        (
            replace(ADD, outputs=()),
            "the logits of FINN are those of a layer with weights, unlike those of 'add'",
        ),
        (replace(CONV, outputs=("a", "b")), "FINN quantises a result once, unlike that of layer 'conv'"),
        (replace(CONV, name="x"), "layer 'x' has no weight quantizer"),
        (replace(CONV, inputs=("x",)), "layer 'conv' has no activation quantizer at site 'x'"),
        (Layer("sm", Kind.SOFTMAX, (), (), 32, 1, 64), "FINN has no unit for softmax, which layer 'sm' is"),
    ],
)
def test_what_finn_has_no_unit_for(layer: Layer, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{rule}$"):
        graph(replace(ALL_KINDS, layers=(layer,)), design("int4", "int4", {}), Dsp.DSP48E2)


@pytest.mark.parametrize(
    ("weights", "activations", "rule"),
    [
        (
            "int4",
            "ue2m2",
            "FINN maps activations that are integers with one scale, unlike ue2m2 at site 'image' of layer 'conv'",
        ),
        ("int4", "int4:channel", "FINN maps .* with one scale, unlike int4:channel at site 'image' of layer 'conv'"),
        (
            "binary",
            "binary",
            "the cost model finn has no formulas for single bits, unlike binary at site 'image' of layer 'conv'",
        ),
        ("int4:group16", "int4", "FINN has a scale per tensor or channel, unlike int4:group16 of layer 'conv'"),
    ],
)
def test_what_finn_has_no_numbers_for(weights: str, activations: str, rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{rule}$"):
        graph(replace(ALL_KINDS, layers=(CONV,)), design(weights, activations, {}), Dsp.DSP48E2)


def test_an_add_of_what_is_no_shortcut() -> None:
    more = replace(RESIDUAL[2], rows=8, out_shape=(8, 8, 8))  # 16 channels do not become 8 by zeros
    layers = (*RESIDUAL[:2], more, replace(RESIDUAL[3], rows=8, out_shape=(8, 8, 8)))
    with pytest.raises(ValueError, match=r"^FINN adds images of one shape, or a shortcut to one, unlike layer 'add'$"):
        of(replace(NETWORK, layers=layers))


def test_layers_for_themselves_have_no_accelerator() -> None:
    rule = "^FINN quantises every tensor once, so that its designs have hardware = true$"
    with pytest.raises(ValueError, match=rule):
        graph(replace(NETWORK, hardware=False), design("int4", "int4", {}), Dsp.DSP48E2)
