"""Models of transformers: the same logits, linear layers of ours, quantised as Brevitas does it.

Configurations are tiny and weights random, so that no network is needed. Without transformers these tests say that
they are skipped; what is said without it is tested everywhere.
"""

import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from hwdse import huggingface, models
from hwdse.accuracy import Evaluator
from hwdse.cost_model import Run
from hwdse.data import Data, DataSpec, load
from hwdse.export import export
from hwdse.gpu_build import built, write
from hwdse.models import ModelSpec
from hwdse.quantize import Bench
from hwdse.target import gpu
from hwdse.workload import Kind
from tests.hwdse.fake_gpu import runs_on_a_gpu
from tests.hwdse.networks import uniform

TEXT = Path(__file__).parents[2] / "LICENSE"
CONTEXT, VOCABULARY = 16, 300
NAMES = ["llama", "gpt2"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Saved models with a tokenizer: a Llama with grouped heads, a GPT-2 whose head shares the embedding."""
    transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed")
    found = {name: tmp_path_factory.mktemp(name) for name in NAMES}
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        for name, model in _built(transformers).items():
            model.save_pretrained(found[name])
            _tokenizer(transformers).save_pretrained(found[name])
    return found


def _built(transformers: Any) -> dict[str, Any]:
    llama = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    gpt2 = transformers.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=1, n_head=2, n_positions=64, **ends)
    return {"llama": transformers.LlamaForCausalLM(llama), "gpt2": transformers.GPT2LMHeadModel(gpt2)}


def _tokenizer(transformers: Any) -> Any:
    tokenizers: Any = pytest.importorskip("tokenizers")
    bytewise = tokenizers.pre_tokenizers.ByteLevel
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = bytewise(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=bytewise.alphabet(), show_progress=False
    )
    tokenizer.train([str(TEXT)], trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@cache
def data(name: str) -> Data:
    spec = DataSpec("text", TEXT, calibration=16, search=8, test=8, context=CONTEXT)
    return load(spec, models.encoder(name))


@cache
def bench(name: str) -> Bench:
    return Bench.of(models.load(ModelSpec(name)), data(name).calibration, name, hardware=False)


@pytest.mark.parametrize("which", NAMES)
def test_the_graph_has_the_logits_of_the_model(folders: dict[str, Path], which: str) -> None:
    name = f"huggingface:{folders[which]}"
    model = models.load(ModelSpec(name))
    assert isinstance(model, huggingface.CausalLm)
    for count in (2, 5):
        tokens = torch.randint(VOCABULARY, (count, CONTEXT), generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected, found = model(tokens), bench(name).traced.graph(tokens)
        # float32 sums of at most 64 terms in some 20 layers, whose logits are below 2: far below 1e-5
        assert torch.allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("which", "linear"), [("llama", 8), ("gpt2", 5)])
def test_the_layers(folders: dict[str, Path], which: str, linear: int) -> None:
    workload = bench(f"huggingface:{folders[which]}").workload
    names = [layer.name for layer in workload.weighted]
    assert len(names) == linear
    assert names[-1] == "lm_head"
    assert ("model.layers.0.mlp.down_proj" if which == "llama" else "transformer.h.0.mlp.c_proj") in names
    products = [layer for layer in workload.layers if layer.kind is Kind.MATMUL]
    assert [len(layer.inputs) for layer in products] == [2, 2]
    assert {layer.positions for layer in (*products, *workload.weighted)} == {CONTEXT}
    outside = [layer.name for layer in workload.layers if layer.kind is Kind.OTHER]
    assert ("model.layers.0.input_layernorm" if which == "llama" else "transformer.h.0.ln_1") in outside


@pytest.mark.parametrize("which", NAMES)
def test_quantised_as_brevitas_does_it(folders: dict[str, Path], which: str) -> None:
    name = f"huggingface:{folders[which]}"
    on, of = bench(name), Evaluator(bench(name), {"search": data(name).search})
    goal = of.float_accuracy("search")
    ((tokens, _),) = data(name).search.batches(8)
    sqnrs = []
    for bits in ("int8", "e2m1"):
        design = uniform(on, f"{bits}:channel", bits)
        with torch.inference_mode():
            assert torch.equal(on.shell(design)(tokens), on.quantize(design)(tokens.clone()))
        found = of.accuracy(design, "search")
        assert (found.count, found.samples, goal.samples) == (8 * CONTEXT, 8, 8)
        assert found.sqnr_db is not None
        sqnrs.append(found.sqnr_db)
    assert sqnrs[0] > 25 > sqnrs[1]


def test_a_shared_embedding_is_not_quantised_with_the_head(folders: dict[str, Path]) -> None:
    on = bench(f"huggingface:{folders['gpt2']}")
    model = on.quantize(uniform(on, "int3:channel", "int8"))
    graph = on.traced.graph
    assert torch.equal(graph.get_parameter("lm_head.weight"), graph.get_parameter("transformer.wte.weight"))
    assert torch.equal(model.get_parameter("transformer.wte.weight"), graph.get_parameter("transformer.wte.weight"))


def test_the_tokens_are_the_tokenizers(folders: dict[str, Path]) -> None:
    name = f"huggingface:{folders['llama']}"
    tokens = models.encoder(name)(TEXT.read_bytes())
    assert len(tokens) < len(TEXT.read_bytes())
    assert int(tokens.max()) < VOCABULARY
    assert models.encoder("text-lm")(b"abc").tolist() == [97, 98, 99]


def test_refusals(folders: dict[str, Path], tmp_path: Path) -> None:
    name = f"huggingface:{folders['llama']}"
    rule = r"an exported network is quantised layer by layer \(hardware = false\)"
    with pytest.raises(ValueError, match=f"^{rule}, because of expand at 'model.expand'$"):
        Bench.of(models.load(ModelSpec(name)), data(name).calibration, name, hardware=True)
    with pytest.raises(ValueError, match=f"^the weights of '{name}' are its own, without a checkpoint$"):
        models.load(ModelSpec(name, tmp_path / "x.safetensors"))
    (tmp_path / "empty").mkdir()
    for load_it, what in ((lambda n: models.load(ModelSpec(n)), "model"), (models.encoder, "tokenizer of")):
        with pytest.raises(
            ValueError, match=f"^the {what} 'huggingface:{tmp_path}/empty' could not be loaded: [^\n]+$"
        ):
            load_it(f"huggingface:{tmp_path}/empty")


class Branches(torch.nn.Module):
    """A model that asks its tokens what to do."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> torch.Tensor:
        return input_ids if int(input_ids.sum()) > 3 else input_ids + 1


def test_a_model_that_cannot_be_exported() -> None:
    message = "the model 'huggingface:branches' cannot be exported by torch.export: "
    with pytest.raises(ValueError, match=f"^{message}[^\n]+$"):
        huggingface.CausalLm(Branches(), "huggingface:branches").exported(torch.zeros(2, 4, dtype=torch.int64))


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    message = "the model 'huggingface:gpt2' needs transformers: pip install transformers"
    for load_it in (lambda name: models.load(ModelSpec(name)), models.encoder):
        with pytest.raises(ValueError, match=f"^{message}$"):
            load_it("huggingface:gpt2")


@pytest.mark.parametrize("which", NAMES)
def test_an_export_needs_no_transformers(folders: dict[str, Path], which: str, tmp_path: Path) -> None:
    on = bench(f"huggingface:{folders[which]}")
    folder = export(on, uniform(on, "int4:channel", "int8"), tmp_path / "model", title=which)  # compares the logits
    assert "transformers" not in (folder / "model.py").read_text().partition("class ")[2]


@pytest.mark.parametrize("which", NAMES)
def test_a_build_runs_on_a_gpu(
    folders: dict[str, Path], which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`torch.export` names the device on which it has looked at a model."""
    name = f"huggingface:{folders[which]}"
    on, given = bench(name), next(data(name).test.batches(4))
    of = built(on, uniform(on, "int4:channel", "int8"), gpu("h200"), Run(), ("study", 7))
    assert write(of, on, given, tmp_path / "built").images == 4
    runs_on_a_gpu(tmp_path / "built", given[0], monkeypatch)
