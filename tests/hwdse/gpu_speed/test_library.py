"""torch's own products, as they are timed, give what float64 gives; what cannot be timed says why."""

import re
from math import inf

import pytest
import torch

from hwdse.formats import known_formats
from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.measuring import BUILDERS, accepted, built, checked
from hwdse.gpu_speed.rivals import humming_name
from hwdse.gpu_speed.work import TOLERANCE, AbsentError, Work, poison, product, sampled
from hwdse.gpu_work import OUTPUT_BYTES, PARTIAL_BYTES

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("kernel", "name", "bytes_", "written"),
    [
        ("torch.mm", "float16", 2, OUTPUT_BYTES),
        ("torch.mm", "bfloat16", 2, OUTPUT_BYTES),
        ("torch._int_mm", "int8", 1, PARTIAL_BYTES),
        ("torch._scaled_mm", "e4m3fn", 1, PARTIAL_BYTES),
    ],
)
def test_a_library_is_checked_against_float64(kernel: str, name: str, bytes_: int, written: int) -> None:
    work = built(Point(kernel, 32, 64, 96, name, name), lambda moved: 3, CPU)
    error = checked(work)
    assert error is not None
    assert error <= work.tolerance
    assert work.moved == 64 * 96 * bytes_
    assert work.calls[0]().itemsize == written  # what the model prices it with
    assert len(work.calls) == 3
    assert all(torch.equal(call(), work.calls[0]()) for call in work.calls)  # copies of the same weights


def test_the_same_point_has_the_same_numbers() -> None:
    first, again = (built(Point("torch.mm", 3, 8, 16, "float16", "float16"), lambda moved: 1, CPU) for _ in range(2))
    other = built(Point("torch.mm", 4, 8, 16, "float16", "float16"), lambda moved: 1, CPU)
    assert torch.equal(first.calls[0](), again.calls[0]())
    assert not torch.equal(first.calls[0](), other.calls[0]()[:3])


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        (Point("torch._int_mm", 16, 64, 64, "int8", "int8"), "torch._int_mm takes 17 vectors or more, not 16"),
        (Point("gemlite", 1, 64, 64, "int4", "float16", 64), "not installed"),
        (Point("humming", 1, 64, 64, "int4", "float16"), "not installed"),
        (
            Point("torch._weight_int4pack_mm", 1, 64, 64, "int4", "bfloat16"),
            "torch._weight_int4pack_mm takes groups, on a GPU",
        ),
    ],
)
def test_what_is_not_there_says_so(point: Point, reason: str) -> None:
    with pytest.raises(AbsentError, match=f"^{re.escape(reason)}$"):
        built(point, lambda moved: 1, CPU)


def test_an_unknown_kernel_is_named() -> None:
    with pytest.raises(ValueError, match=f"^no kernel 'marlin'; known: {', '.join(BUILDERS)}$"):
        built(Point("marlin", 1, 64, 64), lambda moved: 1, CPU)


def made(*, wrong: float = 0.0, forgotten: bool = False) -> Work:
    """A product in float16 with an error in its last output, or without writing it."""
    x, dense = torch.randn(40, 32).half(), torch.randn(24, 32).half()
    y = torch.empty(40, 24, dtype=torch.float16)

    def call() -> torch.Tensor:
        exact = (x.double() @ dense.double().T).half()
        exact[-1, -1] += wrong
        y[: 39 if forgotten else 40] = exact[: 39 if forgotten else 40]
        return y

    return Work((call,), dense.nbytes, product(x, dense), TOLERANCE[torch.float16])


def test_a_right_result_passes() -> None:
    error = checked(made())
    assert error is not None
    assert 0 < error < 2**-11  # one rounding


def test_a_wrong_result_does_not() -> None:
    with pytest.raises(ArithmeticError, match=r"^wrong: relative error \d\.\d\de-0[12], not at most 1\.95e-03$"):
        checked(made(wrong=10.0))


def test_a_result_that_is_not_written_is_found_by_its_poison() -> None:
    with pytest.raises(ArithmeticError, match=r"^wrong: relative error inf, not at most 1\.95e-03$"):
        checked(made(forgotten=True))


def test_nothing_is_expected_of_a_ceiling() -> None:
    assert accepted(Work((), 0), torch.tensor([[inf]])) is None


def test_poison_is_no_number_that_a_product_gives() -> None:
    floats, whole = torch.zeros(2, 3, dtype=torch.bfloat16), torch.zeros(2, 3, dtype=torch.int32)
    poison(floats)
    poison(whole)
    assert floats.isnan().all()
    assert (whole == 2**31 - 1).all()


@pytest.mark.parametrize(("m", "rows"), [(1, [0]), (3, [0, 1, 2]), (16, list(range(16))), (31, list(range(0, 31, 2)))])
def test_the_first_and_the_last_vector_are_compared(m: int, rows: list[int]) -> None:
    assert sampled(m, CPU).tolist() == rows


def test_humming_names_every_format() -> None:
    """As `humming/dtypes.py` of 0.1.19 reads them: `^(u*)int(\\d+)$` and `^float(\\d+)_*e(\\d+)m(\\d+)$`."""
    names = {fmt.name: humming_name(fmt) for fmt in known_formats(bits=range(3, 9))}
    assert names["int5"] == "int5"
    assert names["e3m2"] == "float6e3m2"
    found = {name: re.fullmatch(r"u?int(\d+)|float(\d+)e(\d+)m(\d+)", own) for name, own in names.items()}
    assert all(found.values())
