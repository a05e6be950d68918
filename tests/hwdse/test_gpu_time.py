"""The time of work on a GPU, against hand calculations: waves, what bounds them, and what cannot be undercut."""

from dataclasses import replace

import pytest

from hwdse.gpu_time import Constants, Work, pass_over, time
from hwdse.gpu_work import ACCURATE, dense
from hwdse.target import GpuTarget, gpu, gpus

# Round numbers: 10 multiprocessors at 1 GHz, 1 TB/s, 100 TFLOP/s.
TARGET = GpuTarget("round", "p", 90, 10, 1000, 80.0, 1000.0, 50.0, 227, 100.0, 200.0, 200.0, "a test")
CONSTANTS = Constants(1e-6, 1e-6, 1.0, 1.0, 1.0, 100.0)
NOTHING = Work(
    programs=20,
    occupancy=2,
    memory_bytes=0,
    l2_bytes=0.0,
    macs=0.0,
    slots=0.0,
    integer=0.0,
    shared_bytes=0.0,
    in_flight=1 << 20,
    tops=100.0,
)


def seconds(work: Work, constants: Constants = CONSTANTS) -> float:
    """On the round GPU, without launch and fill where there is one wave."""
    return time(work, TARGET, constants).seconds - 2e-6


def test_nothing_takes_a_launch_and_a_fill() -> None:
    assert time(NOTHING, TARGET, CONSTANTS).seconds == pytest.approx(2e-6)
    assert time(NOTHING, TARGET, CONSTANTS).bound == "launch"


@pytest.mark.parametrize(
    ("work", "expected", "bound"),
    [
        # 1e7 bytes at 1e12 a second
        (replace(NOTHING, memory_bytes=10**7), 1e-5, "memory"),
        # 2 programs of each multiprocessor, 1e6 bytes each, 100 a cycle of 1 ns
        (replace(NOTHING, l2_bytes=1e6), 2e-5, "L2"),
        # 2 programs of 1e9 products, which are 2e9 operations; a multiprocessor does 1e13 a second
        (replace(NOTHING, macs=1e9), 4e-4, "tensor cores"),
        # 2 programs of 1e6 instructions, 4 a cycle
        (replace(NOTHING, slots=1e6, integer=4e5), 5e-4, "decoding"),
        # of which 8e5 are integer ones, 2 a cycle
        (replace(NOTHING, slots=1e6, integer=8e5), 8e-4, "decoding"),
        # 2 programs of 1.28e6 bytes, 128 a cycle
        (replace(NOTHING, shared_bytes=1.28e6), 2e-5, "shared memory"),
    ],
)
def test_each_term_by_hand(work: Work, expected: float, bound: str) -> None:
    assert seconds(work) == pytest.approx(expected)
    assert time(work, TARGET, CONSTANTS).bound == bound


def test_the_longest_term_counts_and_the_others_are_hidden() -> None:
    both = replace(NOTHING, memory_bytes=10**7, macs=1e9)
    assert seconds(both) == pytest.approx(4e-4)
    assert time(both, TARGET, CONSTANTS).terms["memory"] == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("occupancy", "expected", "bound"),
    [
        # A multiprocessor has 2 programs: of 2e-4 s of products and 1e-4 s of decoding each, one after the other or,
        # where both run at once, no longer than all products
        (1, 2 * 3e-4, "tensor cores"),
        (2, 4e-4, "tensor cores"),
    ],
)
def test_a_program_decodes_or_multiplies(occupancy: int, expected: float, bound: str) -> None:
    work = replace(NOTHING, occupancy=occupancy, macs=1e9, slots=4e5)
    found = time(work, TARGET, CONSTANTS)
    waves = 20 / (10 * occupancy)
    assert found.seconds == pytest.approx(1e-6 + 1e-6 * (1 + (waves - 1) / occupancy) + expected)
    assert found.bound == bound


