"""`import hwdse` and its core are fast: nothing heavy is loaded until something heavy is asked for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"brevitas", "jinja2", "optuna", "pandas", "plotly", "pydantic", "scipy", "sklearn", "torch", "triton"}
CORE = ("formats", "workload", "design", "target", "cost", "cost_model", "evaluation", "metrics", "pareto", "result")


@pytest.mark.parametrize("statement", ["import hwdse", "import " + ", ".join(f"hwdse.{name}" for name in CORE)])
def test_nothing_heavy_is_loaded(statement: str) -> None:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60, cwd=ROOT)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "hwdse" in loaded
    assert HEAVY & loaded == set()
