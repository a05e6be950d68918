"""Trains `text-lm` on any text, in about ten minutes on one core.

The weights that ship with the package came from here, and their file says of which text. They are rounded to float16
and kept as that, which halves the file; what is reported is measured after it.
"""

from dataclasses import dataclass
from hashlib import blake2b
from math import cos, exp, log, pi
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hwdse import ngrams, zoo
from hwdse.text import CONTEXT, byte_codes, parts, read, sequences
from hwdse.train import alone, check_seed, save_weights

NAME = "text-lm"
STEPS = 2400
BATCH = 16  # sequences
RATE = (
    2e-2  # of Muon (Jordan et al. 2024) on the matrices of the blocks, at most: it grows, then a cosine takes it to 0
)
OTHER_RATE = 6e-3  # of AdamW on the rest
WARM_UP = 100  # steps
DECAY = 0.1
ORDERS = (0, 2, 4)  # of the counts that the network is compared to


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the bytes of one part of a text are predicted: mean cross entropy, nat."""

    loss: float
    counted: tuple[float, ...]  # by counts of bytes in contexts of each length of `ORDERS`

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return exp(self.loss)

    @property
    def text(self) -> str:
        """`perplexity 4.80 (2.26 bits a byte); counts of 0, 2, 4 bytes before: 28.01, 7.34, 4.81`."""
        orders, found = ", ".join(map(str, ORDERS)), ", ".join(f"{exp(loss):.2f}" for loss in self.counted)
        return (
            f"perplexity {self.perplexity:.2f} ({self.loss / log(2):.2f} bits a byte);"
            f" by counts after {orders} bytes: {found}"
        )


@dataclass(frozen=True, eq=False)
class TrainedText:
    """A trained language model and what made it."""

    seed: int
    state: dict[str, Tensor]  # float16
    file: str  # the name of the text
    digest: str  # of its bytes
    search: Quality
    test: Quality


def train_text(path: Path, seed: int = 0, steps: int = STEPS) -> TrainedText:
    """`text-lm` trained on the train part of the text in the file `path`.

    One machine gives one result per seed, bit for bit; the caller's random state stays as it was.
    """
    check_seed(seed)
    content = read(path)
    made = parts(content)
    if min(len(made.search), len(made.test)) <= CONTEXT:
        raise ValueError(f"a text to train on has parts of more than {CONTEXT} bytes, unlike {path} of {len(content)}")
    with alone(seed):
        model = zoo.build(NAME)
        _initialise(model)
        _fit(model, byte_codes(made.train), steps)
        state = {name: tensor.half() for name, tensor in model.state_dict().items()}
        model.load_state_dict(state)
        model.eval()
        first, second = len(made.train), len(made.train) + len(made.search)
        search, test = (_quality(model, content, *ends) for ends in ((first, second), (second, len(content))))
    return TrainedText(seed, state, path.name, blake2b(content, digest_size=8).hexdigest(), search, test)


def write_text(trained: TrainedText, path: Path, source: str = "") -> None:
    """Writes the weights to the .safetensors file `path`, with what made them; `source` says whose the text is."""
    command = f"hwdse train {NAME} --text {trained.file}" + f" --seed {trained.seed}" * (trained.seed != 0)
    made = {
        "command": command,
        "seed": trained.seed,
        "text": {"file": trained.file, "digest": trained.digest, "source": source},
        "loss": {"search": trained.search.loss, "test": trained.test.loss},
        "counted": {
            name: dict(zip(map(str, ORDERS), quality.counted, strict=True))
            for name, quality in (("search", trained.search), ("test", trained.test))
        },
    }
    save_weights(trained.state, made, ("torch",), path)


def _initialise(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.1)  # as large as what the first block adds


def _fit(model: nn.Module, tokens: Tensor, steps: int) -> None:
    blocks = model.get_submodule("blocks")
    matrices = [weight for weight in blocks.parameters() if weight.dim() == 2]
    own = set(map(id, matrices))
    others = [weight for weight in model.parameters() if id(weight) not in own]
    optimizers = (
        torch.optim.Muon(matrices, RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, OTHER_RATE, weight_decay=DECAY, betas=(0.9, 0.95)),
    )
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: _share(step, steps)) for o in optimizers]
    window = torch.arange(CONTEXT + 1)
    model.train()
    for _ in range(steps):
        starts = torch.randint(len(tokens) - CONTEXT, (BATCH, 1))
        batch = tokens[starts + window]
        loss = cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        model.zero_grad()
        loss.backward()
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()


def _share(step: int, steps: int) -> float:
    """Of the rate at a step."""
    return min(1.0, (step + 1) / WARM_UP) * (1 + cos(pi * step / steps)) / 2


@torch.no_grad()
def _quality(model: nn.Module, content: bytes, start: int, end: int) -> Quality:
    """Of the bytes of a part; each is predicted in its sequence alone, but counted after those before it."""
    tokens, following = sequences(byte_codes(content[start:end]), CONTEXT)
    losses = [
        cross_entropy(model(batch).flatten(0, 1), right.flatten(), reduction="sum").double()
        for batch, right in zip(tokens.split(64), following.split(64), strict=True)
    ]
    counted = content[: start + 1 + following.numel()]
    known = len(parts(content).train)
    return Quality(
        float(torch.stack(losses).sum()) / following.numel(),
        tuple(ngrams.loss(counted, known, start + 1, order) for order in ORDERS),
    )
