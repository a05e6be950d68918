"""The exact folding: against all foldings and variants of small networks, HiGHS on a real one, and what must hold."""

import re
from dataclasses import replace
from itertools import pairwise
from math import inf

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from hwdse.cost_models.dataflow import Dataflow, quantised
from hwdse.design import Design, Quantizer
from hwdse.folding import check, fold
from hwdse.foldings.choice import OBJECTIVES, Objective, Space, fastest, front, known, smallest, space
from hwdse.foldings.limits import UNLIMITED, Limits, stream_bits, weight_bits
from hwdse.memory import utilization
from hwdse.pricing import Question, asked
from hwdse.target import FpgaTarget, fpga
from hwdse.variants import counts, have
from hwdse.workload import Site, Workload
from tests.cost_models.workloads import ALL_KINDS, conv, linear
from tests.cost_models.workloads import design as uniform
from tests.hwdse.foldings.enumerated import MODEL, everything, points
from tests.hwdse.foldings.enumerated import front as best_of_all

SMALL = replace(fpga("ecp5_25f"), luts=3000, ffs=6000, dsps=6, brams=5)
AMD = replace(fpga("xczu3eg"), luts=2500, ffs=5000, dsps=12, brams=8)


def network(random: np.random.Generator) -> tuple[Workload, Design]:
    """Two layers with random sizes and formats, of which one is a convolution at times."""
    inputs, hidden, outputs = (int(size) for size in random.choice([2, 3, 4, 6], 3))
    first = linear("a", "in", ("mid",), inputs, hidden)
    if random.random() < 0.5:
        first = conv("a", "in", ("mid",), (int(random.choice([1, 2])), hidden), 4)
    made = first, linear("b", "mid", (), hidden, outputs, bias=bool(random.random() < 0.5))
    sites = tuple(Site(name, (name,), (), 1) for name in ("in", "mid"))
    formats = ["int3:channel", "int4", "int8:channel", "e2m1", "e3m2:channel"]
    weights = {name: Quantizer.parse(str(random.choice(formats))) for name in "ab"}
    activations = {name: Quantizer.parse(str(random.choice(["uint3", "int8", "ue2m2"]))) for name in ("in", "mid")}
    return Workload("random", made, sites, first.in_shape), Design.of(weights, activations)


@pytest.mark.parametrize("target", [SMALL, AMD], ids=["ecp5", "amd"])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_front_of_all_foldings_and_variants(target: FpgaTarget, seed: int) -> None:
    random = np.random.default_rng(seed)
    workload, design = network(random)
    slow, used = everything(workload, design, target, UNLIMITED, pruned=False)
    shares = np.quantile(used / have(target), 0.3, axis=0).tolist()
    for limits in (UNLIMITED, Limits(), Limits(*shares[:4])):
        of = space(workload, design, target, limits=limits)
        for objective in ("utilization", "lut", "dsp", "bram"):
            found = points(front(of, known(objective)), target, known(objective))
            assert found == best_of_all(slow, used, target, limits, known(objective))


@pytest.mark.parametrize("limits", [UNLIMITED, Limits(weight_bits=12), Limits(stream_bits=16, weight_bits=32)], ids=str)
def test_narrow_streams_leave_the_front_of_all_with_narrow_streams(limits: Limits) -> None:
    workload, design = network(np.random.default_rng(1))
    slow, used = everything(workload, design, SMALL, limits, pruned=False)
    of = space(workload, design, SMALL, limits=limits)
    assert points(front(of), SMALL, "utilization") == best_of_all(slow, used, SMALL, limits, "utilization")


def asking(network: str, device: str, weights: str, activations: str) -> tuple[Workload, Design, FpgaTarget]:
    """A built-in network with one pair of formats."""
    formats = Quantizer.parse(weights), Quantizer.parse(activations)
    found = asked(Question(network, device), formats)
    return found.workload, found.design, found.target


