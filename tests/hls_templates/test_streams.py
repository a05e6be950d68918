"""The modules that move beats: nothing is lost, doubled or reordered, in exactly the cycles that they claim."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwdse.beats import pack, unpack
from hwdse.formats import parse
from hwdse.netlist import Instance, Netlist
from hwdse.simulation import SimulationError, build
from hwdse.units import branch, fifo, residual_add, width
from tests.hls_templates.leaves import Case, cache_of, check, check_lint

BEATS = 150


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return cache_of(request)


def fifos() -> list[Case]:
    """Every depth that is built differently; one register alone halves the throughput."""
    random = np.random.default_rng(0)
    cases = []
    for bits, depth, block in (
        (1, 1, False),
        (40, 1, False),
        (1, 2, False),
        (40, 2, False),
        (7, 3, False),
        (13, 4, False),
        (40, 5, False),
        (8, 33, False),
        (8, 34, False),
        (70, 100, True),
        (8, 3, True),
    ):
        elements = random.integers(0, 2 ** min(bits, 62), (BEATS, 1))
        first = 1 if depth < 3 else 2
        last = first + (BEATS - 1) * (2 if depth == 1 else 1)
        cases.append(Case(fifo(bits, depth, block=block), {"in": elements}, {"out": elements}, first, last))
    return cases


def widths() -> list[Case]:
    """Wider, narrower and the same, by powers of two and others."""
    random = np.random.default_rng(1)
    cases = []
    for bits, lanes_in, lanes_out in ((5, 1, 4), (5, 4, 1), (3, 2, 2), (13, 3, 6), (13, 12, 2), (1, 1, 3), (1, 7, 1)):
        elements = random.integers(0, 2**bits, 24 * lanes_in * lanes_out)
        given, wanted = elements.reshape(-1, lanes_in), elements.reshape(-1, lanes_out)
        first = 0 if lanes_in == lanes_out else max(1, lanes_out // lanes_in)
        last = max(len(given), len(wanted)) - (lanes_in == lanes_out)
        cases.append(Case(width(bits, lanes_in, lanes_out), {"in": given}, {"out": wanted}, first, last))
    return cases


def branches() -> list[Case]:
    random = np.random.default_rng(2)
    elements = random.integers(0, 2**35, (BEATS, 2))
    return [Case(branch(70), {"in": elements}, {"out0": elements, "out1": elements}, 0, BEATS - 1)]


@pytest.mark.parametrize("make", [fifos, widths, branches])
def test_beats_and_cycles(make: Callable[[], list[Case]], cache: Path) -> None:
    check(make(), cache)


@pytest.mark.parametrize("make", [fifos, widths, branches])
def test_lint(make: Callable[[], list[Case]]) -> None:
    check_lint(make())


def late_join(depth: int, late: int) -> Netlist:
    """Every beat is added to itself: one copy waits in a queue while the other one's path gathers `late` beats."""
    return Netlist(
        (
            Instance("copy", branch(8), (("in", "in"), ("out0", "early"), ("out1", "late"))),
            Instance("queue", fifo(8, depth), (("in", "early"), ("out", "a"))),
            Instance("gather", width(8, 1, late), (("in", "late"), ("out", "wide"))),
            Instance("scatter", width(8, late, 1), (("in", "wide"), ("out", "b"))),
            Instance("add", residual_add(parse("int8"), 1), (("a", "a"), ("b", "b"), ("out", "out"))),
        )
    )


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_a_fifo_holds_its_depth(depth: int, cache: Path) -> None:
    """The late path has one beat more than the queue: the branch gives it that one."""
    late = depth + 1
    numbers = np.arange(10 * late).reshape(-1, 1)
    simulator = build(late_join(depth, late), cache)
    done = simulator.run({"in": pack(numbers, 8)}, outputs={"out": len(numbers)})
    assert (unpack(done.outputs["out"], 9, 1) == 2 * numbers).all()


@pytest.mark.parametrize("depth", [1, 2])
def test_too_small_a_fifo_is_a_deadlock(depth: int, cache: Path) -> None:
    numbers = np.arange(4 * (depth + 2)).reshape(-1, 1)
    simulator = build(late_join(depth, depth + 2), cache)
    message = f"^no beat moves for 99 cycles: in moved {depth} of {len(numbers)}, out moved 0 of {len(numbers)}$"
    with pytest.raises(SimulationError, match=message):
        simulator.run({"in": pack(numbers, 8)}, outputs={"out": len(numbers)}, idle_cycles=99)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_fifo_breaks_the_path_of_ready(depth: int, cache: Path) -> None:
    """In contrast to a change of width."""
    beats = pack(np.arange(60).reshape(-1, 2), 8)
    for unit, coupled in ((fifo(16, depth), ()), (width(8, 2, 1), ("in",))):
        simulator = build(Netlist.of(unit), cache)
        done = simulator.run({"in": beats}, outputs={"out": len(beats) * 16 // unit.outputs[0].bits}, stall=0.5)
        assert done.coupled == coupled


def test_two_branches_and_a_queue_in_one_netlist(cache: Path) -> None:
    """Readers at different paces: one path is a queue, the other gathers three beats in one."""
    elements = np.random.default_rng(3).integers(0, 256, (90, 1))
    simulator = build(
        Netlist(
            (
                Instance("copy", branch(8), (("in", "in"), ("out0", "a"), ("out1", "b"))),
                Instance("queue", fifo(8, 3), (("in", "a"), ("out", "queued"))),
                Instance("gather", width(8, 1, 3), (("in", "b"), ("out", "gathered"))),
            )
        ),
        cache,
    )
    for stall in (0.0, 0.6):
        done = simulator.run({"in": pack(elements, 8)}, outputs={"queued": 90, "gathered": 30}, stall=stall, seed=1)
        assert (unpack(done.outputs["queued"], 8, 1) == elements).all()
        assert (unpack(done.outputs["gathered"], 8, 3) == elements.reshape(-1, 3)).all()


def test_sizes_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match=r"^a queue holds at least one beat, not 0$"):
        fifo(8, 0)
    with pytest.raises(ValueError, match=r"^a width changes by a whole factor, not from 4 to 6$"):
        width(8, 4, 6)
