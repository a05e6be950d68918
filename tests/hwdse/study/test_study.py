"""Study files: what they mean, and that a bad one is one sentence with file, key, rule and known names."""

import re
from pathlib import Path

import pytest

from hwdse import plugins
from hwdse.cost_model import FpgaCostModel
from hwdse.cost_models.dataflow import Dataflow
from hwdse.design import Step
from hwdse.metrics import METRICS as KNOWN_METRICS
from hwdse.result import Constraint, Objective
from hwdse.study import Study, load, shipped
from hwdse.study.patterns import expand_all
from hwdse.study.sections import Both, Formats
from hwdse.target import devices, gpus

TEXT = """
question = "Which formats?"
seed = 3
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int4", "int8", "e2m1"]
[techniques]
recipe = ["bias_correction"]
[target]
device = "ecp5_85f"
clock_mhz = 100
frames_per_second = 1000
[[objectives]]
metric = "top1"
[[objectives]]
metric = "lut"
[[constraints]]
metric = "bram"
high = 10
[search]
sampler = "tpe"
[budget]
trials = 20
"""
DEVICES = ", ".join((*devices(), *gpus()))
SECTIONS = (
    "name, question, seed, model, data, formats, techniques, target, objectives, constraints, search, budget, choice"
)
METRICS = ", ".join(KNOWN_METRICS)


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    """`TEXT` with some of its text replaced, in a file."""
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "x.toml"
    path.write_text(text)
    return path


def read(folder: Path, *changes: tuple[str, str]) -> Study:
    return load(written(folder, *changes))


def test_what_a_file_says(tmp_path: Path) -> None:
    study = read(tmp_path)
    assert (study.name, study.question, study.seed, study.trials) == ("x", "Which formats?", 3, 20)
    assert study.objective_values == (Objective("top1", "maximize"), Objective("lut", "minimize"))
    assert study.constraint_values == (Constraint("bram", None, 10.0),)
    assert study.techniques.steps == (Step("bias_correction"),)
    assert (study.on_fpga.fpga.name, study.target.model) == ("ecp5_85f", Dataflow())
    assert [w.name for w in study.formats.weight_quantizers] == ["int4:channel", "int8:channel", "e2m1:channel"]
    assert [a.name for a in study.formats.activation_quantizers] == ["int4", "int8", "e2m1"]


def test_the_baseline_comes_first(tmp_path: Path) -> None:
    assert [w.name for w, _ in read(tmp_path).uniform] == ["int8:channel", "int4:channel", "e2m1:channel"]
    alone = read(tmp_path, ('sampler = "tpe"', 'sampler = "tpe"\nuniform = false'))
    assert [w.name for w, _ in alone.uniform] == ["int8:channel"]


def test_without_a_sampler_the_uniform_designs_are_all(tmp_path: Path) -> None:
    assert read(tmp_path, ('"tpe"', '"grid"')).trials == 3


def test_options_of_quantizers(tmp_path: Path) -> None:
    options = """weights = ["int4", "int8", "e2m1"]
        activations = ["int8"]
        pairs = "all"
        granularity = ["tensor", "channel"]
        scale = "po2"
        calibration = { weights = "mse", activations = "percentile99.9" }
        narrow = false"""
    formats = read(tmp_path, ('weights = ["int4", "int8", "e2m1"]', options)).formats
    assert [w.name for w in formats.weight_quantizers] == [
        "int4:po2:mse:full", "int4:channel:po2:mse:full",
        "int8:po2:mse:full", "int8:channel:po2:mse:full",
        "e2m1:po2:mse", "e2m1:channel:po2:mse",
    ]  # fmt: skip
    assert [a.name for a in formats.activation_quantizers] == ["int8:po2:percentile99.9:full"]
    assert len(formats.uniform) == 6


def test_first_and_last(tmp_path: Path) -> None:
    ends = """
        first = "int8"
        last = ["int8", { weights = "e3m4", activations = "int8" }]"""
    formats = read(tmp_path, ("[techniques]", f"{ends}\n[techniques]")).formats
    assert [[q.name for q in formats.pair(both)] for both in formats.first] == [["int8:channel", "int8"]]
    assert [[q.name for q in formats.pair(both)] for both in formats.last] == [
        ["int8:channel", "int8"],
        ["e3m4:channel", "int8"],
    ]


