"""The cost model `finn` says what FINN's own flow reports, node by node, for the same folding."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention
from torch import Tensor, nn

from hwdse.cost_models.finn import Finn
from hwdse.data import Split
from hwdse.design import Design, Folding
from hwdse.finn import FinnError, estimates
from hwdse.finn.correspondence import folding_of, pairs
from hwdse.finn.estimates import Wish
from hwdse.finn.messages import Unit
from hwdse.finn.process import Worker
from hwdse.finn.refolding import folded_as, unit_of
from hwdse.finn_estimate import estimate
from hwdse.finn_graph import Placed
from hwdse.folding import fold
from hwdse.quantize import Bench
from hwdse.target import FpgaTarget, fpga
from hwdse.workload import Workload
from tests.cost_models.workloads import ALL_KINDS, CONV, DEPTHWISE, LINEAR, MAX_POOL, conv, design
from tests.hwdse.finn.fakes import real_environment
from tests.hwdse.finn_networks import large_digits, tfc
from tests.hwdse.networks import bench, split, uniform

TARGET = fpga("xczu3eg")
CLOCK_MHZ = 200.0
PACES = (20_000, 2_000, 200)  # cycles of a frame that the design is folded for


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """FINN's."""
    with Worker(real_environment()) as found:
        yield found


def folded(workload: Workload, how: Design, cycles: int) -> Design:
    """The design with the folding that a search gives it."""
    return replace(how, folding=tuple(sorted(fold(workload, cycles).items())))


def compare(worker: Worker, on: Bench, how: Design, test: Split, target: FpgaTarget = TARGET) -> None:
    """Fails where FINN has another node, or another number of a node than LUTs and memories of thresholds."""
    wish = Wish(target.part, CLOCK_MHZ, frames_per_second=1000)
    found = estimate(worker, on, how, wish, test, images=1).estimated
    for cycles in PACES:
        told = folded(on.workload, how, cycles)
        placed = Finn().placed(on.workload, told, target)
        of_finn = estimates.refold(worker, found, target.part, folding_of(found.priced.units, placed))
        for unit, one in pairs(of_finn.units, placed):
            assert_equal(unit, one)
            assert_luts(unit, one)
        price = Finn().cost(on.workload, told, target, CLOCK_MHZ)
        assert (price.interval_cycles, price.latency_cycles) == (of_finn.interval_cycles, of_finn.latency_cycles)
        assert price.area.dsps == sum(unit.dsps for unit in of_finn.units)


def assert_equal(unit: Unit, one: Placed) -> None:
    """All but LUTs, and for thresholds the memories: the widths of those depend on weights."""
    assert unit.node is not None
    names = (*FROM_WEIGHTS[one.role], *UNREAD) if one.role in FROM_WEIGHTS else UNREAD
    same = {key: getattr(unit.node, key) for key in names if hasattr(unit.node, key)}
    assert replace(one.node, **same) == unit.node  # type: ignore[type-var]
    assert (unit.cycles, unit.dsps) == (one.node.cycles, one.node.dsps)
    if one.role != "thresholds":
        assert (unit.bram18s, unit.urams) == (one.node.bram18s, one.node.urams)
    for key in FROM_WEIGHTS.get(one.role, ()):
        assert getattr(unit.node, key) <= getattr(one.node, key), "the worst case"


# What FINN takes from the values of weights; and what it says in another way that changes no number.
FROM_WEIGHTS = {"unit": ("accumulator_bits", "output_bits"), "thresholds": ("input_bits", "threshold_bits")}
UNREAD = ("multiplier", "right_shape", "right_bits")


def assert_luts(unit: Unit, one: Placed) -> None:
    """The worst case, and no absurd one: thresholds on sums of 10 bits may have 4; docs/finn_estimates.py has more."""
    if one.role == "thresholds" and unit.bram18s:
        return  # they happen to have 9 or 18 bits, so that FINN stores them in block RAM
    assert unit.luts <= one.node.luts <= (3 if one.role == "thresholds" else 1.05) * unit.luts


@pytest.mark.parametrize(
    ("name", "weights", "activations"),
    [
        ("mlp", "int2", "int2"),
        ("cnn", "int3:channel", "int6"),
        ("cnn", "int8", "int4"),
        ("mlp", "e2m1", "int4"),
    ],
)
def test_it_says_what_finn_reports(worker: Worker, name: str, weights: str, activations: str) -> None:
    compare(worker, bench(name), uniform(bench(name), weights, activations), split("test"))


@pytest.mark.parametrize(
    ("bits", "operation"),
    [(2, "MVAU_hls"), pytest.param(4, "MVAU_rtl", marks=pytest.mark.slow)],  # one of them is enough each time
)
def test_codes_behind_a_hard_tanh_keep_their_sign(worker: Worker, bits: int, operation: str) -> None:
    """FINN's own TFC in 2 or 4 bits."""
    how = uniform(tfc(), f"int{bits}:channel:mse", f"int{bits}:mse")
    placed = Finn().placed(tfc().workload, folded(tfc().workload, how, PACES[0]), TARGET)
    units = [one.node for one in placed if one.role == "unit"]
    assert {(one.operation, getattr(one, "input_bits", 0), getattr(one, "signed_input", False)) for one in units} == {
        (operation, bits, True)
    }
    compare(worker, tfc(), how, large_digits("test"))