@pytest.mark.parametrize(
    ("name", "limits", "objective"),
    [
        ("digits-mlp", Limits(weight_bits=64), "lut"),
        ("digits-cnn", Limits(weight_bits=12, stream_bits=16), "utilization"),
    ],
)
def test_small_real_networks(name: str, limits: Limits, objective: Objective) -> None:
    workload, design, whole = asking(name, "ecp5_25f", "int4:channel", "uint4")
    target = replace(whole, luts=9000, dsps=8, brams=12)
    slow, used = everything(workload, design, target, limits, pruned=True)
    found = front(space(workload, design, target, limits=limits), objective)
    assert points(found, target, objective) == best_of_all(slow, used, target, limits, objective)


def highs(of: Space, interval: int) -> int:
    """The fewest LUTs at an interval, by HiGHS."""
    parts = [own.counts for own in of.within(interval)]
    rows, ends = np.concatenate(parts), np.cumsum([0, *map(len, parts)])
    one_each = np.zeros((len(parts), len(rows)))
    for i in range(len(parts)):
        one_each[i, ends[i] : ends[i + 1]] = 1
    most = of.limits.most(of.target)
    rules = (LinearConstraint(one_each, 1, 1), LinearConstraint(rows.T, -np.inf, most))
    found = milp(rows[:, 0], constraints=rules, integrality=np.ones(len(rows)), bounds=Bounds(0, 1))
    return round(float(found.fun))


@pytest.mark.parametrize(
    ("device", "formats"), [("xczu7ev", ("int8:channel", "uint8")), ("ecp5_85f", ("e2m1", "ue2m2"))]
)
def test_resnet20_has_the_luts_that_highs_finds(device: str, formats: tuple[str, str]) -> None:
    workload, design, target = asking("cifar-resnet20", device, *formats)
    of = space(workload, design, target, limits=Limits(dsp=0.7, bram=0.9))
    quick = fastest(of, "lut")
    for interval in (quick.interval_cycles, 2 * quick.interval_cycles, 8 * quick.interval_cycles):
        assert smallest(of, interval, "lut").area.luts == highs(of, interval)
    at = of.intervals.index(quick.interval_cycles)
    with pytest.raises(ValueError, match=r"^no folding of 'cifar-resnet20' .* is within the limits on "):
        smallest(of, of.intervals[at - 1], "lut")


