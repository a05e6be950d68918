"""A campaign goes on where it was stopped, measures again what has changed, and loses nothing that is finished."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.calibration import campaign
from hwdse.calibration.campaign import Failure, Progress, current, measure, sentences
from hwdse.cost import Resources
from hwdse.measurements import Measurement, read, text
from hwdse.netlist import rtl_digest
from tests.hwdse.calibration.tiny import Tiny, queues

ROOT = Path(__file__).parents[3]


@pytest.fixture
def flow(tmp_path: Path) -> Tiny:
    """Its tool notes every run."""
    return Tiny(str(tmp_path / "log"))


def run(folder: Path, flow: Tiny, *depths: int) -> Progress:
    """Measures queues of these depths into a table in `folder`."""
    points = queues(*depths)
    return measure(points, flow, folder / "data" / "t.csv", folder / "cache", counted="netlist", workers=1)


def rows(folder: Path) -> dict[int, Measurement]:
    """The table, by depth."""
    return {dict(row.parameters)["DEPTH"]: row for row in read(folder / "data" / "t.csv")}


def test_what_is_measured_is_a_row(tmp_path: Path, flow: Tiny) -> None:
    assert run(tmp_path, flow, 1, 16) == Progress(2, 2, ())
    parameters = (("BITS", 8), ("DEPTH", 16), ("BLOCK", 0))
    area = Resources(luts=len("fifo(BITS=8, DEPTH=16, BLOCK=0)"))
    row = Measurement("ecp5_25f", "netlist", "fifo", parameters, area, None, rtl_digest("fifo"))
    assert rows(tmp_path)[16] == row
    assert sorted(rows(tmp_path)) == [1, 16]
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["t.csv"]


def test_it_goes_on(tmp_path: Path, flow: Tiny) -> None:
    run(tmp_path, flow, 1, 2)
    (tmp_path / "cache").rename(tmp_path / "lost")  # the table is enough
    assert run(tmp_path, flow, 1, 2, 3) == Progress(3, 3, ())
    assert flow.runs == 3
    assert sorted(rows(tmp_path)) == [1, 2, 3]
    assert run(tmp_path, flow, 3) == Progress(1, 1, ())
    assert flow.runs == 3
    assert sorted(rows(tmp_path)) == [1, 2, 3]  # a smaller sample leaves the rest


def test_the_cache_is_used(tmp_path: Path, flow: Tiny) -> None:
    run(tmp_path, flow, 1, 2)
    before = rows(tmp_path)
    (tmp_path / "data" / "t.csv").unlink()
    run(tmp_path, flow, 1, 2)
    assert rows(tmp_path) == before
    assert flow.runs == 2


def test_rows_of_another_rtl_are_dropped(tmp_path: Path, flow: Tiny) -> None:
    run(tmp_path, flow, 1, 2)
    found = rows(tmp_path)
    stale = replace(found[1], rtl="0123456789abcdef", area=Resources(luts=9))
    gone = replace(found[1], module="gone", rtl="0123456789abcdef")
    assert current([stale, gone, found[2]]) == [found[2]]
    (tmp_path / "data" / "t.csv").write_text(text([stale, gone, found[2]]))
    run(tmp_path, flow, 2)
    assert rows(tmp_path) == {2: found[2]}
    (tmp_path / "data" / "t.csv").write_text(text([stale, found[2]]))
    run(tmp_path, flow, 1, 2)
    assert rows(tmp_path) == found


def test_what_fails_is_said_and_the_rest_is_kept(tmp_path: Path, flow: Tiny) -> None:
    failing = replace(flow, fails="DEPTH=2,")
    found = run(tmp_path, failing, 1, 2, 3)
    assert (found.done, found.total) == (3, 3)
    assert sorted(rows(tmp_path)) == [1, 3]
    (sentence,) = sentences(found.failed)
    name = "fifo(BITS=8, DEPTH=2, BLOCK=0)"
    failed = f"{name} on ecp5_25f: count failed with exit status 1, 2 times (no {name}); see "
    (folder,) = (tmp_path / "cache" / "failed").iterdir()
    assert sentence == failed + str(folder)
    assert run(tmp_path, flow, 1, 2, 3) == Progress(3, 3, ())  # it is tried again, and only it
    assert flow.runs == 3 + 1 + 1  # a failed run is tried twice


def test_a_result_that_is_none(tmp_path: Path, flow: Tiny) -> None:
    (failure,) = run(tmp_path, replace(flow, luts="many"), 1).failed
    (folder,) = (path.parent for path in (tmp_path / "cache").glob("??/*/done.json"))
    assert (failure.unit, failure.device) == ("fifo(BITS=8, DEPTH=1, BLOCK=0)", "ecp5_25f")
    assert failure.reason == f"a count is a number, not 'many'; remove {folder} to run it again"
    assert rows(tmp_path) == {}


def test_one_reason_is_one_sentence() -> None:
    failed = [Failure("a", "x", "no disk"), Failure("b", "x", "no tool"), Failure("c", "y", "no disk")]
    assert sentences(failed) == ["a on x and 1 more: no disk", "b on x: no tool"]


def test_a_cache_that_cannot_be_written(tmp_path: Path, flow: Tiny) -> None:
    table = tmp_path / "t.csv"
    found = measure(queues(1, 2), flow, table, Path("/proc/cache"), counted="netlist", workers=1)
    (sentence,) = sentences(found.failed)
    units = "fifo(BITS=8, DEPTH=1, BLOCK=0) on ecp5_25f and 1 more"
    assert sentence == f"{units}: cannot write to /proc/cache: No such file or directory"
    assert read(table) == ()


def test_a_full_disk(tmp_path: Path, flow: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, flow, 1)
    table = tmp_path / "data" / "t.csv"
    before = table.read_bytes()

    def full(self: Path, *arguments: object, **named: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    message = f"{table} cannot be written: No space left on device"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(tmp_path, flow, 1, 2)
    assert table.read_bytes() == before
    assert flow.runs == 1  # found before the work


def test_bad_input(tmp_path: Path, flow: Tiny) -> None:
    with pytest.raises(ValueError, match=r"^a calibration has at least one worker, not 0$"):
        measure(queues(1), flow, tmp_path / "t.csv", tmp_path, counted="netlist", workers=0)


GARBAGE = {
    b"": "a table of measurements begins with {columns}, unlike {file}",
    b"a,b\n": "a table of measurements begins with {columns}, unlike {file}",
    b"\xff": "{file} is no table of measurements: "
    "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    b"{columns}\na,b\n": "line 2 of {file} is no measurement: zip() argument 2 is shorter than argument 1",
    b"{columns}\necp5_25f,netlist,fifo,DEPTH=x,1,1,0,0,0,0,,0\n": "line 2 of {file} is no measurement: "
    "invalid literal for int() with base 10: 'x'",
}
COLUMNS = "device,counted,module,parameters,luts,ffs,dsps,brams,urams,lutrams,mhz,rtl"


@pytest.mark.parametrize("content", GARBAGE)
def test_a_table_that_is_none(tmp_path: Path, flow: Tiny, content: bytes) -> None:
    table = tmp_path / "data" / "t.csv"
    table.parent.mkdir()
    table.write_bytes(content.replace(b"{columns}", COLUMNS.encode()))
    before = table.read_bytes()
    message = GARBAGE[content].format(columns=COLUMNS, file=table)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(tmp_path, flow, 1)
    assert table.read_bytes() == before


# ---- stopped in the middle -----------------------------------------------------------------------


def test_an_interrupt_keeps_what_is_finished(tmp_path: Path, flow: Tiny) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    points = queues(1, 2, 3, 4)
    with pytest.raises(KeyboardInterrupt):
        measure(points, flow, tmp_path / "data" / "t.csv", tmp_path / "cache", counted="netlist", report=interrupt)
    assert len(rows(tmp_path)) == 2


def test_progress_is_told(tmp_path: Path, flow: Tiny) -> None:
    told = list[tuple[int, int]]()
    run(tmp_path, flow, 1)
    points, table = queues(1, 2, 3), tmp_path / "data" / "t.csv"
    measure(
        points,
        flow,
        table,
        tmp_path / "cache",
        counted="netlist",
        workers=1,
        report=lambda progress: told.append((progress.done, progress.total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


KILLED = """
import sys
from pathlib import Path
from hwdse.calibration import campaign
from tests.hwdse.calibration.tiny import Tiny, queues

campaign.SAVE_SECONDS = 0.0
folder = Path(sys.argv[1])
flow = Tiny(str(folder / "log"), seconds=0.1)
table = folder / "data" / "t.csv"
campaign.measure(queues(*range(1, 101)), flow, table, folder / "cache", counted="netlist", workers=1)
"""


def test_a_kill_keeps_what_is_finished(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT)
    table, end = tmp_path / "data" / "t.csv", time.monotonic() + 60
    while not (table.exists() and len(rows(tmp_path)) >= 3):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # its last run goes on without it
    kept, flow = rows(tmp_path), Tiny(str(tmp_path / "log"), seconds=0.1)
    before = flow.runs
    assert 3 <= len(kept) < 100
    more = len(kept) + 3
    assert run(tmp_path, flow, *range(1, more + 1)) == Progress(more, more, ())
    assert {depth: rows(tmp_path)[depth] for depth in kept} == kept
    assert sorted(rows(tmp_path)) == list(range(1, more + 1))
    # Those in the table are not run again, and what was finished after its last save is in the cache.
    assert flow.runs - before <= 3


def test_the_table_is_saved_every_20_seconds() -> None:
    assert campaign.SAVE_SECONDS == 20