def test_weights_alone() -> None:
    """No option of the section is one of a cast."""
    formats = Formats(
        weights=("int3..8", "minifloat3..8"),
        activations=("float16", "int8"),
        pairs=("activations_at_least_weights",),
        scale=Both(weights="float", activations="po2"),
        calibration=Both(weights="mse", activations="percentile99.9"),
        narrow=False,
        last=(Both(weights="int8", activations="bfloat16"),),
    )
    assert [a.name for a in formats.activation_quantizers] == ["float16", "int8:po2:percentile99.9:full"]
    assert {w.format for w, a in formats.uniform if a.name == "float16"} == set(expand_all(formats.weights))
    assert [q.name for q in formats.pair(formats.last[0])] == ["int8:channel:mse:full", "bfloat16"]
    assert [fmt.name for fmt in formats.halves] == ["float16", "bfloat16"]


def test_settings_of_the_cost_model(tmp_path: Path) -> None:
    settings = 'cost_settings = { accumulator = "paper", multiplier = "dsp" }\n[[objectives]]'
    assert read(tmp_path, ("[[objectives]]", settings)).target.model == Dataflow("paper", "dsp")


def test_the_best_folding_needs_a_cost_model_that_offers_a_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folding = "frames_per_second = 1000", 'frames_per_second = 1000\nfolding = "optimal"'
    assert read(tmp_path).on_fpga.folding == "greedy"
    assert read(tmp_path, folding).on_fpga.folding == "optimal"
    assert read(tmp_path, folding).digest != read(tmp_path).digest
    monkeypatch.setattr(plugins, "named", lambda *where: Dataflow)
    message = "target: folding 'optimal' is among what 'dataflow' offers, not cost model 'other'"
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/x.toml: {message}')}$"):
        read(tmp_path, (folding[0], folding[1] + '\ncost_model = "other"'))


def test_energy_needs_a_cost_model_that_states_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective, constraint = ('metric = "lut"', 'metric = "energy"'), ('metric = "bram"', 'metric = "energy"')
    assert read(tmp_path, objective).objective_values[1] == Objective("energy", "minimize")
    monkeypatch.setattr(Dataflow, "stated", FpgaCostModel.stated)
    for change in (objective, constraint):
        message = "metric 'energy' needs a cost model that states one, unlike 'dataflow'"
        with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path / 'x.toml'))}: {message}$"):
            read(tmp_path, change)


@pytest.mark.parametrize("device", ["ice40_up5k", "vck190", "xczu3eg"])
def test_a_predicted_clock_needs_a_device_that_has_one(tmp_path: Path, device: str) -> None:
    objective, constraint = ('metric = "lut"', 'metric = "mhz"'), ('metric = "bram"\nhigh', 'metric = "mhz"\nlow')
    timed = "ecp5_25f, ecp5_85f, gw1nr9, ice40_hx8k, lifcl40"
    rule = f"metric 'mhz' needs a predicted clock, which '{device}' does not have; known: {timed}"
    for change in (objective, constraint):
        assert "mhz" in read(tmp_path, change).metrics  # of the same speed grade as a device that was measured
        with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path / 'x.toml'))}: {rule}$"):
            read(tmp_path, change, ("ecp5_85f", device))


def test_the_text_is_the_study(tmp_path: Path) -> None:
    for number, name in enumerate((*shipped(), str(written(tmp_path)))):
        study = load(name)
        copy = tmp_path / f"{number}.toml"
        copy.write_text(study.text)
        assert load(copy) == study


def test_the_digest_is_of_what_decides_the_trials(tmp_path: Path) -> None:
    digest = read(tmp_path).digest
    assert re.fullmatch("[0-9a-f]{16}", digest)
    for same in (
        ("trials = 20", "trials = 30"),
        ("Which formats?", "Why?"),
        ("[budget]", "[choice]\nmax_loss = 0.02\n[budget]"),
        ("[budget]", "sensitivity = true\n[budget]"),
        ('name = "digits-mlp"', 'name = "digits-mlp"\ncheckpoint = "elsewhere"'),
    ):
        assert read(tmp_path, same).digest == digest
    for other in (
        ("seed = 3", "seed = 4"),
        ('"e2m1"]', '"e2m2"]'),
        ("high = 10", "high = 11"),
        ("[budget]", '[choice]\nbaseline = "int4"\n[budget]'),
    ):
        assert read(tmp_path, other).digest != digest


