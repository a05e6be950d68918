"""Accuracy counts what the Brevitas model predicts."""

import random
from math import log

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own convention

from hwdse.accuracy import LEAST_IMAGES, MOST_IMAGES, Evaluator, batch_size
from hwdse.data import DataSpec, load
from hwdse.design import Design, Quantizer, Step
from hwdse.formats import known_formats
from hwdse.models import ModelSpec
from hwdse.models import load as load_model
from hwdse.quantize import Bench
from tests.hwdse.networks import NETWORKS, bench, fitting, network, split, uniform
from tests.hwdse.real_data import cifar

SPLITS = {"search": split("search"), "test": split("test")}


def loss_bound(logits: torch.Tensor) -> float:
    """Between two float64 evaluations of the mean cross entropy.

    Each sums `classes` exponentials and then `n` losses of at most 2 max |logit| + ln classes, in some order: that is
    `n + classes` roundings, and eight for exponential, logarithm and differences, each of at most 2^-53 of the largest.
    """
    count, classes = logits.shape
    largest = 2 * float(logits.abs().max()) + classes
    return 2 * (count + classes + 8) * 2.0**-53 * largest


@pytest.mark.parametrize("recipe", [(), (Step("bias_correction"),)], ids=["plain", "corrected"])
def test_counts_the_predictions_of_the_brevitas_model(recipe: tuple[Step, ...]) -> None:
    on = bench("cnn")
    design = uniform(on, "e2m1:channel", "int4", recipe=recipe)
    got = Evaluator(on, SPLITS).accuracy(design, "search")
    images, labels = split("search").images, split("search").labels
    with torch.no_grad():
        logits, reference = on.quantize(design)(images).double(), on.traced.graph(images).double()
    assert got.right.tolist() == (logits.argmax(1) == labels).tolist()
    assert abs(got.loss - float(F.cross_entropy(logits, labels))) <= loss_bound(logits)
    sqnr = float(10 * torch.log10((reference**2).sum() / ((logits - reference) ** 2).sum()))
    # Two sums of squares, each in two orders: 4 n roundings of 2^-53 of their ratio, and ten for the logarithms.
    assert got.sqnr_db == pytest.approx(sqnr, rel=0, abs=10 / log(10) * (4 * logits.numel() + 10) * 2.0**-53)


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


def mixes(on: Bench, count: int) -> list[Design]:
    """Random designs, in pairs that differ in one layer."""
    choose, formats = random.Random(0), known_formats(bits=range(3, 9))
    found: list[Design] = []
    for _ in range(count):
        weights = {layer.name: Quantizer(choose.choice(formats), "channel") for layer in on.workload.weighted}
        sites = {s.name: fitting(on, s.name, Quantizer(choose.choice(formats))) for s in on.workload.sites}
        other = {choose.choice(list(weights)): Quantizer(choose.choice(formats))}
        found += [Design.of(w, sites, hardware=on.workload.hardware) for w in (weights, weights | other)]
    return found


@pytest.mark.parametrize("trace_bytes", [1 << 30, 0], ids=["shared", "alone"])
@pytest.mark.parametrize("name", NETWORKS)
def test_many_designs_at_once_are_each_evaluated(name: str, trace_bytes: int) -> None:
    on = bench(name)
    designs = mixes(on, 3)
    evaluator = Evaluator(on, SPLITS, trace_bytes=trace_bytes)
    found = dict(evaluator.accuracies(designs, "search"))
    assert found == {i: Evaluator(on, SPLITS, trace_bytes=0).accuracy(d, "search") for i, d in enumerate(designs)}
    assert len(evaluator.traces) == 0, "what nobody will read is let go"
    late = uniform(on, "int4", "int6", recipe=(Step("bias_correction"),))
    together = dict(evaluator.accuracies([late, designs[0]], "search"))
    assert together == {0: Evaluator(on, SPLITS).accuracy(late, "search"), 1: found[0]}
    assert (evaluator.traces.found > 0) == (trace_bytes > 0)


def test_a_design_without_an_accuracy_does_not_keep_others_from_theirs() -> None:
    on = bench("mlp")
    fine = uniform(on, "int4", "int6")
    wrong = uniform(on, "int4", "int6", recipe=(Step("bias_correction", scope=("nowhere",)),))
    evaluator = Evaluator(on, SPLITS)
    with pytest.raises(ValueError, match="nowhere") as refusal:
        evaluator.accuracy(wrong, "search")
    found = dict(evaluator.accuracies([wrong, fine], "search"))
    assert str(found[0]) == str(refusal.value)
    assert found[1] == evaluator.accuracy(fine, "search")


