"""Targets of a study: an FPGA or a GPU with keys of its own, or several side by side; which metrics are for which."""

import re
from pathlib import Path

import pytest

from hwdse.cost_model import Run
from hwdse.cost_models.gpu import Gpu
from hwdse.result import Constraint, Objective
from hwdse.study import Study, load
from hwdse.study.targets import FpgaSection, GpuSection
from hwdse.target import devices, gpus
from hwdse.where import OnFpga, OnGpu

FPGA = """
[[target]]
device = "ecp5_25f"
clock_mhz = 100
frames_per_second = 1000
"""
GPU = """
[[target]]
device = "h200"
batch = 64
"""
HEAD = """
question = "Where?"
[model]
name = "digits-mlp"
[data]
name = "digits"
[formats]
weights = ["int8", "int4"]
"""
REST = """
[search]
sampler = "grid"
"""
FOR_FPGAS = "top1, loss, sqnr, lut, ff, dsp, bram, utilization, latency, throughput, mhz, energy, weight_bits"
FOR_GPUS = "top1, loss, sqnr, latency, throughput, weight_bytes, weight_bits"
FOR_BOTH = f"{FOR_FPGAS}, weight_bytes"


def metrics(*written: str, section: str = "objectives") -> str:
    """The sections for metrics written `lut` or, of one device, `latency@h200`."""
    found = []
    for one in written:
        name, _, device = one.partition("@")
        bound = "high = 1\n" * (section == "constraints")
        found.append(f'[[{section}]]\nmetric = "{name}"\n{bound}' + f'device = "{device}"\n' * bool(device))
    return "".join(found)


def read(folder: Path, *parts: str, head: str = HEAD) -> Study:
    """The study of which `parts` are the middle."""
    path = folder / "x.toml"
    path.write_text("".join((head, *parts, REST)))
    return load(path)


def refused(folder: Path, *parts: str, head: str = HEAD) -> str:
    """Why it is refused."""
    with pytest.raises(ValueError, match=rf"^{re.escape(str(folder))}/x\.toml: ") as error:
        read(folder, *parts, head=head)
    return str(error.value).removeprefix(f"{folder}/x.toml: ")


def test_a_gpu_is_a_target(tmp_path: Path) -> None:
    study = read(tmp_path, GPU.replace("[[target]]", "[target]"), metrics("top1", "latency", "weight_bytes"))
    target = study.target
    assert isinstance(target, GpuSection)
    assert (target.device, target.batch, target.tokens, target.cost_model) == ("h200", 64, "all", "gpu")
    assert target.where == OnGpu(Gpu(), target.gpu, Run(64, "all"))
    assert study.parts == study.by_network == study.by_target == (study,)


def test_a_target_that_is_a_list_of_one_is_that_one(tmp_path: Path) -> None:
    listed = read(tmp_path, FPGA, metrics("top1", "lut"))
    alone = read(tmp_path, FPGA.replace("[[target]]", "[target]"), metrics("top1", "lut"))
    assert listed == alone
    assert "[target]" in listed.text
    assert isinstance(alone.target, FpgaSection)
    assert isinstance(alone.target.where, OnFpga)


def test_the_digests_of_studies_of_an_fpga_are_those_of_runs_that_there_are() -> None:
    digests = {"digits": "335872d42f68fc58", "paper": "048e124f09a7ac05", "resnet20": "9b3d62c811f08893"}
    assert {name: load(name).digest for name in digests} == digests


def test_side_by_side(tmp_path: Path) -> None:
    wanted = metrics("top1", "lut", "weight_bytes", "latency@h200") + metrics("utilization", section="constraints")
    study = read(tmp_path, FPGA, GPU, wanted)
    assert study.labels == ("ecp5_25f", "h200")
    on_fpga, on_gpu = study.parts
    assert (on_fpga.name, on_gpu.name) == ("x-ecp5_25f", "x-h200")
    top1 = Objective("top1", "maximize")
    assert on_fpga.objective_values == (top1, Objective("lut", "minimize"))
    assert on_gpu.objective_values == (top1, Objective("weight_bytes", "minimize"), Objective("latency", "minimize"))
    assert on_fpga.constraint_values == (Constraint("utilization", None, 1.0),)
    assert on_gpu.constraint_values == ()
    with pytest.raises(ValueError, match=r"^study 'x' has 2 targets, each in a part of its own$"):
        _ = study.target


