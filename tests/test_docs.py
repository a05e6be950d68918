"""Every file, command and program in `docs/` is written and run as a reader would, page by page."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwdse.finn import Environment

ROOT = Path(__file__).parents[1]
PAGES = sorted(page.name for page in (ROOT / "docs").glob("*.md") if "\n```" in page.read_text())
OF_FINN = ("finn.md", "finn-cost.md")
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file it is (if it names one), its text."""

    language: str
    file: str | None
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(m[1], m[2], m[3]) for m in BLOCK.finditer((ROOT / "docs" / page).read_text())]


def checkout(folder: Path) -> dict[str, str]:
    """A copy of the project to write files into, and the environment that prefers it."""
    for name in ("hwdse", "cost_models", "hls_templates", "kernels", "studies"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def run(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Writes or runs one block."""
    if block.file is not None:
        (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / block.file).write_text(block.text)
        return
    programs = [["-c", block.text]] if block.language == "python" else []
    if block.language == "console":
        lines = [line.removeprefix("$ hwdse ") for line in block.text.splitlines() if line.startswith("$ ")]
        programs = [["-m", "hwdse.cli", *line.split()] for line in lines]
    for program in programs:
        command = [sys.executable, "-W", "ignore", *program]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{program}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: str, tmp_path: Path) -> None:
    if page in OF_FINN and not Environment.default().ready:
        pytest.skip(f"FINN+ is {Environment.default().state}")
    found = blocks(page)
    assert any(block.language in ("python", "console") for block in found)
    environment = checkout(tmp_path)
    for block in found:
        run(block, tmp_path, environment)
