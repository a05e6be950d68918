"""The command line on a GPU: prices, runs, and what is refused there because it is for FPGAs, in one sentence."""

import json
import re
from pathlib import Path

import pytest

from hwdse.cli import main
from hwdse.dispatch import best, choices
from hwdse.formats import parse
from hwdse.gemm import Gemm
from hwdse.run import load
from hwdse.target import devices, gpu, gpus

STUDY = """
question = "Does it run?"
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int4", "int8", "e3m4"]
granularity = ["channel", "group64"]
[target]
device = "h200"
batch = 8
[[objectives]]
metric = "top1"
[[objectives]]
metric = "weight_bytes"
[[objectives]]
metric = "latency"
[search]
sampler = "grid"
"""
KERNELS = ("kernels", "h200", "16x8192x8192", "--weights", "int4:group128")
COST = ("cost", "digits-mlp", "--device", "h200")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small real run."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "small.toml").write_text(STUDY)
    assert main(["run", str(folder / "small.toml"), "--out", str(folder / "out")]) == 0
    return folder / "out"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """What a command prints with --json."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence of a command that ends with exit code 2."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("hwdse: ")


def test_a_price_has_a_kernel_for_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, *COST, "--batch", "64", "--weights", "int4:channel", "--activations", "int8")
    rows = found["rows"]
    assert isinstance(rows, list)
    *layers, total = rows
    assert [row["layer"] for row in layers] == ["fc1", "fc2", "fc3"]
    assert {row["m"] for row in layers} == {64}
    assert [(row["n"], row["k"]) for row in layers] == [(64, 64), (64, 64), (10, 64)]
    assert all(row["kernel"] and row["bound by"] for row in layers)
    assert {(row["weights"], row["inputs"]) for row in layers} == {("int4:channel", "int8")}
    assert total["seconds"] == pytest.approx(sum(row["seconds"] for row in layers))
    assert total["weight_bytes"] == sum(row["weight_bytes"] for row in layers) == found["weight_bytes"]
    assert (found["device"], found["batch"], found["fits"]) == ("h200", 64, True)
    codes, scales, biases = (64 * 64 + 64 * 64 + 10 * 64) // 2, 4 * 138, 4 * 138
    assert found["padding"] == pytest.approx(1 - (codes + scales + biases) / total["weight_bytes"])
    assert str(found["calibration"]).startswith("uncalibrated: ")


def test_a_text_is_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    text = ("cost", "text-lm", "--layerwise", "--device", "h200", "--batch", "4")
    whole, one = (answer(capsys, *text, "--tokens", tokens)["rows"] for tokens in ("all", "one"))
    assert isinstance(whole, list)
    assert isinstance(one, list)
    assert {row["m"] for row in whole[:-1]} == {4 * 128}
    assert {row["m"] for row in one[:-1]} == {4}


def test_a_batch_of_one_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, *COST) == answer(capsys, *COST, "--batch", "1")
    assert answer(capsys, *COST) != answer(capsys, *COST, "--batch", "64")


def test_a_price_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["cost", "digits-cnn", "--device", "h200", "--batch", "16"]) == 0
    text = capsys.readouterr().out
    assert "h200 with batches of 16: " in text
    assert re.search(r" kB of the 141 GB for weights \(whole tiles; \d\d % is padding\); ", text)
    # Of 16 rows of 9 weights of 8 bits: a word for each row and plane, and a scale and a bias for each row.
    kept = "; their weights, 640 B, are in the memory all the same"
    assert f"\nThe total is without depthwise{kept}.\nPredicted, uncalibrated: " in text


def test_a_run_shows_its_front_and_its_kernels(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    front = answer(capsys, "show", str(finished))
    assert (front["device"], front["batch"]) == ("h200", 8)
    assert str(front["note"]).startswith("h200 with batches of 8. Predicted, uncalibrated: ")
    best = answer(capsys, "show", str(finished), "best")
    assert best["weight_bytes"] in [row["weight_bytes"] for row in front["rows"]]  # type: ignore[attr-defined]
    assert main(["show", str(finished), "best"]) == 0


def test_groups_are_searched(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = load(finished)
    weights = {trial.evaluation.design.weights[0][1].name: trial.number for trial in result.trials}
    assert {"int8:channel", "int4:channel", "e3m4:channel", "e3m4:group64"} <= set(weights)
    assert len(result.trials) + len(result.failures) == 6
    rows = answer(capsys, "show", str(finished), str(weights["e3m4:group64"]))["rows"]
    assert isinstance(rows, list)
    assert {row["weights"] for row in rows[:-1]} == {"e3m4:group64"}


def test_a_design_is_exported(finished: Path, tmp_path: Path) -> None:
    assert main(["export", str(finished), "best", "--out", str(tmp_path / "m")]) == 0
    assert (tmp_path / "m" / "design.toml").is_file()


COMMANDS = {
    "fold": ("fold", "RUN", "best"),
    "fold of FINN": ("fold", "RUN", "best", "--rules", "finn"),
    "synth": ("synth", "RUN", "best"),
    "build": ("build", "RUN", "best", "--out", "OUT"),
    "build for Vitis": ("build", "RUN", "best", "--out", "OUT", "--flow", "vitis"),
    "build with FINN": ("build", "RUN", "best", "--out", "OUT", "--flow", "finn", "--board", "Pynq-Z1"),
    "estimate": ("estimate", "RUN", "best"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_for_fpgas_says_what_there_is(
    command: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": str(finished), "OUT": str(tmp_path / "out")}
    of_it = "of it there are show, report, export and build --flow triton"
    sentence = f"study 'small' is of h200, a GPU, and this is for FPGAs; {of_it}"
    assert refused(capsys, *(places.get(word, word) for word in COMMANDS[command])) == sentence
    assert not (tmp_path / "out").exists()


ALL = ", ".join((*devices(), *gpus()))
REFUSED = {
    "rate": ((*COST, "--fps", "3"), "'h200' is a GPU, so that it goes without --fps; known: --batch, --tokens"),
    "clock": ((*COST, "--clock", "0"), "'h200' is a GPU, so that it goes without --clock; known: --batch, --tokens"),
    "batch": (
        ("cost", "digits-mlp", "--device", "ecp5_25f", "--batch", "3"),
        "'ecp5_25f' is an FPGA, so that it goes without --batch; known: --fps, --clock",
    ),
    "tokens": ((*COST, "--tokens", "two"), "tokens are all or one, not 'two'"),
    "tokens of images": (
        (*COST, "--tokens", "one"),
        "tokens: 'one' is of a text, one token after the other, which 'digits-mlp' does not read; known: all",
    ),
    "tokens of images that attention sees": (
        ("cost", "digits-vit", "--device", "h200", "--tokens", "one"),
        "tokens: 'one' is of a text, one token after the other, which 'digits-vit' does not read; known: all",
    ),
    "no frame": ((*COST, "--batch", "0"), "a batch has at least 1 frame, not 0"),
    "terms": ((*COST, "--explain"), "a layer on 'h200' is one kernel without terms, so that it goes without --explain"),
    "setting": ((*COST, "--multiplier", "lut"), "no setting 'multiplier' of cost model 'gpu'; known: none"),
    "model": (
        (*COST, "--cost-model", "dataflow"),
        "cost model 'dataflow' does not price GPUs; known: gpu",
    ),
    "model of GPUs": (
        ("cost", "digits-mlp", "--device", "ecp5_25f", "--cost-model", "gpu"),
        "cost model 'gpu' does not price FPGAs; known: dataflow, finn, finn-corrected",
    ),
    "device": (("cost", "digits-mlp", "--device", "h2"), f"no device 'h2'; known: {ALL}"),
    "folding": (
        ("fold", "digits-mlp", "--device", "h200"),
        f"'h200' is a GPU, and an FPGA is wanted; known: {', '.join(devices())}",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, sentence = REFUSED[case]
    assert refused(capsys, *arguments) == sentence


def test_the_gpus_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    rows = answer(capsys, "devices", "--gpus")["rows"]
    assert isinstance(rows, list)
    assert [row["name"] for row in rows] == list(gpus())
    assert all(row["source"] for row in rows)
    assert f"GPUs, with --gpus: {', '.join(gpus())}." in str(answer(capsys, "devices")["note"])


def test_all_kernels_of_a_product_are_listed_the_chosen_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*KERNELS, "--most", "1000", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    product = Gemm(16, 8192, 8192, parse("int4"), parse("float16"), 128, wide_scales=True)
    known = choices(product, gpu("h200"))
    assert {row["kernel"] for row in said["rows"]} == {one.name for one in known}
    assert said["kernels"] == len(known) > 5
    first, *others = said["rows"]
    chosen = best(product, gpu("h200"))
    assert (first["kernel"], first["seconds"]) == (chosen.choice.name, chosen.seconds)
    assert [row["seconds"] for row in others] == sorted(row["seconds"] for row in others)
    assert first["over bfloat16"] == pytest.approx(said["bfloat16"] / first["seconds"])


def test_a_bias_is_part_of_a_product(capsys: pytest.CaptureFixture[str]) -> None:
    """For which the sums of a library need a pass."""
    first = []
    for more in ((), ("--bias",)):
        assert main(["kernels", "h200", "4096x4096x4096", *more, "--json"]) == 0
        first.append(json.loads(capsys.readouterr().out)["rows"][0])
    assert [row["kernel"].split()[0] for row in first] == ["unpack", "a16"]
    assert first[0]["seconds"] < first[1]["seconds"]


def test_a_few_kernels_are_shown_with_what_the_times_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*KERNELS, "--most", "2"]) == 0
    told = capsys.readouterr().out
    assert len(re.findall(r"^ *(?:a16|gemv|unpack) float16", told, re.M)) == 2
    assert "2 of " in told
    assert "uncalibrated: nothing was measured on h200." in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("h300", "1x2x3"), "no GPU 'h300'; known: a100, h100, h200, l40s, rtx4090"),
        (("h200", "1x2"), "a product is written MxNxK, such as 16x8192x8192, not '1x2'"),
        (
            ("h200", "1x2x3", "--activations", "int8:channel"),
            "on a GPU activations share a scale per tensor, unlike int8:channel",
        ),
        (("h200", "0x2x3"), "a product has at least 1 of m, not 0"),
        (("h200", "1x2x3", "--most", "0"), "a table shows at least 1 kernel, not 0"),
        (("h200", "1x2x3", "--weights", "int4:group48"), "a group has 32, 64, 128 inputs, not 48; the nearest is 32"),
        (
            ("h200", "1x64x64", "--weights", "binary"),
            "packed weights have 2 to 8 bits, not those of binary; the nearest is int2",
        ),
    ],
)
def test_products_that_no_kernel_computes(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kernels", *words]) == 2
    assert message in capsys.readouterr().err
