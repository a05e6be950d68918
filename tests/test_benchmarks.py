"""Every program in `benchmarks/` can print its result as one JSON object, for whoever keeps the numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hwdse.finn import Environment

ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))

each = pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)


def output(path: Path, *options: str) -> str:
    """What the benchmark prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(path), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_some() -> None:
    assert BENCHMARKS


@each
def test_it_has_json(path: Path) -> None:
    assert "--json" in output(path, "--help")


def test_without_a_gpu_it_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    path = ROOT / "benchmarks" / "gpu.py"
    assert output(path) == "nothing is measured here: there is no GPU\n"
    assert json.loads(output(path, "--json")) == {"benchmark": "gpu", "ratios": {}}


@each
@pytest.mark.slow
def test_its_json_is_a_name_and_ratios(path: Path) -> None:
    if path.stem == "finn" and not Environment.default().ready:
        pytest.skip(f"FINN+ is {Environment.default().state}")
    if path.stem == "gpu" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    found = json.loads(output(path, "--json"))
    assert found.keys() == {"benchmark", "ratios"}
    assert found["benchmark"] == path.stem
    assert found["ratios"]
    assert all(type(ratio) in (int, float) for ratio in found["ratios"].values())
