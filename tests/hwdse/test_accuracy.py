"""Accuracy counts what the Brevitas model predicts."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention

from hwdse.accuracy import Evaluator
from hwdse.design import Step
from tests.hwdse.networks import bench, split, uniform

SPLITS = {"search": split("search"), "test": split("test")}


@pytest.mark.parametrize("recipe", [(), (Step("bias_correction"),)], ids=["plain", "corrected"])
def test_counts_the_predictions_of_the_brevitas_model(recipe: tuple[Step, ...]) -> None:
    on = bench("cnn")
    design = uniform(on, "e2m1:channel", "int4", recipe=recipe)
    got = Evaluator(on, SPLITS).accuracy(design, "search")
    images, labels = split("search").images, split("search").labels
    with torch.no_grad():
        logits, reference = on.quantize(design)(images).double(), on.traced.graph(images).double()
    assert got.right.tolist() == (logits.argmax(1) == labels).tolist()
    assert got.loss == float(F.cross_entropy(logits, labels))
    assert got.sqnr_db == float(10 * torch.log10((reference**2).sum() / ((logits - reference) ** 2).sum()))


def test_the_float_network_has_no_sqnr() -> None:
    accuracy = Evaluator(bench("cnn"), SPLITS).float_accuracy("test")
    assert (accuracy.split, accuracy.count, accuracy.sqnr_db) == ("test", len(split("test")), None)


def test_evaluating_twice_gives_the_same() -> None:
    on = bench("vit")
    evaluator = Evaluator(on, SPLITS)
    a, b = uniform(on, "int4", "e3m2"), uniform(on, "e4m3", "int5")
    first = evaluator.accuracy(a, "search")
    evaluator.accuracy(b, "search")
    assert evaluator.accuracy(a, "search") == first


def test_the_context_names_weights_and_data() -> None:
    on = bench("cnn")
    context = Evaluator(on, SPLITS).context
    assert context == Evaluator(on, SPLITS).context
    assert context != Evaluator(on, {"search": SPLITS["search"]}).context
    assert context != Evaluator(bench("mlp"), SPLITS).context


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(ValueError, match=r"^no data split 'train'; known: search, test$"):
        Evaluator(bench("cnn"), SPLITS).float_accuracy("train")