def test_recipes_in_turn_share_nothing_that_differs_between_them() -> None:
    """Steps that act on the float network leave other tensors under the same choices."""
    on = bench("cnn")
    recipes = [(), (Step("smooth_quant"),), (Step("magr"),), (Step("smooth_quant"), Step("gptq")), (Step("gptq"),)]
    designs = [uniform(on, "int4:channel", "int4", recipe=recipe) for recipe in recipes]
    evaluator = Evaluator(on, SPLITS)
    found = [evaluator.accuracy(design, "search") for design in (*designs, *designs)]
    alone = [Evaluator(on, SPLITS, trace_bytes=0).accuracy(design, "search") for design in designs]
    assert found == [*alone, *alone]
    assert len({accuracy.loss for accuracy in alone}) == len(recipes)


def test_resnet20_has_the_logits_of_brevitas() -> None:
    """Random mixes of formats on the real network and real images, one after the other, sharing what they can."""
    folder = cifar()
    paths = {"path": folder / "test-3000.npz", "calibration_path": folder / "train-1000.npz"}
    normal = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    spec = DataSpec("archive", calibration=64, search=32, test=64, **paths, **normal)  # type: ignore[arg-type]
    data = load(spec)
    model = load_model(ModelSpec("cifar-resnet20", folder / "resnet20-12fca82f.th"))
    for hardware in (True, False):
        on = Bench.of(model, data.calibration, "resnet20", hardware=hardware)
        evaluator = Evaluator(on, {"search": data.search})
        for design in mixes(on, 1):
            with torch.inference_mode():
                batches = data.search.batches(evaluator.batch)
                logits = torch.cat([on.quantize(design)(images.clone()) for images, _ in batches]).double()
                labels = torch.cat([labels for _, labels in data.search.batches(evaluator.batch)])
            got = evaluator.accuracy(design, "search")
            assert abs(got.loss - float(F.cross_entropy(logits, labels))) <= loss_bound(logits)
            assert got.right.tolist() == (logits.argmax(1) == labels).tolist()
        assert evaluator.traces.found > 0


def test_the_batch_follows_from_the_network() -> None:
    sizes = {name: batch_size(bench(name).workload) for name in NETWORKS}
    assert all(LEAST_IMAGES <= size <= MOST_IMAGES for size in sizes.values())
    assert sizes["mlp"] > sizes["cnn"]


def test_notes_say_what_memory_held_and_let_go() -> None:
    on = bench("cnn")
    small = Evaluator(on, SPLITS, trace_bytes=20_000)
    assert "0 accuracies in 0.0 s; no tensors taken from memory, which held at most 0.0 of 0 MB" in small.notes()
    roomy = Evaluator(on, SPLITS)
    for evaluator in (small, roomy):
        for name in ("int4", "int4", "int8", "e2m1"):
            evaluator.accuracy(uniform(on, "int4:channel", name), "search")
    assert small.traces.evicted > 0
    assert (
        f"let go for lack of room: {small.traces.evicted:,} tensors, 0 weights, 0 networks, 0 predictions"
        in small.notes()
    )
    batches, kept = -(-len(split("search")) // roomy.batch), sum(step.kept for step in on.program.steps)
    # Three different designs, equal in nothing downstream of the first activations; one of them comes twice.
    assert roomy.tensors == 4 * batches * kept
    assert roomy.traces.missed == 3 * batches * kept
    assert roomy.notes().startswith(f"4 accuracies in {roomy.seconds:.1f} s; 25 % of tensors taken from memory")
    assert "let go for lack of room: 0 tensors" in roomy.notes()


def test_networks_that_steps_made_share_one_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwdse.quantize.WEIGHT_BYTES", 1000)
    monkeypatch.setattr("hwdse.quantize.BENCHES", 1)
    on = Bench.of(network("cnn"), split("calibration"), "cnn")
    evaluator = Evaluator(on, SPLITS)
    evaluator.accuracy(uniform(on, "int4:channel", "int8"), "search")
    first = on.memory.weights.evicted
    assert first > 0
    for step in (Step("cross_layer_equalization"), Step("magr")):
        evaluator.accuracy(uniform(on, "int4:channel", "int8", recipe=(step,)), "search")
    assert on.memory.weights.evicted > first
    assert f"{on.memory.weights.evicted} weights, 1 networks" in evaluator.notes()


def test_a_network_after_several_steps_has_weights_of_its_own() -> None:
    """Weights that were quantised between two steps are not those after both."""
    on = Bench.of(network("cnn"), split("calibration"), "cnn")
    recipes = ((Step("cross_layer_equalization"),), (Step("cross_layer_equalization"), Step("magr")))
    for recipe in (*recipes, *recipes[::-1]):
        design = uniform(on, "int4:channel", "int8", recipe=recipe)
        images = split("search").images[:32]
        with torch.inference_mode():
            assert torch.equal(on.shell(design)(images), on.quantize(design)(images.clone()))