def test_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    study = read(tmp_path, ('name = "digits"', 'name = "archive"\npath = "images.npz"'))
    assert study.data.path == str(tmp_path.resolve() / "images.npz")


def test_settings_replace_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["budget.trials=50", "seed=7", "data.name=archive", "data.path=here.npz", 'target.device="u250"']
    study = load(written(tmp_path), settings)
    assert (study.budget.trials, study.seed, study.target.device) == (50, 7, "u250")
    assert (study.data.name, study.data.path) == ("archive", str(tmp_path.resolve() / "here.npz"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed", r"^a setting is written key=value, e.g. 'budget.trials=50', not 'seed'$"),
        ("seed.x=1", r"^the key 'seed' of a setting is no table, so 'seed.x' cannot be set$"),
        ("seed=x", r"^{path}: 'seed' is a whole number, not 'x'$"),
        ("model.nmae=x", r"^{path}: no key 'model.nmae'; known: name, checkpoint, hardware$"),
    ],
)
def test_a_bad_setting(tmp_path: Path, setting: str, message: str) -> None:
    path = written(tmp_path)
    with pytest.raises(ValueError, match=message.replace("{path}", re.escape(str(path)))):
        load(path, [setting])


def test_a_study_of_several_networks_has_parts(tmp_path: Path) -> None:
    study = read(tmp_path, ('"digits-mlp"', '["digits-mlp", "torchvision:resnet18"]'))
    assert [(p.name, p.model.name) for p in study.parts] == [
        ("x-digits-mlp", ("digits-mlp",)),
        ("x-torchvision-resnet18", ("torchvision:resnet18",)),
    ]
    assert read(tmp_path).parts == (read(tmp_path),)


def test_shipped_studies_are_found_by_name() -> None:
    assert shipped() == ("digits", "paper", "resnet20", "side-by-side", "text-lm")
    assert load("digits").name == "digits"
    assert len(load("digits").uniform) == 33
    assert len(load("paper").uniform) == 2 * (266 + 21)  # two granularities, the pairs of the root paper


