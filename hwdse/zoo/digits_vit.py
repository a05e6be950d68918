"""`digits-vit`: a vision transformer on patches of 2 x 2 pixels.

The blocks are pre-norm, after Dosovitskiy et al. 2021 (arXiv 2010.11929, section 3.1), but the
head reads the mean of all tokens instead of a class token.
"""

import torch
from torch import Tensor, nn

from hwdse.attention import Attention

PATCH = 2  # pixels
TOKENS = (8 // PATCH) ** 2


class Block(nn.Module):
    """Attention, then a two-layer perceptron, each added to what it read; `n x tokens x width` in and out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2 * width)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """The tokens after this block."""
        tokens = self.norm1(x)
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        x = x + mixed
        x = x + self.fc2(self.gelu(self.fc1(self.norm2(x))))
        return x


class DigitsVit(nn.Module):
    """Images `n x 1 x 8 x 8` in [0, 1] to logits `n x 10`."""

    def __init__(self, width: int = 48, heads: int = 3, blocks: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, PATCH, stride=PATCH)
        self.position = nn.Parameter(torch.randn(1, TOKENS, width) / 2)  # as large as the patches are
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of `x`."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        tokens = self.norm(self.blocks(tokens))
        logits: Tensor = self.head(tokens.mean(1))
        return logits


def build() -> nn.Module:
    """A network from images `n x 1 x 8 x 8` in [0, 1] to logits `n x 10`."""
    return DigitsVit()
