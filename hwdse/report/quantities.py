"""Numbers with their units, as people read them."""

from hwdse.energy import joules
from hwdse.metrics import Metric, in_bytes


def number(value: float) -> str:
    """`value` for people: 12,346 or 3.142."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"


def percent(share: float) -> str:
    """A share as `91.20 %`."""
    return f"{100 * share:.2f} %"


def points(difference: float) -> str:
    """A difference of two shares, without its sign: `0.85 points`."""
    return f"{100 * abs(difference):.2f} points"


def error(predicted: float, measured: float) -> str:
    """Predicted minus measured, relative to measured; '' where that is nothing."""
    return f"{100 * (predicted / measured - 1):+.1f} %" if measured else ""


def seconds(value: float) -> str:
    """A duration in the unit that suits it."""
    unit, size = time_unit(value)
    return f"{value / size:.4g} {unit}"


def time_unit(value: float) -> tuple[str, float]:
    """The unit that suits a duration, and its length in seconds."""
    units = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
    return next(((unit, size) for unit, size in units if value >= size), ("ns", 1e-9))


def show(quantity: Metric, value: float) -> str:
    """A metric's value with its unit."""
    if quantity.unit in ("%", "s"):
        return percent(value) if quantity.unit == "%" else seconds(value)
    if quantity.unit == "J":
        return joules(value)
    if quantity.unit == "B":
        return in_bytes(value)
    return number(value) + f" {quantity.unit}" * bool(quantity.unit)