@pytest.mark.parametrize(
    ("device", "formats"),
    [("xczu7ev", ("int4:channel", "uint4")), ("ecp5_85f", ("e2m1", "ue2m2")), ("ice40_hx8k", ("int3", "uint3"))],
)
def test_answers_are_legal_and_cost_what_the_cost_model_says(device: str, formats: tuple[str, str]) -> None:
    workload, design, target = asking("digits-resnet", device, *formats)
    of = space(workload, design, target, limits=UNLIMITED)
    found = front(of)
    assert len(found) > 5
    for one in found[:: len(found) // 3]:
        for name, own in one.design.folding:
            check(workload.layer(name), own)
        assert {name for name, _ in one.design.folding} == {layer.name for layer in MODEL.inside(workload)}
        cost, made = MODEL.cost(workload, one.design, target, 100.0), of.cost(one, 100.0)
        assert cost.interval_cycles == made.interval_cycles == one.interval_cycles
        assert counts(made.area).tolist() == counts(one.area).tolist()
        assert (utilization(cost.area, target), cost.area.luts) == (utilization(one.area, target), one.area.luts)
        assert made.calibration == cost.calibration
        plain = fold(workload, one.interval_cycles)
        greedy = MODEL.cost(workload, replace(design, folding=tuple(sorted(plain.items()))), target, 100.0)
        assert utilization(one.area, target) <= utilization(greedy.area, target)


def test_all_kinds_of_layers_have_options() -> None:
    plain = uniform("int4:channel", "int4", {})
    of = space(ALL_KINDS, plain, fpga("u250"))
    assert [name for name, _ in of.layers] == [layer.name for layer in MODEL.inside(ALL_KINDS)]
    quick = fastest(of)
    assert quick.interval_cycles == of.intervals[0] == max(int(own.cycles.min()) for _, own in of.layers)
    assert Dataflow().cost(ALL_KINDS, quick.design, fpga("u250"), 100.0).area.luts == quick.area.luts


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_more_time_or_more_of_a_device_is_never_worse(objective: Objective) -> None:
    workload, design, target = asking("digits-cnn", "xczu3eg", "int8:channel", "uint8")
    shortest = list[int]()
    for share in (0.2, 0.4, 1.0):
        of = space(workload, design, target, limits=Limits(share, share, share, share, share))
        found = points(front(of, objective), target, objective)
        assert found
        for (slow, less), (quick, more) in pairwise(found):
            assert slow > quick
            assert less < more
        shortest.append(found[-1][0])
    assert sorted(shortest, reverse=True) == shortest
    assert shortest[0] > shortest[-1]


def test_the_fastest_is_the_end_of_the_front_and_the_smallest_its_points() -> None:
    workload, design, target = asking("digits-cnn", "ecp5_25f", "int4:channel", "uint4")
    of = space(workload, design, target)
    found = front(of)
    assert points([fastest(of)], target, "utilization") == points(found[-1:], target, "utilization")
    for one, faster in pairwise(found):
        between = (one.interval_cycles + faster.interval_cycles + 1) // 2
        assert smallest(of, one.interval_cycles) == one
        if between < one.interval_cycles:
            assert points([smallest(of, between)], target, "utilization") == points([faster], target, "utilization")


def test_layers_that_are_alike_have_one_table() -> None:
    workload, design, target = asking("cifar-resnet20", "xczu7ev", "int4:channel", "uint4")
    of = dict(space(workload, design, target).layers)
    assert of["layer1.0.conv1"] is of["layer1.2.conv2"]
    assert of["layer1.0.conv1"] is not of["layer2.1.conv1"]


def message(text: str) -> str:
    return f"^{re.escape(text)}$"


def test_what_cannot_be_is_one_sentence() -> None:
    workload, design, target = asking("digits-mlp", "xczu3eg", "int8:channel", "uint8")
    of = space(workload, design, target)
    with pytest.raises(ValueError, match=message("an objective is utilization, lut, ff, dsp, bram, uram, not 'area'")):
        smallest(of, of.intervals[-1], known("area"))
    with pytest.raises(ValueError, match=message("layer 'fc1' needs at least 1 cycles per frame, more than 0")):
        smallest(of, 0)
    slowest = of.intervals[-1]
    tiny = space(workload, design, replace(target, luts=100))
    text = (
        f"no folding of 'digits-mlp' with at most {slowest} cycles per frame is within the limits on xczu3eg: "
        f"the least overfull takes {smallest(of, slowest, 'lut').area.luts:,} LUT of 100"
    )
    with pytest.raises(ValueError, match=message(text)):
        smallest(tiny, slowest)
    with pytest.raises(ValueError, match=message(text)):
        fastest(tiny)
    assert front(tiny) == ()
    with pytest.raises(
        ValueError, match=message("layer 'fc1' has a stream of weights of at least 8 bits, more than 7")
    ):
        space(workload, design, target, limits=Limits(weight_bits=7))
    with pytest.raises(ValueError, match=message("layer 'fc1' has no activation quantizer at site 'input'")):
        space(workload, Design(), target)
    foreign = replace(target, family="max10")
    with pytest.raises(ValueError, match=message("cost model 'dataflow' does not price device 'xczu3eg'")):
        space(workload, design, foreign)
    empty = replace(workload, layers=())
    with pytest.raises(ValueError, match=message("network 'digits-mlp' has no layer in the accelerator")):
        space(empty, design, target)


def test_streams_of_answers_are_as_narrow_as_asked() -> None:
    workload, design, target = asking("digits-cnn", "ecp5_85f", "int4:channel", "uint4")
    wide = fastest(space(workload, design, target, limits=UNLIMITED))
    narrow = fastest(space(workload, design, target, limits=Limits(inf, inf, inf, inf, inf, 36, 24)))
    assert narrow.interval_cycles > wide.interval_cycles
    before, after = (
        [quantised(layer, one.design, target) for layer in MODEL.inside(workload)] for one in (wide, narrow)
    )
    assert max(map(weight_bits, after)) <= 36 < max(map(weight_bits, before))
    assert max(map(stream_bits, after)) <= 24 < max(map(stream_bits, before))
