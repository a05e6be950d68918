"""Training on text: reproducible, rounded to what is kept, and named where it cannot be done."""

import json
import re
from math import exp, log
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from hwdse import zoo
from hwdse.models import ModelSpec
from hwdse.models import load as load_model
from hwdse.text import byte_codes, parts, read, sequences
from hwdse.train_command import train
from hwdse.train_text import ORDERS, Quality, TrainedText, _quality, train_text, write_text
from tests.hwdse.real_data import shakespeare

TEXT = Path(__file__).parents[2] / "LICENSE"


@pytest.fixture(scope="module")
def learnt() -> TrainedText:
    """A few steps on the licence."""
    return train_text(TEXT, steps=4)


def made(path: Path) -> dict[str, object]:
    """What a file of weights says about its making."""
    with safe_open(path, "pt") as file:
        found: dict[str, object] = json.loads(file.metadata()["made"])
    return found


def test_training_learns_and_leaves_random_state_alone(learnt: TrainedText) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    longer = train_text(TEXT, steps=8)
    assert torch.equal(torch.get_rng_state(), before)
    assert longer.search.loss < learnt.search.loss < log(256) + 1
    assert longer.search.counted == learnt.search.counted


def test_the_seed_decides_all(learnt: TrainedText) -> None:
    again, other = train_text(TEXT, steps=4), train_text(TEXT, seed=1, steps=4)
    assert all(torch.equal(tensor, again.state[name]) for name, tensor in learnt.state.items())
    assert any(not torch.equal(tensor, other.state[name]) for name, tensor in learnt.state.items())


def test_what_is_written_loads_and_is_what_was_measured(learnt: TrainedText, tmp_path: Path) -> None:
    path = tmp_path / "lm.safetensors"
    write_text(learnt, path, "a licence")
    model = load_model(ModelSpec("text-lm", path))
    assert all(torch.equal(tensor.half(), learnt.state[name]) for name, tensor in model.state_dict().items())
    says = made(path)
    assert says["command"] == "hwdse train text-lm --text LICENSE"
    assert says["text"] == {"file": "LICENSE", "digest": learnt.digest, "source": "a licence"}
    assert says["loss"] == {"search": learnt.search.loss, "test": learnt.test.loss}
    tokens, following = sequences(byte_codes(parts(read(TEXT)).search), 128)
    with torch.inference_mode():
        loss = torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), following.flatten())
    assert float(loss) == pytest.approx(learnt.search.loss, rel=1e-5)  # a float32 mean of 512 beside a sum of them


def test_the_words(learnt: TrainedText) -> None:
    found = re.fullmatch(
        r"perplexity ([\d.]+) \(([\d.]+) bits a byte\); by counts after 0, 2, 4 bytes: ([\d., ]+)", learnt.search.text
    )
    assert found is not None
    assert float(found[1]) == pytest.approx(exp(learnt.search.loss), abs=0.005)
    assert float(found[2]) == pytest.approx(learnt.search.loss / log(2), abs=0.005)
    assert [float(number) for number in found[3].split(", ")] == [
        pytest.approx(exp(loss), abs=0.005) for loss in learnt.search.counted
    ]


@pytest.mark.parametrize(
    ("name", "out", "seed", "text", "message"),
    [
        ("text-lm", None, 0, None, "the network text-lm is trained on a text: give --text FILE"),
        ("text-lm", Path("x.pt"), 0, TEXT, "weights are written to a .safetensors file, not x.pt"),
        ("text-lm", None, -1, TEXT, "the seed of a training is 0 to 2**63 - 1, not -1"),
        ("digits-mlp", None, 0, TEXT, "only text-lm is trained on a text, not digits-mlp"),
        (
            "digits",
            None,
            0,
            None,
            "no network 'digits' to train; known: digits-cnn, digits-mlp, digits-resnet, digits-vit, text-lm",
        ),
        ("text-lm", None, 0, Path("none.txt"), "the text none.txt cannot be read: No such file or directory"),
    ],
)
def test_refusals(name: str, out: Path | None, seed: int, text: Path | None, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(name, out, seed, text, "")


def test_a_text_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("To be, or not to be")
    rule = "a text to train on has parts of more than 128 bytes, unlike"
    with pytest.raises(ValueError, match=f"^{rule} {tmp_path / 'a.txt'} of 19$"):
        train_text(tmp_path / "a.txt")


def test_shipped_weights_reach_what_their_file_says() -> None:
    content, says = read(shakespeare()), made(zoo.WEIGHTS / "text-lm.safetensors")
    made_of = parts(content)
    start = len(made_of.train) + len(made_of.search)
    with torch.inference_mode():
        found = _quality(load_model(ModelSpec("text-lm")), content, start, len(content))
    loss, counted = says["loss"], says["counted"]
    assert isinstance(loss, dict)
    assert isinstance(counted, dict)
    assert found.loss == pytest.approx(loss["test"], rel=1e-4)  # float32 logits, on other machines in other orders
    assert dict(zip(map(str, ORDERS), found.counted, strict=True)) == pytest.approx(counted["test"], rel=1e-12)
    assert found.perplexity < 6
    assert found.perplexity < exp(found.counted[1])
    assert (zoo.WEIGHTS / "text-lm.safetensors").stat().st_size < 3_000_000


def test_the_page_says_what_the_weights_reach() -> None:
    says = made(zoo.WEIGHTS / "text-lm.safetensors")
    loss, counted = says["loss"], says["counted"]
    assert isinstance(loss, dict)
    assert isinstance(counted, dict)
    page = (Path(__file__).parents[2] / "docs" / "text.md").read_text()
    for part in ("search", "test"):
        assert f"| {Quality(loss[part], tuple(counted[part].values())).text} |" in page
