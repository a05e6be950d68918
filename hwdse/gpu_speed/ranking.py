"""The choices of a product: the one that is taken, then the others, predicted to be the fastest first."""

from collections.abc import Sequence
from functools import cache

from hwdse import dispatch
from hwdse.gemm import Choice, Gemm
from hwdse.gpu_speed.plan import Choices
from hwdse.target import GpuTarget


@cache
def ranked(target: GpuTarget) -> Choices:
    """All choices of a product on `target`, `dispatch.choose` first; none where no kernel takes it."""

    @cache
    def of(gemm: Gemm) -> Sequence[Choice]:
        prices = [dispatch.price(gemm, choice, target) for choice in dispatch.choices(gemm, target)]
        return tuple(price.choice for price in dispatch.ranked(prices))

    return of