def test_a_part_is_the_study_of_its_target_alone(tmp_path: Path) -> None:
    several = read(tmp_path, FPGA, GPU, metrics("top1", "lut", "latency"))
    alone = read(tmp_path, FPGA, metrics("top1", "lut", "latency"))
    assert several.parts[0].digest == alone.digest
    (tmp_path / "part.toml").write_text(several.parts[0].text)
    assert load(tmp_path / "part.toml") == several.parts[0]
    (tmp_path / "whole.toml").write_text(several.text)
    assert load(tmp_path / "whole.toml") == several


def test_every_network_has_every_target(tmp_path: Path) -> None:
    networks = HEAD.replace('"digits-mlp"', '["digits-mlp", "digits-cnn"]')
    study = read(tmp_path, FPGA, GPU, metrics("top1", "latency"), head=networks)
    names = ["x-digits-mlp-ecp5_25f", "x-digits-mlp-h200", "x-digits-cnn-ecp5_25f", "x-digits-cnn-h200"]
    assert [part.name for part in study.parts] == names
    assert [one.name for one in study.by_network] == ["x-digits-mlp", "x-digits-cnn"]


def test_targets_on_one_device_are_told_apart(tmp_path: Path) -> None:
    alone = GPU.replace("64", "1")
    study = read(tmp_path, GPU, alone, FPGA, metrics("top1", "latency"))
    assert study.labels == ("h200-batch64", "h200-batch1", "ecp5_25f")
    assert refused(tmp_path, GPU, GPU, metrics("top1", "latency")) == (
        "target: every target is there once, not h200-batch64, h200-batch64"
    )
    assert read(tmp_path, FPGA, FPGA.replace("1000", "10"), metrics("top1", "lut")).labels == (
        "ecp5_25f-100mhz-1000fps",
        "ecp5_25f-100mhz-10fps",
    )


def test_groups_are_for_gpus(tmp_path: Path) -> None:
    groups = HEAD + 'granularity = ["channel", "group64"]\n'
    study = read(tmp_path, GPU, metrics("top1", "latency"), head=groups)
    assert [q.name for q in study.formats.weight_quantizers][:2] == ["int8:channel", "int8:group64"]
    for targets in ((FPGA,), (GPU, FPGA)):
        assert refused(tmp_path, *targets, metrics("top1", "latency"), head=groups) == (
            "formats.granularity: groups that share a scale have no price on an FPGA yet, so 'group64' is refused"
        )
    other = groups.replace("64", "16")
    assert refused(tmp_path, GPU, metrics("top1", "latency"), head=other) == (
        "formats.granularity: a GPU takes group32, group64, group128, not 'group16'"
    )


def test_decoding_is_of_text(tmp_path: Path) -> None:
    one = GPU + 'tokens = "one"\n'
    assert refused(tmp_path, one, metrics("top1", "latency")) == (
        "target.tokens: 'one' is of a text, one token after the other, not of data 'digits'; known: all"
    )
    text = HEAD.replace('"digits"', '"text"\npath = "x.txt"')
    study = read(tmp_path, one, metrics("perplexity", "latency"), head=text)
    assert isinstance(study.target, GpuSection)
    assert study.target.run == Run(64, "one")


DEVICES = ", ".join((*devices(), *gpus()))
KEYS = "device, batch, tokens, cost_model, cost_settings"
BAD = [
    (GPU + "clock_mhz = 100\n", "target: 'clock_mhz' is no key of a GPU, which 'h200' is; known: " + KEYS),
    (GPU + "frames_per_second = 9\n",
     "target: 'frames_per_second' is no key of a GPU, which 'h200' is; known: " + KEYS),
    (GPU + 'folding = "greedy"\n', "target: 'folding' is no key of a GPU, which 'h200' is; known: " + KEYS),
    (GPU + "sms = 3\n", f"no key 'target.sms'; known: {KEYS}"),
    (GPU.replace("64", "0"), "'target.batch' is above 0, not 0"),
    (GPU + 'tokens = "some"\n', "'target.tokens' is one of 'all' or 'one', not 'some'"),
    (GPU + 'cost_model = "dataflow"\n', "target: cost model 'dataflow' does not price GPUs; known: gpu"),
    (GPU + "cost_settings = { fast = true }\n", "target: no setting 'fast' of cost model 'gpu'; known: none"),
    (
        FPGA + "batch = 2\n",
        "target: 'batch' is no key of an FPGA, which 'ecp5_25f' is; known: device, clock_mhz, frames_per_second, "
        "folding, cost_model, cost_settings",
    ),
    (GPU.replace("h200", "h900"), f"target.device: no device 'h900'; known: {DEVICES}"),
    (FPGA.replace("ecp5_25f", "ecp5"), f"target.device: no device 'ecp5'; known: {DEVICES}"),
    (GPU.replace('"h200"', "200"), "'target.device' is a text, not 200"),
    (GPU.replace('device = "h200"\n', ""), "key 'target.device' is missing"),
    (FPGA + 'cost_model = "gpu"\n',
     "target: cost model 'gpu' does not price FPGAs; known: dataflow, finn, finn-corrected"),
    (FPGA.replace("clock_mhz = 100\n", ""), "key 'target.clock_mhz' is missing"),
    (FPGA + "sms = 3\n",
     "no key 'target.sms'; known: device, clock_mhz, frames_per_second, folding, cost_model, cost_settings"),
    (FPGA + GPU + "batches = 3\n", f"no key 'target.batches'; known: {KEYS}"),
    ("target = 3\n", "'target' is a table, not 3"),
    ("target = []\n", "'target' is a list of at least 1, not a list"),
]  # fmt: skip


