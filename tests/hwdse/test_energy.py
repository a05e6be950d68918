"""Energies: they add up, say what they hold, and are shown in the unit that suits them."""

import pytest

from hwdse.energy import Energy, FrameEnergy, joules


def test_it_adds_up() -> None:
    both = Energy(1, 2, 3, 4) + Energy(10, 20, 30, 40)
    assert both == Energy(11, 22, 33, 44)
    assert both.dynamic_pj == 110
    assert both.parts == (("products", 11), ("sums", 22), ("comparisons", 33), ("memory", 44))
    assert Energy().dynamic_pj == 0


def test_what_is_not_known_is_said_and_no_zero() -> None:
    unknown = FrameEnergy(Energy(1, 2, 3, 4))
    assert (unknown.total_pj, unknown.label) == (10, "dynamic only")
    known = FrameEnergy(Energy(1, 2, 3, 4), 90.0)
    assert (known.total_pj, known.label) == (100, "dynamic and static")
    assert known.joules == 1e-10
    assert FrameEnergy(Energy(), 0.0).label == "dynamic and static"  # zero is a value


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2 J"), (3e-3, "3 mJ"), (1.23456e-6, "1.235 uJ"), (9e-9, "9 nJ"), (2e-12, "2 pJ"), (0.0, "0 pJ")],
)
def test_joules(value: float, text: str) -> None:
    assert joules(value) == text
