"""A language model on bytes: causal, traced, quantised as Brevitas does it, and judged by the sequence."""

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from hwdse.accuracy import Evaluator
from hwdse.data import Data, DataSpec, load
from hwdse.design import Quantizer, Step
from hwdse.evaluation import paired_loss, perplexity_ratio
from hwdse.export import export
from hwdse.models import ModelSpec
from hwdse.models import load as load_model
from hwdse.pricing import Question, asked
from hwdse.quantize import Bench
from hwdse.racing import Race
from hwdse.workload import Kind
from hwdse.zoo import build
from hwdse.zoo.text_lm import TextLm
from tests.hwdse.networks import uniform
from tests.hwdse.real_data import shakespeare

CONTEXT = 8
TEXT = Path(__file__).parents[2] / "LICENSE"  # any text is data


@cache
def data() -> Data:
    """Sequences of 8 bytes of a file of this repository."""
    return load(DataSpec("text", TEXT, calibration=24, search=64, test=64, context=CONTEXT))


@cache
def network() -> nn.Module:
    """A small language model that a few steps have taught which bytes are frequent."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = TextLm(width=32, heads=2, blocks=2, context=CONTEXT)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    train = load(DataSpec("text", TEXT, calibration=1000, context=CONTEXT)).calibration
    for _ in range(3):
        for tokens, following in train.batches(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(tokens).flatten(0, 1), following.flatten()).backward()
            optimizer.step()
    return model.eval()


@cache
def bench(hardware: bool) -> Bench:
    return Bench.of(network(), data().calibration, "text", hardware=hardware)


def evaluator(hardware: bool = False) -> Evaluator:
    return Evaluator(bench(hardware), {"search": data().search, "test": data().test})


def test_no_byte_sees_those_after_it() -> None:
    torch.manual_seed(0)
    model = build("text-lm").eval()
    with torch.no_grad():
        nn.init.normal_(model.get_parameter("position"))
        tokens = torch.randint(256, (2, 128))
        changed = tokens.clone()
        changed[:, 70:] = (changed[:, 70:] + 1) % 256
        before, after = model(tokens), model(changed)
    assert before.shape == (2, 128, 256)
    assert torch.equal(before[:, :70], after[:, :70])
    assert (before[:, 70:] != after[:, 70:]).flatten(2).any(2).all()
    assert sum(parameter.numel() for parameter in model.parameters()) == 875_520


@pytest.mark.parametrize("hardware", [True, False])
def test_the_work_of_text_lm(hardware: bool) -> None:
    workload = asked(Question("text-lm", "u250", hardware=hardware), QUANTIZERS).workload
    kinds = {kind: [layer.name for layer in workload.layers if layer.kind is kind] for kind in Kind}
    assert kinds[Kind.EMBEDDING] == ["embedding"]
    assert len(kinds[Kind.LINEAR]) == 4 * 6 + 1
    assert len(kinds[Kind.MATMUL]) == len(kinds[Kind.SOFTMAX]) * 2 == 8
    assert workload.layer("embedding").macs == 0
    head = workload.layer("head")
    assert (head.rows, head.dot, head.positions) == (256, 128, 128)
    # 12 squares of the width a block and the head, for 128 positions; two products of the tokens with each other.
    assert workload.macs == 128 * (4 * 12 * 128**2 + 256 * 128) + 4 * 2 * 128 * 128 * 128


QUANTIZERS = (Quantizer.parse("int8:channel"), Quantizer.parse("int8"))


@pytest.mark.parametrize("hardware", [True, False])
@pytest.mark.parametrize("pair", ["int8 int8", "int4 int4", "e2m1 e2m1", "e3m2 int6"])
def test_a_shell_has_the_logits_of_brevitas(pair: str, hardware: bool) -> None:
    on = bench(hardware)
    weights, activations = pair.split()
    design = uniform(on, f"{weights}:channel", activations)
    ((tokens, following),) = data().search.batches(64)
    with torch.inference_mode():
        logits = on.quantize(design)(tokens.clone())
        assert torch.equal(on.shell(design)(tokens), logits)
    found = evaluator(hardware).accuracy(design, "search")
    assert (found.count, found.samples) == (64 * CONTEXT, 64)
    expected = nn.functional.cross_entropy(logits.double().flatten(0, 1), following.flatten())
    # Batches of 64 and of as many as the evaluator takes may round float32 sums differently: 1e-5 of a nat is far more.
    assert found.loss == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("hardware", [True, False])
def test_eight_bits_are_close_and_three_are_worse(hardware: bool) -> None:
    on, of = bench(hardware), evaluator(hardware)
    goal = of.float_accuracy("search")
    found = {bits: of.accuracy(uniform(on, f"{bits}:channel", bits), "search") for bits in ("int8", "int3", "e1m1")}
    assert abs(found["int8"].loss - goal.loss) < 0.02
    for bits in ("int3", "e1m1"):
        assert paired_loss(found[bits], goal).interval.low > 0
        assert paired_loss(found[bits], found["int8"]).interval.low > 0


def test_many_designs_at_once_and_float_logits_that_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    on, of = bench(False), evaluator()
    designs = [uniform(on, f"{bits}:channel", bits) for bits in ("int8", "int4", "e2m1", "e4m3", "int3")]
    alone = [of.accuracy(design, "search") for design in designs]
    assert dict(evaluator().accuracies(designs, "search")) == dict(enumerate(alone))
    monkeypatch.setattr("hwdse.accuracy.FLOAT_BYTES", 0)
    forgetful = evaluator()
    assert [forgetful.accuracy(design, "search") for design in designs] == alone
    assert not forgetful._float_logits


@pytest.mark.parametrize("metric", ["loss", "top1", "sqnr", "perplexity"])
def test_races_are_run_by_the_sequence(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwdse.accuracy.MOST_IMAGES", 8)
    whole = load(DataSpec("text", TEXT, calibration=24, context=CONTEXT)).search
    on, of = bench(False), Evaluator(bench(False), {"search": whole})
    good, bad = uniform(on, "int8:channel", "int8"), uniform(on, "int2:channel", "int2")
    race = Race("loss" if metric == "perplexity" else metric, of.penalties(good, "search", metric), 0.9)
    assert len(race.rival) == len(of.splits["search"])
    lost = of.raced(bad, "search", race)
    assert lost.samples < len(race.rival)
    assert lost.count == lost.samples * CONTEXT
    assert of.raced(good, "search", race).samples == len(race.rival)


@pytest.mark.parametrize("name", ["gptq", "smooth_quant", "rotation", "bias_correction", "svd_quant"])
def test_techniques_work_on_sequences(name: str) -> None:
    on, of = bench(False), evaluator()
    plain, treated = (uniform(on, "int4:channel", "int8", recipe=recipe) for recipe in ((), (Step(name),)))
    found, before = of.accuracy(treated, "search"), of.accuracy(plain, "search")
    assert found != before
    assert found.perplexity < 2 * before.perplexity


@pytest.mark.parametrize("hardware", [True, False])
def test_the_shipped_network_on_its_own_text(hardware: bool) -> None:
    text = load(DataSpec("text", shakespeare(), calibration=32, search=32))
    on = Bench.of(load_model(ModelSpec("text-lm")), text.calibration, "text-lm", hardware=hardware)
    of = Evaluator(on, {"search": text.search})
    goal = of.float_accuracy("search")
    found = {bits: of.accuracy(uniform(on, f"{bits}:channel", bits), "search") for bits in ("int8", "int4", "e2m1")}
    ratios = {bits: perplexity_ratio(accuracy, goal) for bits, accuracy in found.items()}
    assert goal.perplexity < 6
    assert ratios["int8"].value < 1.02
    assert min(ratios["int4"].interval.low, ratios["e2m1"].interval.low) > 1.02


@pytest.mark.parametrize("hardware", [True, False])
def test_the_exported_model_has_its_mask_written_out(hardware: bool, tmp_path: Path) -> None:
    on = bench(hardware)
    folder = export(on, uniform(on, "int4:channel", "int8"), tmp_path / "model", title="text")  # compares the logits
    source = (folder / "model.py").read_text()
    assert "masked_fill" in source
    assert "hwdse" not in source.partition("class ")[2]