SEARCH = "sampler, uniform, choice, racing, sensitivity"  # the keys of this section
BAD = [  # what is replaced, by what, and the sentence
    ('question = "Which formats?"', "", "key 'question' is missing"),
    ("[model]", "[modle]", f"no key 'modle'; known: {SECTIONS}"),
    ("seed = 3", "sede = 3", f"no key 'sede'; known: {SECTIONS}"),
    ('device = "ecp5_85f"', "", "key 'target.device' is missing"),
    ('sampler = "tpe"', "uniform = true", "key 'search.sampler' is missing"),
    ('sampler = "tpe"', 'sampelr = "tpe"', "no key 'search.sampelr'; known: " + SEARCH),
    ('sampler = "tpe"', 'sampler = "tpe"\nsampelr = 3', "no key 'search.sampelr'; known: " + SEARCH),
    ('metric = "lut"', 'metric = "lut"\nweight = 3', "no key 'objectives.weight'; known: metric, direction, device"),
    ("seed = 3", 'seed = "3"', "'seed' is a whole number, not '3'"),
    ("seed = 3", "seed = true", "'seed' is a whole number, not true"),
    ("seed = 3", "seed = -1", "'seed' is at least 0, not -1"),
    ("question = \"Which formats?\"", "question = 3", "'question' is a text, not 3"),
    ("clock_mhz = 100", 'clock_mhz = "fast"', "'target.clock_mhz' is a number, not 'fast'"),
    ("clock_mhz = 100", "clock_mhz = 0", "'target.clock_mhz' is above 0, not 0"),
    ("clock_mhz = 100", "clock_mhz = inf", "'target.clock_mhz' is a finite number, not inf"),
    ('name = "digits-mlp"', 'name = "digits-mlp"\nhardware = 1', "'model.hardware' is true or false, not 1"),
    ('weights = ["int4", "int8", "e2m1"]', "weights = 4", "'formats.weights' is a list, not 4"),
    ('weights = ["int4", "int8", "e2m1"]', "weights = []", "'formats.weights' is a list of at least 1, not a list"),
    ("[search]", "[[search]]", "'search' is a table, not a list"),
    ("[[objectives]]\nmetric = \"top1\"\n[[objectives]]", "[objectives]", "'objectives' is a list, not a table"),
    ('sampler = "tpe"', 'sampler = "gp"',
     "'search.sampler' is one of 'grid', 'random', 'tpe', 'nsga2', 'allocate' or 'hybrid', not 'gp'"),
    ('"lut"\n[[constraints]]\nmetric = "bram"\nhigh = 10\n[search]\nsampler = "tpe"',
     '"loss"\n[search]\nsampler = "hybrid"',
     "search.sampler: 'hybrid' weighs one accuracy (top1, loss, sqnr, perplexity) against costs, not top1 and loss"),
    ('"ecp5_85f"', '"ecp6"', f"target.device: no device 'ecp6'; known: {DEVICES}"),
    ('metric = "lut"', 'metric = "luts"', f"objectives.metric: no metric 'luts'; known: {METRICS}"),
    ('metric = "bram"', 'metric = "brams"', f"constraints.metric: no metric 'brams'; known: {METRICS}"),
    ("high = 10", "", "constraints: a constraint has 'low', 'high' or both, and that of 'bram' has neither"),
    ('metric = "lut"', 'metric = "top1"', "objectives: every metric is there once, not top1, top1"),
    ('metric = "lut"', 'metric = "lut"\ndirection = "down"',
     "'objectives.direction' is one of 'maximize' or 'minimize', not 'down'"),
    ('"int4"', '"int9"', "formats.weights: an integer format has 2 to 8 bits, not 9"),
    ('"int4"', '"fp4"',
     "formats.weights: no format 'fp4'; "
     "write e.g. 'int4', 'uint8', 'e2m1', 'ue2m2', 'e4m3fn', 'e5m2ieee' or 'float16'"),
    ("[techniques]", 'granularity = "group32"\n[techniques]',
     "formats.granularity: groups that share a scale have no price on an FPGA yet, so 'group32' is refused"),
    ("[techniques]", 'granularity = "row"\n[techniques]',
     "formats: a quantizer's granularity is tensor, channel or group<n>, not 'row'"),
    ("[techniques]", 'calibration = "max"\n[techniques]',
     "formats: a quantizer's calibration is absmax, mse or percentile<p>, not 'max'"),
    ("[techniques]", 'calibration = { weights = "mse" }\n[techniques]',
     "key 'formats.calibration.activations' is missing"),
    ('"int4"', '"float16"', "formats.weights: float16 is a format of activations, not of weights"),
    ("[techniques]", 'last = "bfloat16"\n[techniques]',
     "formats.last: bfloat16 is a format of activations, not of weights"),
    ("[techniques]", 'activations = ["int8", "float16"]\npairs = "all"\n[techniques]',
     "formats.activations: activations in float16 are for GPUs, and target.device 'ecp5_85f' is an FPGA"),
    ("[techniques]", 'first = { weights = "int8", activations = "bfloat16" }\n[techniques]',
     "formats.activations: activations in bfloat16 are for GPUs, and target.device 'ecp5_85f' is an FPGA"),
    ("[techniques]", 'first = "int3..8"\n[techniques]', "formats.first: one format stands here, not 'int3..8'"),
    ("[techniques]", 'pairs = "some"\n[techniques]', "'formats.pairs' is one of 'same', 'equal_bits', "
     "'activations_at_least_weights', 'same_kind' or 'all', not 'some'"),
    ("[techniques]", 'activations = ["int5"]\n[techniques]',
     "formats: no weight format and activation format are a pair by same"),
    ('["bias_correction"]', '["magic"]',
     f"techniques.recipe: no technique 'magic'; known: {', '.join(plugins.names('hwdse.techniques'))}"),
    ('["bias_correction"]', '["magic("]',
     "techniques.recipe: a step is written 'technique(setting=value) @ layers', not 'magic('"),
    ("frames_per_second = 1000", 'frames_per_second = 1000\nfolding = "best"',
     "'target.folding' is one of 'greedy' or 'optimal', not 'best'"),
    ("frames_per_second = 1000", 'frames_per_second = 1000\ncost_model = "guess"',
     f"target: no cost model 'guess'; known: {', '.join(plugins.names('hwdse.cost_models'))}"),
    ("frames_per_second = 1000", "frames_per_second = 1000\ncost_settings = { width = 3 }",
     "target: no setting 'width' of cost model 'dataflow'; known: accumulator, multiplier"),
    ("frames_per_second = 1000", 'frames_per_second = 1000\ncost_settings = { accumulator = "wide" }',
     "target: accumulator is tight or paper, not 'wide'"),
    ("frames_per_second = 1000", "frames_per_second = 1000\ncost_settings = { accumulator = [3] }",
     "target.cost_settings.accumulator: a setting is a number, text or bool, not (3,)"),
    ("trials = 20", "trials = 2", "budget.trials: at least the 3 uniform designs, not 2"),
    ("trials = 20", "", "budget: the sampler has no end without 'trials' or 'minutes'"),
    ('sampler = "tpe"', 'sampler = "grid"\nuniform = false',
     "search: without uniform designs it needs a sampler, not 'grid'"),
    ("[budget]", '[choice]\nbaseline = "int6"\n[budget]',
     "choice.baseline: it is one of the uniform designs; known: int4, int8, e2m1"),
    ("[budget]", "[choice]\nmax_loss = 3\n[budget]", "'choice.max_loss' is at most 1, not 3"),
    ('"digits-mlp"', '["digits-mlp", "digits-cnn"]\ncheckpoint = "x"',
     "model.checkpoint: the weights of one network, but model.name has several"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "sentence"), BAD, ids=[sentence[:60] for _, _, sentence in BAD])
