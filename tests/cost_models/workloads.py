"""Networks written by hand, as the tests of prices, foldings and contracts need them."""

from hwdse.design import Design, Folding, Quantizer
from hwdse.workload import Kind, Layer, Site, Workload


def conv(
    name: str,
    site: str,
    out: tuple[str, ...],
    channels: tuple[int, int],
    size: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> Layer:
    """A convolution of a `size` x `size` image that keeps its size but for the stride."""
    before, after = channels
    end = (size - 1) // stride + 1
    return Layer(
        name,
        Kind.CONV,
        (site,),
        out,
        rows=after,
        dot=kernel * kernel * before // groups,
        positions=end * end,
        groups=groups,
        in_shape=(before, size, size),
        out_shape=(after, end, end),
        kernel=(kernel, kernel),
        stride=(stride, stride),
        padding=(kernel // 2, kernel // 2),
        bias=bias,
    )


def linear(name: str, site: str, out: tuple[str, ...], inputs: int, outputs: int, bias: bool = True) -> Layer:
    """A linear layer of one vector."""
    return Layer(name, Kind.LINEAR, (site,), out, outputs, inputs, 1, 1, (inputs,), (outputs,), bias=bias)


def matmul(name: str, sites: tuple[str, str], out: tuple[str, ...], heads: int, m: int, k: int, n: int) -> Layer:
    """`heads` products of `m` x `k` by `k` x `n`."""
    return Layer(name, Kind.MATMUL, sites, out, heads * n, k, m, heads, (heads, m, k), (heads, m, n))


CONV = conv("conv", "image", ("a",), (3, 16), 32)
DEPTHWISE = conv("depthwise", "a", ("b",), (16, 16), 32, groups=16)
STRIDED = conv("strided", "b", ("c",), (16, 32), 32, kernel=1, stride=2)
GROUPED = conv("grouped", "c", ("c",), (32, 32), 16, groups=4, bias=False)
ADD = Layer("add", Kind.ADD, ("c", "c"), ("d",), 32, 2, 256, in_shape=(32, 16, 16), out_shape=(32, 16, 16))
MAX_POOL = Layer(
    "max_pool", Kind.MAX_POOL, ("d",), (), 32, 4, 64, 1, (32, 16, 16), (32, 8, 8), kernel=(2, 2), stride=(2, 2)
)
TABLE = Layer("gelu", Kind.TABLE, ("d",), ("e",), 32, 1, 64, in_shape=(32, 8, 8), out_shape=(32, 8, 8))
AVG_POOL = Layer("avg_pool", Kind.AVG_POOL, ("e",), ("f",), 32, 64, 1, in_shape=(32, 8, 8), out_shape=(32, 1, 1))
MATMUL = matmul("matmul", ("e", "f"), ("e",), 4, 64, 16, 64)
NORM = Layer("norm", Kind.NORM, (), (), 32, 1, 64)
SOFTMAX = Layer("softmax", Kind.SOFTMAX, (), (), 32, 1, 64)
ROTATION = Layer("rotation", Kind.ROTATION, (), (), 32, 1, 1)
LINEAR = linear("linear", "f", (), 32, 10)
EMBEDDING = Layer("embedding", Kind.EMBEDDING, (), (), 32, 1, 64)
OTHER = Layer("other", Kind.OTHER, (), (), 32, 1, 64)
LOW_RANK = Layer("low_rank", Kind.LOW_RANK, (), (), 10, 4, 1)
INSIDE = (CONV, DEPTHWISE, STRIDED, GROUPED, ADD, MAX_POOL, TABLE, AVG_POOL, MATMUL)
LAYERS = (*INSIDE, NORM, SOFTMAX, ROTATION, EMBEDDING, OTHER, LINEAR, LOW_RANK)
SITES = tuple(Site(name, (name,), (), 1) for name in ("image", *"abcdef"))
ALL_KINDS = Workload("all kinds", LAYERS, SITES, (3, 32, 32))


def design(weights: str, activations: str, folding: dict[str, Folding]) -> Design:
    """`ALL_KINDS` with the same quantizers everywhere."""
    return Design.of(
        {layer.name: Quantizer.parse(weights) for layer in LAYERS if layer.weights},
        {site.name: Quantizer.parse(activations) for site in SITES},
        folding,
    )