@pytest.mark.parametrize(
    ("programs", "rounds"),
    # 10 multiprocessors with 2 programs at once: a wave of 20 costs 2 programs in a row, the last one as many as the
    # busiest multiprocessor has
    [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3), (30, 3), (31, 4), (40, 4), (41, 5)],
)
def test_waves_are_whole(programs: int, rounds: int) -> None:
    work = replace(NOTHING, programs=programs, macs=1e9)
    waves = -(-programs // 20)
    fills = 1e-6 * (waves - 1) / 2  # of later waves, half of it hidden by the other program
    assert seconds(work) == pytest.approx(rounds * 2e-4 + fills)


def test_memory_needs_no_whole_waves() -> None:
    work = replace(NOTHING, memory_bytes=2 * 10**7)
    assert seconds(replace(work, programs=21)) == pytest.approx(seconds(work) + 0.5e-6)  # the fill of a second wave


def test_too_few_bytes_under_way_leave_bandwidth() -> None:
    # 20 programs with 1000 bytes each, which come back after 1 us: 2e10 bytes a second
    assert seconds(replace(NOTHING, memory_bytes=10**7, in_flight=1000)) == pytest.approx(5e-4)


def test_shares_stretch_their_terms() -> None:
    half = replace(CONSTANTS, memory_share=0.5, library_share=0.25, kernel_share=0.5)
    assert seconds(replace(NOTHING, memory_bytes=10**7), half) == pytest.approx(2e-5)
    assert seconds(replace(NOTHING, macs=1e9, library=True), half) == pytest.approx(1.6e-3)
    assert seconds(replace(NOTHING, macs=1e9), half) == pytest.approx(8e-4)
    assert seconds(replace(NOTHING, slots=1e6), half) == pytest.approx(1e-3)


def test_a_pass_over_memory() -> None:
    assert pass_over(10**7, TARGET, CONSTANTS) == pytest.approx(1.2e-5)


def test_a_program_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^no program of the kernel fits in a multiprocessor of round$"):
        time(replace(NOTHING, occupancy=0), TARGET, CONSTANTS)


def test_constants_are_positive() -> None:
    with pytest.raises(ValueError, match=r"^a GPU's 'memory_share' is positive, unlike 0$"):
        Constants(memory_share=0)


# ---- libraries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", gpus())
@pytest.mark.parametrize(("n", "k"), [(4096, 4096), (8192, 8192), (57344, 8192), (1000, 1000)])
def test_a_library_is_never_faster_than_the_data_sheet(name: str, n: int, k: int) -> None:
    target = gpu(name)
    for m in (1, 16, 17, 128, 2048, 8192):
        found = dense(m, n, k, "float16", target, Constants()).seconds
        assert found > 2 * (n * k + m * k + m * n) / (1e9 * target.memory_gb_per_second)
        assert found > 2 * m * n * k / (1e12 * target.fp16_tflops)
        # With its floors at 0.9 and 0.8 of the peaks it is not far above them where products are large.
        floor = max(
            2 * (n * k + m * k + m * n) / (0.9e9 * target.memory_gb_per_second),
            2 * m * n * k / (0.8e12 * target.fp16_tflops),
        )
        assert m < 2048 or n < 4096 or found < 1.2 * floor


def test_eight_bits_are_twice_as_fast_where_products_bound() -> None:
    wide, whole, floats = (
        dense(8192, 8192, 8192, one, gpu("h200"), Constants()).seconds for one in ("float16", "int8", "fp8")
    )
    assert wide / whole == pytest.approx(2, rel=0.02)  # but for the launch and the last wave
    assert wide / floats == pytest.approx(2 / ACCURATE, rel=0.02)


def test_a_gpu_without_8_bit_floats() -> None:
    with pytest.raises(ValueError, match=r"^a100 has no tensor cores for fp8; the nearest is float16$"):
        dense(1, 4096, 4096, "fp8", gpu("a100"), Constants())
