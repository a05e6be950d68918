"""What the proofs share: programs of one run alone, and the log of which `docs/verification.py` makes its table."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that begins empty, so that the log says what everything takes."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def log(record_property: Callable[[str, object], None]) -> Iterator[Callable[..., None]]:
    """`log("products by ...", pairs=3, modules=5, compared=1000)`; the processor's seconds are added."""
    before = _seconds()

    def write(what: str, **counts: int) -> None:
        record_property("what", what)
        for name, count in counts.items():
            record_property(name, count)

    yield write
    record_property("seconds", f"{_seconds() - before:.2f}")


def _seconds() -> float:
    """Of the processor, for this process and those that it has waited for."""
    return sum(os.times()[:4])