def test_a_bad_study_is_one_sentence(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/x.toml: {sentence}')}$"):
        read(tmp_path, (old, new))


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("question = ")
    with pytest.raises(ValueError, match=rf"^{path}: cannot be read as TOML: Invalid value \(at end of document\)$"):
        load(path)
    path.write_bytes(b"\xff")
    reason = "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
    with pytest.raises(ValueError, match=rf"^{path}: cannot be read as TOML: {reason}$"):
        load(path)


def test_a_study_that_is_not_there() -> None:
    known = "digits, paper, resnet20, side-by-side, text-lm"
    message = rf"^no study 'nothing.toml'; give the path of a TOML file or one of {known}$"
    with pytest.raises(ValueError, match=message):
        load("nothing.toml")


ON_A_GPU = (
    ('device = "ecp5_85f"\nclock_mhz = 100\nframes_per_second = 1000', 'device = "h200"'),
    ('metric = "lut"\n[[constraints]]\nmetric = "bram"\nhigh = 10', 'metric = "weight_bits"'),
)
WEIGHTS_ALONE = (
    (
        'weights = ["int4", "int8", "e2m1"]',
        'weights = ["int3..8", "minifloat3..8"]\nactivations = "float16"\npairs = "all"',
    ),
    ("[search]", '[choice]\nbaseline = { weights = "int8", activations = "float16" }\n[search]'),
    ("trials = 20", "trials = 40"),
)


def test_a_gpu_takes_weights_alone(tmp_path: Path) -> None:
    study = read(tmp_path, *ON_A_GPU, *WEIGHTS_ALONE)
    assert {a.name for _, a in study.uniform} == {"float16"}
    assert len(study.uniform) == 6 + 27
    assert study.baseline[0].name == "int8:channel"
    (tmp_path / "again.toml").write_text(study.text)
    assert load(tmp_path / "again.toml") == study


def test_a_baseline_of_weights_alone_is_one_of_the_pairs(tmp_path: Path) -> None:
    rule = "choice.baseline: it is one of the uniform designs; known: int4 with bfloat16, e2m1 with bfloat16"
    formats = 'weights = ["int4", "e2m1"]\nactivations = "bfloat16"\npairs = "all"'
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path / 'x.toml'))}: {re.escape(rule)}$"):
        read(tmp_path, *ON_A_GPU, ('weights = ["int4", "int8", "e2m1"]', formats))
