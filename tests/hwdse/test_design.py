"""Designs as values: text forms that round-trip, digests that stay, and errors that name what is wrong."""

import re
from itertools import product

import pytest

from hwdse import design as design_module
from hwdse import formats as formats_module
from hwdse.design import Design, Folding, Quantizer, Step
from hwdse.formats import IntFormat, known_formats, parse

REBUILD = {**vars(formats_module), **vars(design_module)}  # the names that a `repr` is written in
GRANULARITIES = ("tensor", "channel", "group1", "group32")
CALIBRATIONS = ("absmax", "mse", "percentile99.9", "percentile100")
QUANTIZERS = [
    Quantizer(fmt, granularity, scale, calibration, narrow)
    for fmt in (*known_formats(), *known_formats(signed=False), parse("e4m3fn"), parse("e5m2ieee"))
    for granularity, scale, calibration in product(GRANULARITIES, ("float", "po2"), CALIBRATIONS)
    for narrow in ((True, False) if isinstance(fmt, IntFormat) and fmt.signed else (True,))
]
STEPS = (
    Step("bias_correction"),
    Step("smooth_quant", (("alpha", 0.5),)),
    Step("gptq", (("act_order", True), ("blocks", 4), ("damp", 1e-05), ("order", 'by "size" (up) @ \\ ü 😀'))),
    Step("gptq", (), ("conv1", "layer1.0.conv2")),
    Step("learned_round", (("rate", 1e22), ("steps", -1)), ("fc",)),
)
WEIGHTS = {
    "conv1": Quantizer.parse("int8:channel:full"),
    "layer1.0.conv2": Quantizer.parse("e2m1:channel"),
    "fc": Quantizer.parse("int4:group16:po2:mse"),
}
ACTIVATIONS = {"input": Quantizer.parse("uint8"), "conv1": Quantizer.parse("ue2m2:percentile99.99")}
FOLDING = {"conv1": Folding(4, 3), "fc": Folding(10, 1)}
DESIGN = Design.of(WEIGHTS, ACTIVATIONS, FOLDING, STEPS[:2])


def test_quantizers_round_trip() -> None:
    names = [q.name for q in QUANTIZERS]
    assert [Quantizer.parse(name) for name in names] == QUANTIZERS
    assert len(set(names)) == len(names)
    assert [eval(repr(q), REBUILD) for q in QUANTIZERS[:100]] == QUANTIZERS[:100]


def test_quantizer_names() -> None:
    assert Quantizer(parse("int4")).name == "int4"
    assert Quantizer(parse("e2m1"), "channel", "po2", "mse").name == "e2m1:channel:po2:mse"
    assert Quantizer.parse("int8:full:mse:po2:group8").name == "int8:group8:po2:mse:full"
    assert Quantizer.parse("int4:narrow:float:tensor:absmax") == Quantizer(parse("int4"))


def test_quantizer_numbers() -> None:
    assert Quantizer.parse("int4:percentile99.9").percentile == 99.9
    assert Quantizer.parse("int4:group16").group == 16
    plain = Quantizer.parse("int4:channel:mse")
    assert (plain.percentile, plain.group) == (None, None)


