"""The campaign goes on where it was stopped, says what failed, and gives the numbers of the table again."""

from pathlib import Path
from shutil import copy

import pytest

from hwdse.calibration.campaign import Progress
from hwdse.calibration.command import DATA
from hwdse.calibration.results import TOOLS
from hwdse.finn.messages import Hello, Versions
from hwdse.finn.process import Worker
from hwdse.finn_fits import TABLE
from hwdse.finn_rtl import campaign, sample, windows
from hwdse.finn_rtl.plans import Unit
from hwdse.flows.yosys import Yosys
from hwdse.measurements import read
from tests.hwdse.finn.fakes import real_environment

ROWS = {(row.device, row.module, row.parameters): row for row in read(DATA / TABLE)}
DWC = Unit("xczu7ev", "finn_dwc", (("IN", 8), ("OUT", 32)))


def silent(progress: Progress) -> None:
    """Says nothing."""


def measured(units: tuple[Unit, ...], folder: Path) -> Progress:
    """A campaign of `units` into `folder`."""
    return campaign.measure(units, real_environment(), folder, folder / "cache", 1, silent)


def begun(folder: Path) -> None:
    """Puts the project's table into `folder`."""
    for name in (TABLE, TOOLS):
        copy(DATA / name, folder)


def test_what_is_measured_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(tmp_path)
    monkeypatch.setattr(Yosys, "programs", lambda self: {})  # a run would fail
    done = measured(sample.units(), tmp_path)
    assert (done.done, done.total, done.failed) == (len(ROWS), len(ROWS), ())
    assert (tmp_path / TABLE).read_text() == (DATA / TABLE).read_text()


def test_what_the_sample_does_not_have_is_dropped(tmp_path: Path) -> None:
    begun(tmp_path)
    first = sample.units()[:3]
    assert measured(first, tmp_path) == Progress(3, 3, ())
    kept = {(row.device, row.module, row.parameters) for row in read(tmp_path / TABLE)}
    assert kept == {(unit.device, unit.kind, unit.parameters) for unit in first}


def test_a_run_that_fails_is_named_and_the_table_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun(tmp_path)
    monkeypatch.setattr(Yosys, "programs", lambda self: {"yosys": ("false",)})
    done = measured((*sample.units()[:2], DWC), tmp_path)
    (failure,) = done.failed
    assert (failure.unit, failure.device) == ("finn_dwc IN=8 OUT=32", "xczu7ev")
    assert failure.reason.startswith("yosys failed with exit status 1, 2 times; see ")
    assert len(read(tmp_path / TABLE)) == 2


def test_a_window_is_asked_for_as_finn_has_it() -> None:
    unit = next(unit for unit in sample.units() if unit.kind == "finn_window")
    with Worker(real_environment()) as worker:
        assert isinstance(worker.ask(Hello(), 60.0), Versions)
        names = [name for name, _ in worker.ask(windows.request(unit), windows.SECONDS).files]
    assert names == ["window_impl.sv", "window_wrapper.v"]


@pytest.mark.slow  # yosys, some seconds each
@pytest.mark.parametrize("kind", ["finn_mvu", "finn_window"])
def test_a_unit_that_is_synthesised_again_gives_the_numbers_of_the_table(kind: str, tmp_path: Path) -> None:
    unit = next(unit for unit in sample.units() if unit.kind == kind)
    assert measured((unit,), tmp_path) == Progress(1, 1, ())
    assert read(tmp_path / TABLE) == (ROWS[unit.device, unit.kind, unit.parameters],)
