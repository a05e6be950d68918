"""The command line: what it prints, and that bad input is one sentence with exit code 2 that changes nothing."""

import json
import re
from pathlib import Path

import pytest

from hwdse.cli import main
from hwdse.target import devices, gpus
from tests.hwdse.finn.fakes import real_environment

STUDY = """
question = "Does it run?"
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int4", "int8", "e2m1"]
[target]
device = "ecp5_25f"
clock_mhz = 100
frames_per_second = 1000
[[objectives]]
metric = "top1"
[[objectives]]
metric = "lut"
[search]
sampler = "grid"
"""


def ran(study: str, folder: Path) -> Path:
    """The folder of a real run of `study`, below `folder`."""
    (folder / "small.toml").write_text(study)
    assert main(["run", str(folder / "small.toml"), "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small real run."""
    return ran(STUDY, tmp_path_factory.mktemp("run"))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    """The rows that a command prints with --json."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["rows"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence of a command that ends with exit code 2."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert len(lines) == 1, output.err
    return lines[0].removeprefix("hwdse: ")


def test_a_run_prints_its_front_and_writes_its_report(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed(capsys, "show", str(finished))
    assert isinstance(rows, list)
    assert sum("best" in row["role"] for row in rows) == 1
    for name in ("report.html", "trials.csv", "pareto.csv", "study.toml", "history.sqlite", "evaluations.sqlite"):
        assert (finished / name).is_file()


def test_running_it_again_changes_nothing(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {f.name: f.read_bytes() for f in finished.iterdir()}
    rows = printed(capsys, "run", str(finished.parent / "small.toml"), "--out", str(finished))
    assert rows == printed(capsys, "show", str(finished))
    assert {f.name: f.read_bytes() for f in finished.iterdir()} == before


def test_show_one_design_layer_by_layer(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed(capsys, "show", str(finished), "baseline")
    assert isinstance(rows, list)
    assert [row["layer"] for row in rows] == ["fc1", "fc2", "fc3", "total"]
    assert rows[0]["weights"] == "int8:channel"
    assert sum(row["LUT"] for row in rows[:-1]) == rows[-1]["LUT"]


def test_export_to_qonnx(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real_environment()
    file = tmp_path / "m.onnx"
    rows = printed(capsys, "export", str(finished), "baseline", "--to", "qonnx", "--out", str(file), "--top1")
    grids = [{"layer": f"fc{i}", "weights": "INT8 narrow up to 127"} for i in (1, 2, 3)]
    assert isinstance(rows, list)
    assert [{key: row[key] for key in ("layer", "weights")} for row in rows] == grids
    assert file.stat().st_size > 0
    again = ("export", str(finished), "baseline", "--to", "qonnx", "--out")
    assert refused(capsys, *again, str(file)) == f"a QONNX file is a new one, unlike {file}"
    assert refused(capsys, *again, str(tmp_path / "m")) == "a QONNX file is called NAME.onnx, not m"
    none = tmp_path / "none" / "m.onnx"
    rule = f"a QONNX file goes into a folder that exists, not {none.parent}"
    assert refused(capsys, *again, str(none)) == rule
    rule = "an export is compared on at least one image, not 0"
    assert refused(capsys, *again, str(tmp_path / "n.onnx"), "--images", "0") == rule


def test_an_export_that_needs_finn_says_how_to_get_it(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWDSE_FINN", str(tmp_path / "none"))
    command = ("export", str(finished), "best", "--to", "qonnx", "--out", str(tmp_path / "m.onnx"))
    assert refused(capsys, *command) == "FINN+ is absent: run `hwdse setup finn`"
    command = ("export", str(finished), "best", "--to", "onnx", "--out", str(tmp_path / "m.onnx"))
    assert refused(capsys, *command) == "no export to 'onnx'; known: brevitas, qonnx"


def test_export_gives_a_model_and_a_design_that_can_be_priced(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(finished), "baseline", "--out", str(tmp_path / "m")]) == 0
    capsys.readouterr()
    options = ("--device", "ecp5_25f", "--design", str(tmp_path / "m" / "design.toml"))
    assert printed(capsys, "cost", "digits-mlp", *options) == printed(capsys, "show", str(finished), "baseline")


def test_a_price_says_what_it_is_worth(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["cost", "digits-vit", "--device", "ecp5_25f", "--fps", "20000", "--json"]
    assert main(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["calibration"].startswith("calibrated on ecp5: ")
    assert "blocks.0.attention.softmax" in answer["outside"]
    assert answer["fits"] is False
    assert main(arguments[:-1]) == 0
    text = capsys.readouterr().out
    assert "Predicted, calibrated on ecp5: " in text
    assert "DOES NOT FIT" in text
    assert "The total is without blocks.0.norm1, blocks.0.attention.softmax" in text


@pytest.mark.parametrize("command", ["formats", "models", "devices", "techniques", "doctor"])
def test_lists_are_tables_and_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed(capsys, command)
    assert isinstance(rows, list)
    assert rows
    assert main([command]) == 0
    assert str(next(iter(rows[0]))) in capsys.readouterr().out


MODELS = "cifar-resnet20, digits-cnn, digits-mlp, digits-resnet, digits-vit, finn-cnv, finn-tfc, text-lm"
DEVICES = ", ".join((*devices(), *gpus()))
COST = ("cost", "digits-mlp", "--device", "ecp5_25f")
REFUSED = {
    "command": (("fly",), "No such command 'fly'."),
    "argument": (("cost",), "Missing argument 'MODEL'."),
    "workers": (
        ("run", "digits", "--out", "/nowhere/x", "--workers", "0"),
        "a study needs at least 1 worker, not 0",
    ),
    "executor": (
        ("run", "digits", "--out", "/nowhere/x", "--executor", "dask"),
        "no executor 'dask'; known: processes, ray",
    ),
    "address": (
        ("run", "digits", "--out", "/nowhere/x", "--ray-address", "head:6379"),
        "an address is that of a Ray cluster, which executor 'processes' is not",
    ),
    "format": (
        (*COST, "--weights", "int9"),
        "an integer format has 2 to 8 bits, not 9",
    ),
    "no format": (
        (*COST, "--weights", "bf16"),
        "no format 'bf16'; write e.g. 'int4', 'uint8', 'e2m1', 'ue2m2', 'e4m3fn', 'e5m2ieee' or 'float16'",
    ),
    "group": (
        (*COST, "--weights", "int4:group32"),
        "MX groups have no FPGA price yet, but layer 'fc1' has 'int4:group32'",
    ),
    "device": (("cost", "digits-mlp", "--device", "ecp6"), f"no device 'ecp6'; known: {DEVICES}"),
    "rate": ((*COST, "--fps", "0"), "a rate is positive and finite, not 0 frames per second"),
    "clock": ((*COST, "--clock", "nan"), "a rate is positive and finite, not nan MHz"),
    "run": (("show", "nowhere"), "nowhere is no run folder: it has no study.toml"),
    "cost model": (
        (*COST, "--cost-model", "guess"),
        "no cost model 'guess'; known: dataflow, finn, finn-corrected, gpu",
    ),
    "accumulator": ((*COST, "--accumulator", "wide"), "accumulator is tight or paper, not 'wide'"),
    "shape": (
        ("cost", "torch.nn:Identity", "--device", "ecp5_25f"),
        "the input shape of network 'torch.nn:Identity' is not known; give --shape, e.g. 3,32,32",
    ),
    "width": (("formats", "--bits", "9"), "a format has 2 to 8 bits, not 9"),
    "network": (
        ("train", "digits-rnn"),
        "no network 'digits-rnn' to train; known: digits-cnn, digits-mlp, digits-resnet, digits-vit, text-lm",
    ),
    "model": (
        ("cost", "digits-rnn", "--device", "ecp5_25f"),
        f"no model 'digits-rnn'; known: {MODELS}, torchvision:NAME, huggingface:NAME, package.module:callable",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, sentence = REFUSED[case]
    assert refused(capsys, *arguments) == sentence


def test_bad_design_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "design.toml"
    command = (*COST, "--design", str(file))
    assert refused(capsys, *command) == f"the design file {file} cannot be read: No such file or directory"
    file.write_bytes(b"\xff\xfe\x00")
    assert refused(capsys, *command) == f"the design file {file} is no text"
    file.write_text('[weights]\nfc1 = "int4"\n[layers]\n')
    known = "hardware, recipe, weights, activations, folding"
    assert refused(capsys, *command) == f"no design key 'layers'; known: {known}"
    file.write_text('[weights]\nfc1 = "int4"\nfc9 = "int4"\n')
    assert refused(capsys, *command) == "no layer 'fc9'; known: fc1, fc2, fc3"


def test_designs_of_a_run_are_named(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("show", str(finished), "fastest"), ("export", str(finished), "fastest", "--out", str(tmp_path))):
        rule = "give best, knee, baseline, a trial number or the beginning of one digest"
        assert refused(capsys, *command) == f"no design is called 'fastest'; {rule}"
    (tmp_path / "mine").touch()
    command = ("export", str(finished), "best", "--out", str(tmp_path))
    assert refused(capsys, *command) == f"the folder of an export is new or empty, unlike {tmp_path}"
    assert [f.name for f in tmp_path.iterdir()] == ["mine"]
    unwritable = ("export", str(finished), "best", "--out", "/proc/model")
    assert refused(capsys, *unwritable) == "the export folder /proc/model cannot be made: No such file or directory"


def test_front_rows_are_numbers_for_programs(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = printed(capsys, "show", str(finished))
    assert isinstance(rows, list)
    for row in rows:
        assert 0 <= row["top1"] <= 1
        assert isinstance(row["lut"], float | int)
        assert row["difference_low"] <= row["test_difference"] <= row["difference_high"]


def test_bad_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "s.toml", tmp_path / "out"

    def sentence(old: str, new: str, *options: str) -> str:
        file.write_text(STUDY.replace(old, new))
        return refused(capsys, "run", str(file), "--out", str(out), *options)

    keys = "name, question, seed, model, data, formats, techniques, target, objectives, constraints, search, budget"
    assert sentence("[search]", "[serach]") == f"{file}: no key 'serach'; known: {keys}, choice"
    assert sentence("clock_mhz = 100", 'clock_mhz = "fast"') == f"{file}: 'target.clock_mhz' is a number, not 'fast'"
    assert sentence("ecp5_25f", "ecp6") == f"{file}: target.device: no device 'ecp6'; known: {DEVICES}"
    assert sentence('"int4"', '"int9"') == f"{file}: formats.weights: an integer format has 2 to 8 bits, not 9"
    networks = f"{MODELS}, torchvision:NAME, huggingface:NAME, package.module:callable"
    assert sentence('"digits-mlp"', '"digits-rnn"') == f"no model 'digits-rnn'; known: {networks}"
    missing = '"digits-mlp"\ncheckpoint = "w.safetensors"'
    assert sentence('"digits-mlp"', missing) == f"no checkpoint {tmp_path / 'w.safetensors'}"
    folder = 'name = "folder"\npath = "images"\nsearch = 10'
    assert sentence('name = "digits"', folder) == f"no image folder {tmp_path / 'images'}"
    assert not out.exists()
    step = '[techniques]\nrecipe = ["bias_correction(x=1)"]\n[target]'
    assert sentence("[target]", step) == "no setting 'x' of technique 'bias_correction'; known: none"
    assert not out.exists()
    nowhere = f"sqlite:///{tmp_path}/nowhere/history.sqlite"
    reason = "(sqlite3.OperationalError) unable to open database file"
    assert sentence("?", "?", "--storage", nowhere) == f"the storage {nowhere} cannot be used: {reason}"


def test_the_folder_of_another_study_is_left_alone(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.toml"
    before = {f.name: f.read_bytes() for f in finished.iterdir()}
    file.write_text(STUDY.replace("int4", "int5"))
    said = refused(capsys, "run", str(file), "--out", str(finished))
    assert re.sub(r"[0-9a-f]{16}", "DIGEST", said) == (
        f"{finished} is the run folder of another study, 'small' (DIGEST), not of 'other' (DIGEST); "
        "choose another folder"
    )
    assert {f.name: f.read_bytes() for f in finished.iterdir()} == before


def test_a_corrupt_checkpoint_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "w.pt").write_bytes(b"not a checkpoint")
    (tmp_path / "s.toml").write_text(STUDY.replace('"digits-mlp"', '"digits-mlp"\ncheckpoint = "w.pt"'))
    sentence = refused(capsys, "run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"))
    assert sentence == f"a checkpoint is intact and holds no code to run, unlike {tmp_path / 'w.pt'}"
