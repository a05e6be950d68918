"""Attention written out gives what torch's own module gives, and what cannot be written out is refused."""

import re
from copy import deepcopy

import pytest
import torch
from torch import Tensor, fx, nn

from hwdse.attention import Attention, expand_attention


def random_attention(width: int, heads: int, dtype: torch.dtype, bias: bool = True) -> nn.MultiheadAttention:
    """Of torch, batch first, with random weights and random biases, in evaluation mode."""
    torch.manual_seed(width + heads)
    module = nn.MultiheadAttention(width, heads, bias=bias, batch_first=True, dtype=dtype).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(-(width**-0.5), width**-0.5)
    return module


def rounding(attention: Attention, x: Tensor) -> Tensor:
    """A bound on the rounding error of an attention in the precision of `x`, for every output.

    A dot product of n terms errs by at most g(n) = n u / (1 - n u) of the sum of the terms'
    magnitudes, in any order of summation (Higham 2002, Accuracy and Stability, section 3.1). The
    errors of what it reads come on top. A score that errs by e changes a softmax by a factor of at
    most exp(2 e); its own exponential, subtraction, sum and division are within 8 more roundings.
    """
    u = torch.finfo(x.dtype).eps / 2
    attention, x = deepcopy(attention).double(), x.double()

    def dot(a: Tensor, a_error: Tensor, b: Tensor, b_error: Tensor, terms: int) -> Tensor:
        a, b = a.abs(), b.abs()
        carried = a_error @ b + (a + a_error) @ b_error
        return carried + terms * u / (1 - terms * u) * ((a + a_error) @ (b + b_error))

    def linear(layer: nn.Linear, a: Tensor, error: Tensor) -> Tensor:
        ones = torch.ones(*a.shape[:-1], 1, dtype=a.dtype)
        bias = torch.zeros(layer.out_features, 1, dtype=a.dtype) if layer.bias is None else layer.bias[:, None]
        weight = torch.cat([layer.weight, bias], 1).T
        error = torch.cat([error, 0 * ones], -1)
        return dot(torch.cat([a, ones], -1), error, weight, 0 * weight, len(weight))

    exact = torch.zeros_like(x)
    pairs = [(attention._split(f(x)), attention._split(linear(f, x, exact))) for f in (attention.q, attention.k)]
    (q, q_error), (k, k_error) = pairs
    v, v_error = attention._split(attention.v(x)), attention._split(linear(attention.v, x, exact))
    scale, terms = attention.head_width**-0.5, attention.head_width
    # 4: torch scales both q and k by the square root of what we scale their product by
    e = scale * dot(q, q_error, k.mT, k_error.mT, terms + 4)
    scores = scale * q @ k.mT
    reach = scores.amax(-1, keepdim=True) - scores.amin(-1, keepdim=True)
    tokens = x.shape[1]
    p = scores.softmax(-1)
    p_error = p * ((1 + (tokens + 8) * u) * torch.exp(2 * (e.amax(-1, keepdim=True) + u * reach)) - 1)
    mixed = (p @ v).transpose(1, 2).flatten(2)
    mixed_error = dot(p, p_error, v, v_error, tokens).transpose(1, 2).flatten(2)
    return linear(attention.proj, mixed, mixed_error)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("width", "heads"), [(8, 1), (12, 3), (48, 3), (64, 4)])
def test_equals_torch(width: int, heads: int, bias: bool, dtype: torch.dtype) -> None:
    theirs = random_attention(width, heads, dtype, bias)
    ours = Attention.of(theirs, "x")
    x = torch.randn(3, 10, width, dtype=dtype)
    expected, _ = theirs(x, x, x, need_weights=False)
    found, weights = ours(x, x, x, need_weights=False)
    bound = 2 * rounding(ours, x)  # each of the two errs by as much
    assert weights is None
    assert ((found - expected).abs() <= bound).all()


@torch.no_grad()
def test_the_bound_sees_a_scale_that_is_off_by_a_hundredth() -> None:
    theirs = random_attention(48, 3, torch.float32)
    ours = Attention.of(theirs, "x")
    x = torch.randn(3, 10, 48)
    expected, _ = theirs(x, x, x, need_weights=False)
    ours.q.weight.mul_(1.01)
    found, _ = ours(x, x, x, need_weights=False)
    assert ((found - expected).abs() > 2 * rounding(ours, x)).any()


def test_keeps_precision_and_mode() -> None:
    module = random_attention(8, 2, torch.float64).train()
    ours = Attention.of(module, "x")
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float64}
    assert all(part.training for part in ours.modules())
    assert not any(part.training for part in Attention.of(module.eval(), "x").modules())


# ---- in a network ----------------------------------------------------------------------------


