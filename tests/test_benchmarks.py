"""Every program in `benchmarks/` can print its result as one JSON object, for whoever keeps the numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwdse.finn import Environment

ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))

each = pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)


def output(path: Path, option: str) -> str:
    """What the benchmark prints with one option."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(path), option]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_some() -> None:
    assert BENCHMARKS


@each
def test_it_has_json(path: Path) -> None:
    assert "--json" in output(path, "--help")


@each
@pytest.mark.slow
def test_its_json_is_a_name_and_ratios(path: Path) -> None:
    if path.stem == "finn" and not Environment.default().ready:
        pytest.skip(f"FINN+ is {Environment.default().state}")
    found = json.loads(output(path, "--json"))
    assert found.keys() == {"benchmark", "ratios"}
    assert found["benchmark"] == path.stem
    assert found["ratios"]
    assert all(type(ratio) in (int, float) for ratio in found["ratios"].values())
