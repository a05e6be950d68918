"""Environments without FINN, and processes that do not answer as they should."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from hwdse.finn.environment import READY, STARTED, Environment, digest

# The part of a worker that is as it should be: a test adds what `answers` writes, and for which request.
FAKE = """
import json, os, sys, time
requests, answers = os.fdopen(int(sys.argv[1])), os.fdopen(int(sys.argv[2]), "w", buffering=1)
print("this is no part of the protocol", flush=True)
for line in requests:
    number, text = line.split(" ", 1)
    good = {"answer": {"finn": "1", "qonnx": "2", "onnx": "3"}}
    ANSWER
"""


def empty_environment(folder: Path) -> Environment:
    """One that says that it is ready, with this very Python and nothing of FINN."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / STARTED).touch()
    (folder / READY).write_text(digest())
    return Environment(folder)


def script(folder: Path, answer: str) -> Path:
    """The fake worker with one statement for each request."""
    path = folder / "fake.py"
    path.write_text(FAKE.replace("ANSWER", answer))
    return path


@cache
def real_environment() -> Environment:
    """FINN's own, which `make test` makes; the test is skipped where it is absent."""
    environment = Environment.default()
    if not environment.ready:
        pytest.skip(f"FINN+ is {environment.state}")
    return environment


ATTRIBUTES = """
import json, sys
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
names, paths = json.loads(sys.argv[1]), sys.argv[2:]
def found(path):
    ops = {node.name: getCustomOp(node) for node in ModelWrapper(path).graph.node}
    having = {name: op for name, op in ops.items() if set(names) <= set(op.get_nodeattr_types())}
    return {name: " ".join(str(op.get_nodeattr(one)) for one in names) for name, op in having.items()}
print(json.dumps([found(path) for path in paths]))
"""


def attributes(names: tuple[str, ...], *models: str) -> list[dict[str, str]]:
    """These attributes of the nodes that have them all, for each of FINN's files, read by FINN's own Python."""
    command = [str(real_environment().python), "-W", "ignore", "-c", ATTRIBUTES, json.dumps(names), *models]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found: list[dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def silent(what: str) -> None:
    """Says nothing."""


def alive(process: int) -> bool:
    """Whether the process of this number runs: it may have ended without anybody having asked for its status."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
