"""Multi-head self-attention written out, and put in the place of `nn.MultiheadAttention`.

`nn.MultiheadAttention` hides four matrix products, two matmuls and a softmax inside one call that
no tracer looks into. Written out, each is a layer that has a name, a price and a format.
"""

from typing import Self, cast

import torch
from torch import Tensor, nn


class CausalSoftmax(nn.Module):
    """The softmax of scores, each token's over itself and those before it: what comes later has the weight 0.

    One module that tracing leaves whole: the mask is neither added to the scores nor quantised.
    """

    future: Tensor

    def __init__(self, context: int) -> None:
        """For sequences of `context` tokens."""
        super().__init__()
        later = torch.ones(context, context, dtype=torch.bool).triu(1)
        self.register_buffer("future", later, persistent=False)  # no weight: it is in no file

    def forward(self, scores: Tensor) -> Tensor:
        """`... x context x context`, as `scores`."""
        return scores.masked_fill(self.future, float("-inf")).softmax(-1)


class Attention(nn.Module):
    """Self-attention of `heads` heads over tokens of `width` values.

    With a `context` it is causal, for so many tokens: none sees those after it. It is called like the module
    that it replaces, so that `x, _ = attention(x, x, x, need_weights=False)` in a network that exists stays as it is.
    """

    def __init__(self, width: int, heads: int, bias: bool = True, context: int | None = None) -> None:
        super().__init__()
        if width % heads != 0:
            raise ValueError(f"the width of an attention is a multiple of its heads, not {width} of {heads}")
        self.heads = heads
        self.head_width = width // heads
        self.q = nn.Linear(width, width, bias)
        self.k = nn.Linear(width, width, bias)
        self.v = nn.Linear(width, width, bias)
        self.softmax = nn.Softmax(dim=-1) if context is None else CausalSoftmax(context)
        self.proj = nn.Linear(width, width, bias)

    def _split(self, x: Tensor) -> Tensor:
        """`n x tokens x width` to `n x heads x tokens x head_width`."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.head_width).transpose(1, 2)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """What the tokens gather from each other, and no attention weights.

        `query`, `key` and `value` are one tensor, `n x tokens x width`; so is the result.
        """
        if query is not key or query is not value:
            raise ValueError("an attention written out is self-attention: query, key and value are one tensor")
        if need_weights or key_padding_mask is not None or attn_mask is not None:
            raise ValueError("an attention written out has no mask and returns no weights: pass need_weights=False")
        q, k, v = self._split(self.q(query)), self._split(self.k(key)), self._split(self.v(value))
        scores = torch.matmul(q, k.transpose(-2, -1)) * self.head_width**-0.5
        mixed = torch.matmul(self.softmax(scores), v).transpose(1, 2)
        return self.proj(mixed.flatten(2)), None

    @classmethod
    def of(cls, module: nn.MultiheadAttention, name: str) -> Self:
        """The attention equal to `module` in evaluation, where dropout is off; `name` is for the error."""
        plain = module.batch_first and module._qkv_same_embed_dim and module.bias_k is None
        if not plain or module.add_zero_attn:
            rule = "is batch first, with keys and values as wide as queries and nothing added to them"
            raise ValueError(f"an attention that can be written out {rule}, not {name!r}")
        weight = cast(Tensor, module.in_proj_weight).detach()
        bias = None if module.in_proj_bias is None else module.in_proj_bias.detach()
        attention = cls(module.embed_dim, module.num_heads, bias is not None).to(weight)
        for i, linear in enumerate((attention.q, attention.k, attention.v)):
            _copy(linear, weight.chunk(3)[i], None if bias is None else bias.chunk(3)[i])
        _copy(attention.proj, module.out_proj.weight, module.out_proj.bias)
        return attention.train(module.training)


def _copy(linear: nn.Linear, weight: Tensor, bias: Tensor | None) -> None:
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)


def expand_attention(model: nn.Module) -> nn.Module:
    """`model` itself, every `nn.MultiheadAttention` in it replaced by an equal `Attention`."""
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
            kind = type(module).__name__
            raise ValueError(f"attention is written out where a network calls it, not inside nn.{kind} {name!r}")
        if isinstance(module, nn.MultiheadAttention):
            model.set_submodule(name, Attention.of(module, name))
    return model
