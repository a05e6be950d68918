"""Values survive JSON to the last bit."""

import json
import math
from dataclasses import dataclass

import pytest

from hwdse.codec import decode, encode
from hwdse.cost import Cost, FpgaCost, GpuCost, KernelCost, LayerCost, Resources, Term
from hwdse.cost_model import Run
from hwdse.design import Design, Folding, Quantizer, Step
from hwdse.evaluation import Accuracy, Evaluation
from hwdse.workload import Kind, Layer, Site, Workload

ACCURACY = Accuracy("search", 9, "ff80", 0.1 + 0.2, math.pi)
AREA = Resources(1, 2, 3, 4, 5, 6)
FITTED = Term("multipliers", AREA, Resources(), AREA + AREA)
COST = FpgaCost(
    (
        LayerCost("conv1", (FITTED, Term("weights", Resources())), 10, 3, Folding(2, 4), 17),
        LayerCost("add1", (), 5, 1),
    ),
    10, 14, 1 / 3, "ecp5_85f", "dataflow", "uncalibrated, 'so' far", ("softmax",),
)  # fmt: skip
DESIGN = Design.of(
    {"conv1": Quantizer.parse("e2m1:channel:po2:mse")},
    {"input": Quantizer.parse("uint8")},
    {"conv1": Folding(2, 4)},
    (Step("smooth_quant", (("alpha", 0.5),), ("conv1",)),),
)
WORKLOAD = Workload(
    "net",
    (Layer("conv1", Kind.CONV, ("input",), (), 4, 9, 16, in_shape=(1, 4, 4), kernel=(3, 3), bias=True),),
    (Site("input", ("x",), ("conv1",), 16),),
    (1, 4, 4),
)


@pytest.mark.parametrize(
    "value",
    [
        ACCURACY,
        Accuracy("test", 1, "80", 0.0, None),
        Accuracy("test", 1, "80", 5e-324, math.inf),
        AREA,
        COST,
        WORKLOAD,
        Evaluation(DESIGN, (ACCURACY, ACCURACY), COST, (), 36),
    ],
)
def test_a_value_survives(value: object) -> None:
    assert decode(type(value), encode(value)) == value


def test_bounds_survive() -> None:
    for term in (FITTED, Term("exact", AREA)):
        assert decode(Term, encode(term)) == term
    old = '{"name":"x","area":{"luts":0,"ffs":0,"dsps":0,"brams":0,"urams":0,"lutrams":0}}'
    with pytest.raises(
        ValueError, match=r"^no Term in this JSON: a Term has name, area, low, high, variant, not name, area$"
    ):
        decode(Term, old)


def test_a_design_is_its_text() -> None:
    assert json.loads(encode(Evaluation(DESIGN, (), COST, (), 36)))["design"] == DESIGN.text


def test_one_line() -> None:
    assert encode(Term("Ω", Resources())) == (
        '{"name":"Ω","area":{"luts":0,"ffs":0,"dsps":0,"brams":0,"urams":0,"lutrams":0},'
        '"low":null,"high":null,"variant":""}'
    )


@dataclass(frozen=True)
class Pair:
    both: tuple[int, str]
    maybe: float | None


def test_fixed_tuples_and_options() -> None:
    assert decode(Pair, encode(Pair((1, "a"), None))) == Pair((1, "a"), None)
    assert decode(Pair, '{"both": [1, "a"], "maybe": 2}') == Pair((1, "a"), 2.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"^no Pair in this JSON: Expecting property name enclosed in double quotes: line 1 column 2 \(char 1\)$"),
        ("[]", r"^no Pair in this JSON: \[\] is no dict$"),
        ('{"both": [1, "a"]}', r"^no Pair in this JSON: a Pair has both, maybe, not both$"),
        ('{"both": 1, "maybe": 2}', r"^no Pair in this JSON: 1 is no list$"),
        ('{"both": [1, 2], "maybe": 2}', r"^no Pair in this JSON: 2 is no str$"),
        ('{"both": [1], "maybe": 2}', r"^no Pair in this JSON: zip\(\) argument 2 is shorter than argument 1$"),
        ('{"both": [1, "a"], "maybe": "x"}', r"^no Pair in this JSON: 'x' is no float$"),
    ],
)
def test_what_is_something_else(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(Pair, text)


# ---- on FPGAs and on GPUs ------------------------------------------------------------------------

KERNEL = KernelCost("fc", "a16 float16 128x16:w16:s3:k4:t4", 1 / 3, "memory", 4000, 9000, 8, 16, 32, None, None)
ON_GPU = GpuCost((KERNEL,), 64, "h200", "gpu", "uncalibrated", ("softmax",))


@pytest.mark.parametrize("cost", [COST, ON_GPU], ids=["FPGA", "GPU"])
def test_a_cost_is_of_the_kind_that_it_was(cost: Cost) -> None:
    evaluation = Evaluation(DESIGN, (ACCURACY,), cost, (), 36)
    assert decode(Evaluation, encode(evaluation)) == evaluation


def test_a_cost_of_an_fpga_that_was_kept_before_it_had_an_energy() -> None:
    fields = json.loads(encode(Evaluation(DESIGN, (), COST, (), 36)))
    del fields["predicted"]["stated"]
    for layer in fields["predicted"]["layers"]:
        del layer["clock"], layer["energy"]
    assert decode(Evaluation, json.dumps(fields)).predicted == COST


def test_a_cost_of_a_gpu_that_was_kept_before_it_knew_its_padding() -> None:
    fields = json.loads(encode(Evaluation(DESIGN, (), ON_GPU, (), 36)))
    for layer in fields["predicted"]["layers"]:
        del layer["padding_bytes"]
    assert decode(Evaluation, json.dumps(fields)).predicted == ON_GPU


def test_a_cost_of_a_gpu_that_was_kept_before_it_had_bytes_outside() -> None:
    fields = json.loads(encode(Evaluation(DESIGN, (), ON_GPU, (), 36)))
    del fields["predicted"]["outside_bytes"]
    assert decode(Evaluation, json.dumps(fields)).predicted == ON_GPU


def test_a_cost_of_neither_kind() -> None:
    fields = json.loads(encode(Evaluation(DESIGN, (), ON_GPU, (), 36)))
    del fields["predicted"]["batch"]
    known = "layers, device, model, calibration, outside, outside_bytes"
    message = f"no Evaluation in this JSON: no FpgaCost or GpuCost has {known}"
    with pytest.raises(ValueError, match=f"^{message}$"):
        decode(Evaluation, json.dumps(fields))
    fields["predicted"] = 3
    with pytest.raises(ValueError, match=r"^no Evaluation in this JSON: 3 is no dict$"):
        decode(Evaluation, json.dumps(fields))


def test_one_of_some_texts() -> None:
    assert decode(Run, encode(Run(4, "one"))) == Run(4, "one")
    with pytest.raises(ValueError, match=r"^no Run in this JSON: 'two' is none of 'all', 'one'$"):
        decode(Run, '{"batch": 1, "tokens": "two"}')