OPTIONS = "tensor, channel, group<n>, float, po2, absmax, mse, percentile<p>, narrow, full"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("int9", "an integer format has 2 to 8 bits, not 9"),
        ("int4:chanel", f"no quantizer option 'chanel' in 'int4:chanel'; known: {OPTIONS}"),
        ("int4:channels", f"no quantizer option 'channels' in 'int4:channels'; known: {OPTIONS}"),
        ("int4:", f"no quantizer option '' in 'int4:'; known: {OPTIONS}"),
        ("int4:group0", "a quantizer's granularity is tensor, channel or group<n>, not 'group0'"),
        ("int4:group", "a quantizer's granularity is tensor, channel or group<n>, not 'group'"),
        ("int4:percentile", "a quantizer's calibration is absmax, mse or percentile<p>, not 'percentile'"),
        ("int4:percentile-1", "a quantizer's calibration is absmax, mse or percentile<p>, not 'percentile-1'"),
        ("int4:percentile0", "a percentile is above 0 and at most 100, not 0.0"),
        ("int4:percentile100.5", "a percentile is above 0 and at most 100, not 100.5"),
        ("uint4:full", "only a signed integer has a full range beside its narrow one, not uint4"),
        ("e2m1:full", "only a signed integer has a full range beside its narrow one, not e2m1"),
        ("int4:tensor:channel", "a quantizer has one granularity, not tensor and channel, in 'int4:tensor:channel'"),
        ("int4:full:narrow", "a quantizer has one range, not full and narrow, in 'int4:full:narrow'"),
    ],
)
def test_bad_quantizers(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Quantizer.parse(name)


def test_bad_scale() -> None:
    with pytest.raises(ValueError, match=r"^a quantizer's scale is float or po2, not 'int'$"):
        Quantizer(parse("int4"), scale="int")


def test_foldings_round_trip() -> None:
    for folding in (Folding(), Folding(4, 8), Folding(128, 1)):
        assert Folding.parse(folding.name) == folding
    assert Folding.parse("4x8") == Folding(pe=4, simd=8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0x4", "a folding is at least 1x1, not 0x4"),
        ("4", "a folding is written PExSIMD, e.g. '4x8', not '4'"),
        ("4x-1", "a folding is written PExSIMD, e.g. '4x8', not '4x-1'"),
        ("4X8", "a folding is written PExSIMD, e.g. '4x8', not '4X8'"),
    ],
)
def test_bad_foldings(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Folding.parse(name)


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.technique)
def test_steps_round_trip(step: Step) -> None:
    again = Step.parse(step.name)
    assert again == step
    assert [type(value) for _, value in again.settings] == [type(value) for _, value in step.settings]
    assert eval(repr(step), REBUILD) == step


def test_step_names() -> None:
    assert Step("gptq", (("damp", 0.01), ("act_order", True)), ("a", "b.0")).name == (
        "gptq(act_order=true, damp=0.01) @ a b.0"
    )
    assert Step.parse("gptq()") == Step("gptq")
    assert Step.parse("gptq(b=1, a=2)") == Step.parse("gptq(a=2, b=1)")


