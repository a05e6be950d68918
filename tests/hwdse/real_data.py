"""Real images and a real network that are not part of the repository."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def cifar() -> Path:
    """The folder with CIFAR-10 archives and a ResNet-20, or the test that asks is skipped."""
    folder = Path(os.environ.get("HWDSE_DATA", ROOT.parent / "shared" / "data")) / "cifar10-jpeg"
    if not folder.is_dir():
        pytest.skip("no folder cifar10-jpeg in HWDSE_DATA or in ../shared/data")
    return folder


def shakespeare() -> Path:
    """The file of tiny Shakespeare, or the test that asks is skipped."""
    file = Path(os.environ.get("HWDSE_DATA", ROOT.parent / "shared" / "data")) / "text" / "shakespeare.txt"
    if not file.is_file():
        pytest.skip("no text/shakespeare.txt in HWDSE_DATA or in ../shared/data")
    return file
