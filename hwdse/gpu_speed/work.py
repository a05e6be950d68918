"""What is timed: calls that rotate over copies of the weights, what they move, and what their result has to be."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SAMPLED = 16  # vectors whose outputs are compared; in float64 all of them would take longer than the timing
# The result may be off by four half-steps of its type, of which one is its own rounding: scales and weights that are
# rounded to that type before the sum give one each, and sums in float32 far less than the last. Relative, in the norm.
TOLERANCE = {
    torch.float16: 4 * 2.0**-11,
    torch.bfloat16: 4 * 2.0**-8,
    torch.float32: 4 * 2.0**-24,
    torch.int32: 0.0,
}

Call = Callable[[], Tensor]
Count = Callable[[int], int]  # copies of the weights for the bytes of one


class AbsentError(Exception):
    """What is to be timed is not installed, or not for this device; the message is the whole sentence."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Some outputs, exactly: `values` (float64) at `rows` x `columns`."""

    rows: Tensor
    columns: Tensor
    values: Tensor

    def error(self, found: Tensor) -> float:
        """Norm of the difference over the norm; infinite where any of all outputs is no finite number."""
        if found.dtype.itemsize == 1 and found.is_floating_point():
            found = found.half()  # exact, and torch does more with it
        if found.is_floating_point() and not found.isfinite().all():
            return float("inf")
        own = found[self.rows][:, self.columns].double()
        return float((own - self.values).norm() / self.values.norm())


@dataclass(frozen=True, slots=True)
class Work:
    """One point, ready to run."""

    calls: tuple[Call, ...]  # one for each copy of the weights
    moved: int  # bytes that a call has to move: of a product the weights as stored, with their scales
    expected: Expected | None = None  # of the first call; None: nothing is computed
    tolerance: float = 0.0
    note: str = ""  # what the time contains beside the kernel


def sampled(m: int, device: torch.device) -> Tensor:
    """Vectors that are compared: the first, the last and some between."""
    return torch.linspace(0, m - 1, min(m, SAMPLED), device=device).round().long()


def exactly(x: Tensor, dense: Tensor, columns: Tensor) -> Expected:
    """What the outputs at `columns` are, where `dense` (`columns x k`) are their weights alone."""
    rows = sampled(len(x), x.device)
    return Expected(rows, columns, x[rows].double() @ dense.double().T)


def product(x: Tensor, dense: Tensor) -> Expected:
    """What `x` (`m x k`) times `dense` (`n x k`) gives, in float64."""
    rows = sampled(len(x), x.device)
    parts = [x[rows].double() @ part.double().T for part in dense.split(4096)]  # float64 of all would be gigabytes
    return Expected(rows, torch.arange(len(dense), device=x.device), torch.cat(parts, 1))


def poison(result: Tensor) -> None:
    """Fills a result with NaN, or the largest integer: what the next call writes to is the same memory.

    It is where the call has an output of its own, and where torch gives the memory that was last freed.
    """
    result.fill_(float("nan") if result.is_floating_point() else torch.iinfo(result.dtype).max)
