"""Products of packed layers by the kernels as Python: what they allocate does not follow torch's default type."""

from collections.abc import Iterator

import pytest
import torch

pytest.importorskip("triton", reason="needs triton")

from hwdse import gpu_products
from hwdse.gpu_layers import PackedLinear
from tests.hwdse.test_gpu_layers import filled
from tests.kernels.interpreted import interpreted

NAMES = ("a8 16x16:w8:s2:k2:t4", "a16 16x16:w8:s2:k2:t4", "gemv 16x1:w8:s2:k2:t4")


@pytest.fixture
def _as_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels in Triton's interpreter."""
    for name in ("a8", "a16", "gemv", "quantise"):
        monkeypatch.setattr(gpu_products, name, interpreted(name))


@pytest.fixture
def _wide() -> Iterator[None]:
    """Another default type, as some programs set."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def products(dtype: torch.dtype) -> list[torch.Tensor]:
    """Of one layer and input, by each kernel, while `dtype` is the default."""
    torch.set_default_dtype(torch.float32)
    layer = PackedLinear(140, 18, weights="int4:channel", activations="int8", site="x", layout="int8 16:w8", bias=True)
    filled(layer)
    x = torch.randn(3, 140)
    torch.set_default_dtype(dtype)
    return [gpu_products.product(layer, x, name) for name in NAMES]


@pytest.mark.usefixtures("_as_python", "_wide")
def test_products_are_the_same_whatever_the_default_type() -> None:
    expected, found = products(torch.float32), products(torch.float64)
    for one, other, name in zip(expected, found, NAMES, strict=True):
        assert (one.dtype, other.dtype) == (torch.float32, torch.float32), name
        assert torch.equal(one, other), name


@pytest.mark.usefixtures("_wide")
def test_layers_are_of_float32_whatever_the_default_type() -> None:
    layer = PackedLinear(140, 18, weights="int4:channel", activations="int8", site="x", layout="int8 16:w8", bias=True)
    assert {one.dtype for one in layer.buffers()} == {torch.float32, torch.int32}
