"""What `hwdse train` does: a network is trained on the digits or on a text, and its file is written."""

from pathlib import Path

from hwdse.train import train as fit
from hwdse.train import trainable, write
from hwdse.train_text import NAME, train_text, write_text


def train(name: str, out: Path | None, seed: int, text: Path | None, source: str) -> str:
    """What became of it, in words; ValueError for a network that is not trained, or not on that."""
    path = Path(f"{name}.safetensors") if out is None else out
    if path.suffix != ".safetensors":  # before minutes are spent
        raise ValueError(f"weights are written to a .safetensors file, not {path}")
    if name == NAME:
        if text is None:
            raise ValueError(f"the network {NAME} is trained on a text: give --text FILE")
        learnt = train_text(text, seed)
        write_text(learnt, path, source)
        return f"{path}:\n  search part: {learnt.search.text}\n  test part: {learnt.test.text}"
    if name not in trainable():
        raise ValueError(f"no network {name!r} to train; known: {', '.join((*trainable(), NAME))}")
    if text is not None or source:
        raise ValueError(f"only {NAME} is trained on a text, not {name}")
    trained = fit(name, seed)
    write(trained, path)
    accuracies = ", ".join(f"{split} {100 * top1:.2f} %" for split, top1 in trained.accuracies._asdict().items())
    return f"{path}: top-1 {accuracies}"
