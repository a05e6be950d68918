"""The formulas of all nodes of networks of ours give FINN's own numbers, at several foldings."""

from collections.abc import Iterator

import pytest

from hwdse.finn import FinnError, estimates
from hwdse.finn.estimates import Wish
from hwdse.finn.messages import Estimated, Folded, Priced, Unit
from hwdse.finn.process import Worker
from hwdse.finn.refolding import of_units, refolded, unit_of
from hwdse.finn_estimate import estimate
from hwdse.finn_nodes import ConvolutionInputGenerator
from tests.hwdse.finn.fakes import real_environment
from tests.hwdse.networks import bench, split, uniform

PART = "xczu3eg-sbva484-1-e"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """FINN's."""
    with Worker(real_environment()) as found:
        yield found


def estimated(worker: Worker, name: str, weights: str, activations: str, rate: int) -> Estimated:
    """FINN's numbers for a uniform design."""
    on = bench(name)
    wish = Wish(PART, 200.0, frames_per_second=rate)
    return estimate(worker, on, uniform(on, weights, activations), wish, split("test"), images=1).estimated


def ours(priced: Priced) -> Priced:
    """The same network with the numbers of our formulas."""
    return of_units(tuple(_ours(unit) for unit in priced.units))


def _ours(unit: Unit) -> Unit:
    assert unit.node is not None, unit.operation
    return unit_of(unit.folded, unit.layer, unit.inputs, unit.node)


def foldings(priced: Priced) -> Iterator[tuple[Folded, ...]]:
    """All nodes at their least, at their most, and each in between."""
    for choose in (lambda whole: 1, lambda whole: whole, _middle):
        chosen = [[None if whole is None else choose(whole) for whole in _wholes(unit)] for unit in priced.units]
        names = [unit.folded.node for unit in priced.units]
        yield tuple(Folded(name, pe, simd) for name, (pe, simd) in zip(names, chosen, strict=True))


def at_once(priced: Priced) -> tuple[Folded, ...]:
    """All window generators that are not tied to what reads them, with all pixels of a window at once."""
    found = ((unit.folded.node, unit.node) for unit in priced.units)
    windows = [(name, node) for name, node in found if isinstance(node, ConvolutionInputGenerator)]
    return tuple(Folded(name, None, node.channels, True) for name, node in windows if not node.depthwise)


def _wholes(unit: Unit) -> tuple[int | None, int | None]:
    assert unit.node is not None
    return unit.node.pe_of, unit.node.simd_of


def _middle(whole: int) -> int:
    divisors = [part for part in range(1, whole + 1) if whole % part == 0]
    return divisors[len(divisors) // 2]


@pytest.mark.parametrize(
    ("name", "weights", "activations"),
    [
        ("mlp", "int3:channel", "int2"),
        ("cnn", "int4:channel", "int4"),
        ("cnn", "int2", "int8"),
    ],
)
def test_all_nodes_of_a_network(worker: Worker, name: str, weights: str, activations: str) -> None:
    found = estimated(worker, name, weights, activations, 100_000)
    assert ours(found.priced) == found.priced
    for folding in (*foldings(found.priced), at_once(found.priced)):
        of_finn = estimates.refold(worker, found, PART, folding)
        assert refolded(found.priced, folding) == of_finn
        assert ours(of_finn) == of_finn


@pytest.mark.slow  # half a minute: FINN's streamlining of residual networks
def test_all_nodes_of_a_residual_network(worker: Worker) -> None:
    found = estimated(worker, "resnet", "int4:channel", "int4", 10_000)
    for folding in foldings(found.priced):
        assert refolded(found.priced, folding) == estimates.refold(worker, found, PART, folding)


def test_what_cannot_be_folded_is_named(worker: Worker) -> None:
    found = estimated(worker, "mlp", "int4", "int4", 100_000).priced
    for folded, rule in (
        (Folded("MVAU_rtl_0", 5, 4), r"PE of MVAU_rtl divides 64, unlike 5: 'MVAU_rtl_0' of layer 'fc1'"),
        (Folded("Thresholding_rtl_1", 1, 2), r"Thresholding_rtl has no SIMD: 'Thresholding_rtl_1'"),
        (Folded("Thresholding_rtl_1", 1, None, True), r"Thresholding_rtl has no parallel_window: 'Thresholding_rtl_1'"),
        (Folded("MVAU_hls_0", 1, 1), r"no node 'MVAU_hls_0' to fold; known: MVAU_rtl_0, .*, ElementwiseAdd_hls_0"),
    ):
        with pytest.raises(FinnError, match=f"^{rule}$"):
            refolded(found, (folded,))