@pytest.mark.slow  # FINN's steps for designs of all widths
@pytest.mark.parametrize("name", ["mlp", "cnn"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_it_says_what_finn_reports_of_all_widths(worker: Worker, name: str, bits: int) -> None:
    compare(worker, bench(name), uniform(bench(name), f"int{bits}:channel", f"int{bits}"), split("test"))


@pytest.mark.slow  # FINN's streamlining of residual networks
@pytest.mark.parametrize(("weights", "activations"), [("int2", "int8"), ("int4:channel", "int4"), ("int8", "int3")])
def test_a_residual_network(worker: Worker, weights: str, activations: str) -> None:
    compare(worker, bench("resnet"), uniform(bench("resnet"), weights, activations), split("test"))


class Shortcut(nn.Module):
    """Every second pixel, and channels of zeros, added to two convolutions, as in `cifar-resnet20`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.conv1 = nn.Conv2d(8, 16, 3, padding=1, stride=2)
        self.conv2 = nn.Conv2d(16, 16, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        x = self.first(x).relu()
        y = self.conv2(self.conv1(x).relu())
        x = (y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))).relu()
        logits: Tensor = self.last(self.pool(x).flatten(1))
        return logits


@pytest.mark.slow  # FINN's streamlining of residual networks
def test_a_shortcut_without_weights(worker: Worker) -> None:
    torch.manual_seed(0)
    on = Bench.of(Shortcut().eval(), split("calibration"), "shortcut", hardware=True)
    how = uniform(on, "int4", "int4")
    placed = Finn().placed(on.workload, folded(on.workload, how, 2_000), TARGET)
    assert [one.node.operation for one in placed if "shortcut" in one.role] == [
        "ConvolutionInputGenerator_rtl",
        "MVAU_hls",
    ]
    compare(worker, on, how, split("test"))


@pytest.mark.parametrize("device", ["xc7z020", "vck190"])
def test_other_families(worker: Worker, device: str) -> None:
    """Whose DSPs are others, and where other units are in RTL; a lone least weight keeps a unit of 7 series in HLS."""
    target = fpga(device)
    operations = set()
    for weights in ("int5:channel", "int4:full"):
        how = uniform(bench("cnn"), weights, "int4")
        placed = Finn().placed(bench("cnn").workload, folded(bench("cnn").workload, how, 2_000), target)
        operations |= {one.node.operation for one in placed if one.role == "unit"}
    known = {"vck190": {"MVAU_rtl", "VVAU_rtl"}, "xc7z020": {"MVAU_rtl", "MVAU_hls", "VVAU_hls"}}
    assert operations == known[device]
    compare(worker, bench("cnn"), uniform(bench("cnn"), "int5:channel", "int4"), split("test"), target)


def test_pools(worker: Worker) -> None:
    """One that tiles its image, and one that overlaps and is padded."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, bias=False), nn.ReLU())
    network = nn.Sequential(*layers, nn.MaxPool2d(3, stride=1, padding=1), nn.Flatten(), nn.Linear(64, 10, bias=False))
    on = Bench.of(network.eval(), split("calibration"), "pools", hardware=True)
    compare(worker, on, uniform(on, "int4", "int4"), split("test"))


# ---- without FINN --------------------------------------------------------------------------------


def price(layers: tuple[object, ...], weights: str, activations: str, cycles: int) -> dict[str, Placed]:
    """The nodes of a network of these layers."""
    workload = replace(ALL_KINDS, layers=layers)  # type: ignore[arg-type]
    how = design(weights, activations, fold(workload, cycles))
    return {one.name: one for one in Finn().placed(workload, how, TARGET)}


def test_what_the_design_leaves_open_is_just_fast_enough() -> None:
    slow, fast = (price((CONV, LINEAR), "int4", "int4", cycles) for cycles in (500_000, 10_000))
    assert [slow[f"conv {role}"].node.folding for role in ("padding", "window", "unit", "thresholds")] == [
        (None, 1),
        (None, 1),
        (1, 1),
        (1, None),
    ]
    pace = max(one.node.cycles for one in fast.values() if one.role == "unit")
    assert pace <= 10_000
    assert all(one.node.cycles <= pace for one in fast.values())
    thresholds = fast["conv thresholds"].node
    assert thresholds.folding == (2, None)
    assert thresholds.cycles <= pace < thresholds.with_folding(pe=1).cycles


def test_a_window_comes_at_once_where_all_channels_are_too_slow() -> None:
    found = price((conv("conv", "image", ("a",), (3, 16), 32), LINEAR), "int4", "int4", 1_100)
    assert found["conv window"].node.cycles == 34 * 34 + 2
    assert getattr(found["conv window"].node, "parallel_window", None) is True


@pytest.mark.parametrize(
    ("told", "folding"),
    [
        (Folding(4, 1), (4, 1)),
        (Folding(16, 3), (16, 3)),
        (Folding(1, 9), (16, 1)),  # as fast as 9 taps of a channel: FINN has no such unit
        (Folding(8, 9), (16, 9)),
    ],
)
def test_a_convolution_of_each_channel(told: Folding, folding: tuple[int, int]) -> None:
    workload = replace(ALL_KINDS, layers=(CONV, DEPTHWISE, LINEAR))
    how = design("int4", "int4", {**fold(workload, 500_000), "depthwise": told})
    found = {one.name: one.node for one in Finn().placed(workload, how, TARGET)}
    assert found["depthwise unit"].folding == folding
    assert found["depthwise unit"].problem is None
    assert found["depthwise window"].folding == (None, folding[0])
    cost = Finn().layers(workload, how, TARGET)[1]
    assert cost.folding == Folding(*folding)


def test_a_pool_is_as_wide_as_its_window() -> None:
    found = price((CONV, replace(MAX_POOL, inputs=("a",), rows=16, in_shape=(16, 16, 16))), "int4", "int4", 900_000)
    pool, window = found["max_pool pool"].node, found["max_pool window"].node
    assert pool.folding[0] == window.folding[1]


def test_the_terms_of_a_layer_are_its_nodes() -> None:
    workload = replace(ALL_KINDS, layers=(CONV, LINEAR))
    how = design("int4", "int4", fold(workload, 500_000))
    cost = Finn().cost(workload, how, TARGET, 100)
    assert [(term.name, term.variant) for term in cost.layers[0].terms] == [
        ("padding", "FMPadding_rtl"),
        ("window", "ConvolutionInputGenerator_rtl"),
        ("unit", "MVAU_rtl"),
        ("thresholds", "Thresholding_rtl"),
    ]
    assert [term.name for term in cost.layers[1].terms] == ["unit", "scale", "bias"]
    assert cost.layers[0].cycles == 16 * 27 * 1024
    assert cost.layers[0].folding == Folding(1, 1)
    assert cost.energy is None
    assert cost.clock is None


def test_three_bits_may_cost_more_than_four() -> None:
    """Since a unit in RTL counts no LUT: the model says so, and must not be read as if it were smooth."""
    workload = replace(ALL_KINDS, layers=(LINEAR,))
    folding = {"linear": Folding(10, 32)}
    luts = [Finn().cost(workload, design(f"int{bits}", "int4", folding), TARGET, 100).area.luts for bits in (3, 4)]
    assert luts[0] > luts[1] == 0
    assert "Matrix-vector units in RTL (from 4 bits up) and" in Finn().calibration(TARGET)


@pytest.mark.parametrize("device", ["xczu3eg", "xc7z020", "vck190", "u250", "xczu7ev"])
def test_it_claims_devices_of_amd(device: str) -> None:
    assert Finn().claims(fpga(device))


def test_no_others() -> None:
    assert not Finn().claims(fpga("ecp5_25f"))
    with pytest.raises(ValueError, match=r"^cost model 'finn' does not price device 'ecp5_25f'$"):
        Finn().cost(ALL_KINDS, design("int4", "int4", {}), fpga("ecp5_25f"), 100)


def test_a_design_without_a_folding() -> None:
    workload = replace(ALL_KINDS, layers=(LINEAR,))
    with pytest.raises(ValueError, match=r"^layer 'linear' has no folding$"):
        Finn().cost(workload, design("int4", "int4", {}), TARGET, 100)
    with pytest.raises(ValueError, match=r"^PE of MVAU_rtl divides 10, unlike 3, in layer 'linear'$"):
        Finn().cost(workload, design("int4", "int4", {"linear": Folding(3, 1)}), TARGET, 100)


def test_a_unit_that_hls_does_not_take() -> None:
    wide = replace(LINEAR, dot=4096, rows=64, in_shape=(4096,), out_shape=(64,))
    workload = replace(ALL_KINDS, layers=(wide,))
    with pytest.raises(ValueError, match=r"^HLS takes words of 8191 bits at most, not 12288, in layer 'linear'$"):
        Finn().cost(workload, design("int3", "int4", {"linear": Folding(64, 64)}), TARGET, 100)
    few = Finn().cost(workload, design("int3", "int4", {"linear": Folding(64, 2)}), TARGET, 100)
    assert few.layers[0].folding == Folding(64, 4), "it takes SIMD from MW / 1024 on"
    assert Finn().cost(workload, design("int4", "int4", {"linear": Folding(64, 64)}), TARGET, 100).area.dsps == 1024


def test_networks_that_are_not_the_same_are_no_pairs() -> None:
    placed = tuple(price((CONV, LINEAR), "int4", "int4", 500_000).values())
    padding = placed[0].node
    units = (unit_of(folded_as("FMPadding_rtl_0", padding), None, (), padding),)
    with pytest.raises(FinnError, match=r"^FINN has no ConvolutionInputGenerator_rtl for the window of layer 'conv'$"):
        pairs(units, placed)
    with pytest.raises(FinnError, match=r"^hwdse expects no FMPadding_rtl_0 where FINN has one$"):
        pairs(units, placed[1:])
