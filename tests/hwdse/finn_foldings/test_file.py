"""A folding as FINN's file: read back by FINN's own step, and priced there as here."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.finn import FinnError, estimates
from hwdse.finn.estimates import Wish
from hwdse.finn.messages import Estimated
from hwdse.finn.process import Worker
from hwdse.finn_estimate import estimate
from hwdse.finn_foldings import file, variants, without_finn
from hwdse.finn_foldings.choice import Space, fastest, front, no_worse_than, smallest, space, taken
from hwdse.finn_foldings.limits import UNLIMITED, Limits
from hwdse.finn_nodes import Dsp
from hwdse.target import fpga
from tests.hwdse.finn.fakes import real_environment
from tests.hwdse.finn_foldings.small import chain, matrix, window
from tests.hwdse.networks import bench, split, uniform

PART = "xczu3eg-sbva484-1-e"
RATES = (1_000, 100_000, 1_000_000)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """FINN's."""
    with Worker(real_environment()) as found:
        yield found


def estimated(worker: Worker, name: str, formats: tuple[str, str], rate: int) -> Estimated:
    """FINN's numbers for a uniform design."""
    on = bench(name)
    wish = Wish(PART, 200.0, frames_per_second=rate)
    return estimate(worker, on, uniform(on, *formats), wish, split("test"), images=1).estimated


def of(found: Estimated) -> Space:
    """All foldings on the device of the part."""
    return space(found.priced.units, fpga("xczu3eg"), UNLIMITED)


def test_a_file_says_every_node() -> None:
    units = chain(window(8, 8, 3, 4), matrix(72, 4, 4, 36, rtl=False))
    found = smallest(space(units, fpga("xczu3eg")), 400)
    said = json.loads(file.text(found))
    (first, last) = (unit.node for unit in found.units)
    assert first is not None
    assert last is not None
    assert said == {
        "Defaults": {},
        "ConvolutionInputGenerator_rtl_0": {"SIMD": first.folding[1], **variants.settings(first)},
        "MVAU_hls_1": {"PE": last.folding[0], "SIMD": last.folding[1], **variants.settings(last)},
    }


@pytest.mark.parametrize(("name", "formats"), [("mlp", ("int3", "int4")), ("cnn", ("int4:channel", "int4"))])
def test_finns_step_gives_our_price(worker: Worker, name: str, formats: tuple[str, str], tmp_path: Path) -> None:
    found = estimated(worker, name, formats, RATES[0])
    whole = of(found)
    every = front(whole)
    assert len(every) > 10
    path = tmp_path / "folding.json"
    for one in (every[0], every[len(every) // 2], fastest(whole, "lut"), fastest(whole, "utilization")):
        path.write_text(file.text(one))
        assert estimates.fold_as(worker, found, PART, path) == one


@pytest.mark.parametrize(("name", "formats"), [("mlp", ("int4", "int8")), ("cnn", ("int2", "int8"))])
def test_it_takes_no_more_than_finns_heuristic(worker: Worker, name: str, formats: tuple[str, str]) -> None:
    found = estimated(worker, name, formats, RATES[0])
    for rate in RATES:
        heuristic = estimates.fold_for(worker, found, Wish(PART, 200.0, frames_per_second=rate))
        ours = no_worse_than(of(found), heuristic)
        assert ours.interval_cycles <= heuristic.interval_cycles
        assert all(one <= other for one, other in zip(taken(ours), taken(heuristic), strict=True))
        alone = space(found.priced.units, fpga("xczu3eg"), UNLIMITED, varied=False)
        assert no_worse_than(alone, heuristic).interval_cycles <= heuristic.interval_cycles


def test_the_heuristic_is_that_of_a_whole_build(worker: Worker) -> None:
    first, *others = (estimated(worker, "mlp", ("int4", "int4"), rate) for rate in RATES)
    for rate, whole in zip(RATES, (first, *others), strict=True):
        assert estimates.fold_for(worker, first, Wish(PART, 200.0, frames_per_second=rate)) == whole.priced


def test_what_finn_would_pass_over_is_an_error(worker: Worker, tmp_path: Path) -> None:
    found = estimated(worker, "mlp", ("int4", "int4"), RATES[0])
    good = json.loads(file.text(smallest(of(found), 10**6)))
    path = tmp_path / "folding.json"
    less = {name: said for name, said in good.items() if name != "MVAU_rtl_1"}
    for said, rule in (
        ({**good, "MVAU_rtl_9": {"PE": 1}}, r"no node 'MVAU_rtl_9' to fold; known: MVAU_rtl_0, .*"),
        ({**good, "MVAU_rtl_0": {"EP": 1}}, r"node 'MVAU_rtl_0' has no EP"),
        ({**good, "MVAU_rtl_0": {"PE": 5, "SIMD": 1}}, r"PE of layer 'fc1' divides MH = 64, unlike 5 of 'MVAU_rtl_0'"),
        (less, r"the folding file says nothing of node 'MVAU_rtl_1'"),
    ):
        path.write_text(json.dumps(said))
        with pytest.raises(FinnError, match=rf"^FINN\+ refuses FoldAs: ValueError: {rule}$"):
            estimates.fold_as(worker, found, PART, path)


def test_the_limit_of_a_pe_holds(worker: Worker) -> None:
    found = estimated(worker, "mlp", ("int4", "int4"), RATES[0])
    narrow = space(found.priced.units, fpga("xczu3eg"), replace(UNLIMITED, weight_bits=Limits().weight_bits))
    for one in front(narrow):
        assert max(variants.weight_bits(unit.node) for unit in one.units if unit.node is not None) <= 36


@pytest.mark.parametrize(("name", "formats"), [("mlp", ("int4", "int4")), ("cnn", ("int4:channel", "int4"))])
def test_nodes_without_finn_are_folded_alike(worker: Worker, name: str, formats: tuple[str, str]) -> None:
    found, on = of(estimated(worker, name, formats, RATES[0])), bench(name)
    units = without_finn.units(on.workload, uniform(on, *formats), Dsp.DSP48E2)
    derived = space(units, fpga("xczu3eg"), UNLIMITED)
    assert derived.intervals == found.intervals
    for cycles in found.intervals:
        ours, theirs = (taken(smallest(one, cycles, "dsp")) for one in (derived, found))
        assert ours[3] == theirs[3]  # LUTs differ, since sums may be narrower than their formats allow


@pytest.mark.slow  # half a minute: FINN's streamlining of residual networks
def test_a_residual_network(worker: Worker, tmp_path: Path) -> None:
    found = estimated(worker, "resnet", ("int4:channel", "int4"), 10_000)
    ours = no_worse_than(of(found), found.priced)
    (tmp_path / "folding.json").write_text(file.text(ours))
    assert estimates.fold_as(worker, found, PART, tmp_path / "folding.json") == ours
    pairs = list(zip(taken(ours), taken(found.priced), strict=True))
    assert all(one <= other for one, other in pairs)
    assert any(one < other for one, other in pairs)