@pytest.mark.parametrize(("targets", "sentence"), BAD, ids=[sentence[:60] for _, sentence in BAD])
def test_a_bad_target_is_one_sentence(tmp_path: Path, targets: str, sentence: str) -> None:
    head = targets + HEAD if targets.startswith("target") else HEAD + targets
    assert refused(tmp_path, metrics("top1", "latency"), head=head) == sentence


BAD_METRICS = [
    (GPU, metrics("top1", "lut"), f"objectives.metric: 'lut' is nothing that the GPU 'h200' has; known: {FOR_GPUS}"),
    (GPU, metrics("top1", "latency") + metrics("energy", section="constraints"),
     f"constraints.metric: 'energy' is nothing that the GPU 'h200' has; known: {FOR_GPUS}"),
    (FPGA, metrics("top1", "weight_bytes"),
     f"objectives.metric: 'weight_bytes' is nothing that the FPGA 'ecp5_25f' has; known: {FOR_FPGAS}"),
    (FPGA + GPU, metrics("top1", "latency", "lut@h200"),
     f"objectives.metric: 'lut' is nothing that the GPU 'h200' has; known: {FOR_GPUS}"),
    (FPGA + GPU, metrics("top1", "latency@h100"), "objectives.device: no target 'h100'; known: ecp5_25f, h200"),
    (GPU, metrics("perplexity", "latency"),
     f"objectives.metric: 'perplexity' is of text, and not of data 'digits'; known: {FOR_GPUS}"),
    (FPGA + GPU, metrics("perplexity", "latency"),
     f"objectives.metric: 'perplexity' is of text, and not of data 'digits'; known: {FOR_BOTH}"),
    (FPGA + GPU, metrics("top1", "lut"), "objectives: each target weighs two or more, and 'h200' has only top1"),
    (FPGA + GPU, metrics("lut", "weight_bytes"),
     "objectives: each target weighs two or more, and 'ecp5_25f' has only lut"),
    (FPGA + GPU, metrics("top1@h200", "weight_bytes"),
     "objectives: each target weighs two or more, and 'ecp5_25f' has none"),
    (FPGA + GPU, metrics("top1", "latency", "latency@h200"),
     "objectives: every metric is there once, not top1, latency, latency"),
]  # fmt: skip


@pytest.mark.parametrize(("targets", "wanted", "sentence"), BAD_METRICS, ids=[row[2][:70] for row in BAD_METRICS])
def test_a_metric_is_for_a_target_that_has_it(tmp_path: Path, targets: str, wanted: str, sentence: str) -> None:
    assert refused(tmp_path, targets, wanted) == sentence


def test_what_is_for_fpgas_says_what_there_is_of_a_gpu(tmp_path: Path) -> None:
    study = read(tmp_path, GPU, metrics("top1", "latency"))
    of_it = "of it there are show, report, export and build --flow triton"
    message = f"study 'x' is of h200, a GPU, and this is for FPGAs; {of_it}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        _ = study.on_fpga


@pytest.mark.parametrize("setting", ["target.batch=4", "target.device=h200"])
def test_one_of_several_targets_is_not_set(tmp_path: Path, setting: str) -> None:
    read(tmp_path, FPGA, GPU, metrics("top1", "latency"))
    message = f"the key 'target' of a setting is no table, so {setting.partition('=')[0]!r} cannot be set"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(tmp_path / "x.toml", [setting])