HOW = "a step is written 'technique(setting=value) @ layers'"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bias correction", f"{HOW}, not 'bias correction'"),
        ("", f"{HOW}, not ''"),
        ("gptq @", f"{HOW}, not 'gptq @'"),
        ("gptq @  ", "the scope of step 'gptq' is at least one layer, or None for every layer"),
        ("gptq(damp=[1])", "setting 'damp' of step 'gptq' is a number, text or bool, not [1]"),
    ],
)
def test_bad_steps(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Step.parse(name)


@pytest.mark.parametrize("inside", ["damp", "damp=yes", "a=1, a=2"])
def test_bad_settings(inside: str) -> None:
    """The end of the sentence is Python's own, and says where."""
    with pytest.raises(ValueError, match=rf"^the settings of step 'gptq\({inside}\)' are no TOML: .+$"):
        Step.parse(f"gptq({inside})")


@pytest.mark.parametrize("hardware", [True, False])
def test_designs_round_trip(hardware: bool) -> None:
    for recipe in ((), STEPS):
        design = Design.of(WEIGHTS, ACTIVATIONS, FOLDING, recipe, hardware=hardware)
        assert Design.parse(design.text) == design
        assert Design.parse(design.text).digest == design.digest
        assert eval(repr(design), REBUILD) == design
    assert Design.parse("") == Design()


def test_design_text() -> None:
    assert DESIGN.text == (
        "hardware = true\n"
        'recipe = ["bias_correction", "smooth_quant(alpha=0.5)"]\n'
        "\n[weights]\n"
        '"conv1" = "int8:channel:full"\n'
        '"fc" = "int4:group16:po2:mse"\n'
        '"layer1.0.conv2" = "e2m1:channel"\n'
        "\n[activations]\n"
        '"conv1" = "ue2m2:percentile99.99"\n'
        '"input" = "uint8"\n'
        "\n[folding]\n"
        '"conv1" = "4x3"\n'
        '"fc" = "10x1"\n'
    )


def test_digest_is_of_the_text_and_stays() -> None:
    """Results that were paid for are stored under it: if this fails, they are all lost."""
    assert DESIGN.digest == "a0efdb43464b6b11"
    assert Design().digest == "19e0ef44fee38984"


def test_order_of_names_does_not_count() -> None:
    weights, activations = (dict(reversed(names.items())) for names in (WEIGHTS, ACTIVATIONS))
    again = Design.of(weights, activations, dict(reversed(FOLDING.items())), STEPS[:2])
    assert (again, hash(again), again.digest) == (DESIGN, hash(DESIGN), DESIGN.digest)


def test_everything_else_counts() -> None:
    others = [
        Design.of(WEIGHTS | {"fc": Quantizer.parse("int4")}, ACTIVATIONS, FOLDING, STEPS[:2]),
        Design.of(WEIGHTS, ACTIVATIONS | {"input": Quantizer.parse("int8")}, FOLDING, STEPS[:2]),
        Design.of(WEIGHTS, ACTIVATIONS, FOLDING | {"fc": Folding(1, 10)}, STEPS[:2]),
        Design.of(WEIGHTS, ACTIVATIONS, None, STEPS[:2]),
        Design.of(WEIGHTS, ACTIVATIONS, FOLDING, STEPS[1::-1]),
        Design.of(WEIGHTS, ACTIVATIONS, FOLDING, STEPS[:2], hardware=False),
        Design.of(ACTIVATIONS, WEIGHTS, FOLDING, STEPS[:2]),
        DESIGN,
    ]
    assert len({d.digest for d in others}) == len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 1", "no design key 'seed'; known: hardware, recipe, weights, activations, folding"),
        ("hardware = 'no'", "a design's hardware is true or false, not 'no'"),
        ("recipe = 'gptq'", "a design's recipe is a list of steps as text, not 'gptq'"),
        ("recipe = [1]", "a design's recipe is a list of steps as text, not [1]"),
        (
            "[weights]\na.b = 'int4'",
            """a design's weights are lines of "name" = "text", both quoted, not {'a': {'b': 'int4'}}""",
        ),
        ("folding = 4", """a design's folding are lines of "name" = "text", both quoted, not 4"""),
        ("[weights]\nfc = 'int9'", "an integer format has 2 to 8 bits, not 9"),
        ("[folding]\nfc = '4'", "a folding is written PExSIMD, e.g. '4x8', not '4'"),
        ("recipe = ['a b']", f"{HOW}, not 'a b'"),
    ],
)
def test_bad_designs(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Design.parse(text)


def test_text_that_is_no_toml() -> None:
    with pytest.raises(ValueError, match=r"^a design is written in TOML: .+ \(at line 1, column \d+\)$"):
        Design.parse("weights = =")


def test_names_are_sorted_and_unique() -> None:
    quantizer = Quantizer.parse("int4")
    with pytest.raises(ValueError, match=r"^the names of a design are sorted and unique, not b, a$"):
        Design((("b", quantizer), ("a", quantizer)))
    with pytest.raises(ValueError, match=r"^the names of a design are sorted and unique, not a, a$"):
        Design(activations=(("a", quantizer), ("a", quantizer)))


def test_numerics_leave_out_what_changes_no_number() -> None:
    quantizers = {"a": "e1m2:channel", "b": "e2m1:channel", "c": "e1m2:po2:mse"}
    design = Design.of({k: Quantizer.parse(v) for k, v in quantizers.items()}, {}, {"a": Folding(2, 3)})
    assert [(name, q.name) for name, q in design.numerics.weights] == [
        ("a", "int4:channel"),
        ("b", "e2m1:channel"),
        ("c", "e1m2:po2:mse"),
    ]
    assert design.numerics.folding == ()
    assert Quantizer.parse("ue1m3").numerics == Quantizer.parse("uint4")
    assert Quantizer.parse("e1m2fn").numerics == Quantizer.parse("e1m2fn")
