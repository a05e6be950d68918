"""`text-lm`: a small causal language model on bytes.

A pre-norm transformer as GPT-2 is one (Radford et al. 2019, section 2.3): learned positions, and GELU. Bytes need no
tokenizer, so that any text file is data.
"""

import torch
from torch import Tensor, nn

from hwdse.attention import Attention

BYTES = 256  # the vocabulary
CONTEXT = 128  # bytes that a prediction may look at


class Block(nn.Module):
    """Causal attention, then a two-layer perceptron, each added to what it read; `n x tokens x width` in and out."""

    def __init__(self, width: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, context=context)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """The tokens after this block."""
        tokens = self.norm1(x)
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        x = x + mixed
        x = x + self.fc2(self.gelu(self.fc1(self.norm2(x))))
        return x


class TextLm(nn.Module):
    """Bytes `n x context` (int64) to the logits of the byte after each, `n x context x 256`."""

    def __init__(self, width: int = 128, heads: int = 4, blocks: int = 4, context: int = CONTEXT) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BYTES, width)
        self.position = nn.Parameter(torch.zeros(1, context, width))
        self.blocks = nn.Sequential(*(Block(width, heads, context) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, BYTES)

    def forward(self, x: Tensor) -> Tensor:
        """The logits of `x`."""
        logits: Tensor = self.head(self.norm(self.blocks(self.embedding(x) + self.position)))
        return logits


def build() -> nn.Module:
    """A network from bytes `n x 128` (int64) to the logits of the byte after each, `n x 128 x 256`."""
    return TextLm()