class Block(nn.Module):
    """As the encoder block of torchvision's vision transformer is written."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.self_attention = nn.MultiheadAttention(width, heads, dropout=0.1, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, input: Tensor) -> Tensor:
        torch._assert(input.dim() == 3, f"expected (batch, tokens, width), got {input.shape}")
        x: Tensor = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x)
        x = x + input
        x = x + self.mlp(self.ln_2(x))
        return x


class VisionTransformer(nn.Module):
    """As torchvision's vision transformer is written, with its class token."""

    def __init__(self, width: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.width = width
        self.conv_proj = nn.Conv2d(1, width, 2, stride=2)
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embedding = nn.Parameter(torch.randn(1, 17, width))
        self.layers = nn.Sequential(Block(width, heads), Block(width, heads))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        torch._assert(h == 8, "wrong image height")
        x = self.conv_proj(x)
        x = x.reshape(n, self.width, (h // 2) * (w // 2)).permute(0, 2, 1)
        x = torch.cat([self.class_token.expand(n, -1, -1), x], dim=1)
        x = self.layers(x + self.pos_embedding)
        logits: Tensor = self.head(x[:, 0])
        return logits


def attention_inputs(model: nn.Module, images: Tensor) -> list[Tensor]:
    """What each attention of `model` reads."""
    read: list[Tensor] = []
    kinds = (Attention, nn.MultiheadAttention)
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        for module in model.modules()
        if isinstance(module, kinds)
    ]
    model(images)
    for hook in hooks:
        hook.remove()
    return read


@torch.no_grad()
def test_a_vision_transformer_can_be_traced() -> None:
    torch.manual_seed(0)
    theirs = VisionTransformer().double().eval()
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    ours = expand_attention(deepcopy(theirs))
    assert not any(isinstance(module, nn.MultiheadAttention) for module in ours.modules())
    graph = fx.symbolic_trace(ours)
    assert torch.equal(graph(images), ours(images))
    called = {str(node.target) for node in graph.graph.nodes if node.op == "call_module"}
    parts = ("q", "k", "v", "softmax", "proj")
    assert {f"layers.{i}.self_attention.{part}" for i in (0, 1) for part in parts} <= called
    for name, x in zip(("layers.0", "layers.1"), attention_inputs(theirs, images), strict=True):
        module = ours.get_submodule(f"{name}.self_attention")
        assert isinstance(module, Attention)
        expected, _ = theirs.get_submodule(f"{name}.self_attention")(x, x, x, need_weights=False)
        found, _ = module(x, x, x, need_weights=False)
        assert ((found - expected).abs() <= 2 * rounding(module, x)).all()
    # Beyond the attentions both run the same code; a layer norm may enlarge an error of 1e-15 a thousandfold.
    assert (ours(images) - theirs(images)).abs().max() < 1e-11


@torch.no_grad()
def test_an_attention_at_two_places_is_replaced_at_both() -> None:
    shared = random_attention(8, 2, torch.float32)
    model = expand_attention(nn.ModuleList([shared, shared]))
    assert [type(module) for module in model.children()] == [Attention, Attention]


def test_networks_without_attention_stay_as_they_are() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    before = list(model)
    assert expand_attention(model) is model
    assert list(model) == before


# ---- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "module",
    [
        nn.MultiheadAttention(8, 2),
        nn.MultiheadAttention(8, 2, kdim=4, batch_first=True),
        nn.MultiheadAttention(8, 2, add_bias_kv=True, batch_first=True),
        nn.MultiheadAttention(8, 2, add_zero_attn=True, batch_first=True),
    ],
    ids=["batch second", "other keys", "added keys", "added zeros"],
)
def test_an_attention_that_is_not_plain(module: nn.MultiheadAttention) -> None:
    rule = "is batch first, with keys and values as wide as queries and nothing added to them"
    with pytest.raises(ValueError, match=f"^an attention that can be written out {rule}, not '1'$"):
        expand_attention(nn.Sequential(nn.ReLU(), module))


def test_a_hidden_attention() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, batch_first=True)
    message = "attention is written out where a network calls it, not inside nn.TransformerEncoderLayer '0'"
    with pytest.raises(ValueError, match=f"^{message}$"):
        expand_attention(nn.Sequential(layer))


def test_calls_that_are_not_self_attention() -> None:
    ours, x = Attention(8, 2), torch.zeros(1, 3, 8)
    message = "an attention written out is self-attention: query, key and value are one tensor"
    with pytest.raises(ValueError, match=f"^{message}$"):
        ours(x, x, x.clone(), need_weights=False)
    message = "an attention written out has no mask and returns no weights: pass need_weights=False"
    with pytest.raises(ValueError, match=f"^{message}$"):
        ours(x, x, x)
    with pytest.raises(ValueError, match=f"^{message}$"):
        ours(x, x, x, need_weights=False, attn_mask=torch.zeros(3, 3))


def test_a_width_that_heads_do_not_divide() -> None:
    message = "the width of an attention is a multiple of its heads, not 8 of 3"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Attention(8, 3)
