"""A campaign goes on after a process that dies, hangs or loses its GPU, and after its own end."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwdse.gpu_measurements import Origin, Point, Timing, read
from hwdse.gpu_speed.campaign import Worker, compiled, measured, missing
from hwdse.gpu_speed.plan import reference
from tests.hwdse.gpu_speed.processes import measure

ORIGIN = Origin("h200", "2026-01-02T03:04:05Z", "580.1", "torch 2.11.0, triton 3.6.0")
LATER = replace(ORIGIN, start="2026-01-03T00:00:00Z")


def point(kernel: str, m: int = 1) -> Point:
    """A product by a kernel of that name."""
    return Point(kernel, m, 64, 64, "int4", "float16")


def test_each_row_is_kept_whatever_comes_after_it(tmp_path: Path) -> None:
    file = tmp_path / "gpu.h200.csv"
    points = [point("a16"), point("dies"), point("fails"), point("loses"), point("a16", 2)]
    rows = list(measured(points, measure, ORIGIN, file, 60.0))
    assert read(file) == tuple(rows)
    assert [(row.point.kernel, row.seconds) for row in rows] == [
        ("a16", 1e-6),
        ("dies", None),
        ("fails", None),
        ("loses", None),
        ("a16", 2e-6),
    ]
    assert [row.note for row in rows[1:4]] == [
        "the process ended with code 3",
        "not installed",
        "failed: no GPU any more",
    ]
    assert rows[0].note != rows[4].note  # another process


def test_one_process_serves_until_it_fails(tmp_path: Path) -> None:
    rows = list(measured([point("a16", m) for m in (1, 2, 3)], measure, ORIGIN, tmp_path / "t.csv", 60.0))
    assert len({row.note for row in rows}) == 1


def test_a_point_that_stays_is_ended_and_named() -> None:
    worker = Worker(measure)
    answer = worker.ask(point("stays"), 0.2)
    assert (answer.seconds, answer.note, answer.lost) == (None, "took longer than 0 s", True)
    assert worker.ask(point("a16")).lost


def test_a_point_that_the_end_of_the_run_cut_off_has_no_row(tmp_path: Path) -> None:
    file = tmp_path / "gpu.h200.csv"
    rows = list(measured([point("a16"), point("stays"), point("a16", 2)], measure, ORIGIN, file, 5.0))
    assert [row.point.kernel for row in rows] == ["a16"]
    assert read(file) == tuple(rows)


def test_no_time_is_no_row(tmp_path: Path) -> None:
    assert list(measured([point("a16")], measure, ORIGIN, tmp_path / "t.csv", 0.0)) == []


def test_processes_compile_beside_each_other_and_survive() -> None:
    assert compiled([point("a16"), point("dies"), point("a16", 2)], measure, 2, 60.0) == 3
    assert compiled([], measure, 2, 60.0) == 0


PLAN = (Point("copy", 1, 1, 1 << 30), reference(1, 64, 64), point("a16"), reference(2, 64, 64), point("a16", 2))


def rows_of(*points: Point, origin: Origin = ORIGIN) -> list[Timing]:
    """Each with a time."""
    return [Timing(one, origin, 1e-6) for one in points]


def test_what_has_a_row_is_not_timed_again() -> None:
    assert missing(PLAN, [], ORIGIN) == PLAN
    assert missing(PLAN, rows_of(*PLAN), LATER) == ()


def test_a_failure_is_a_row() -> None:
    assert missing(PLAN, [*rows_of(*PLAN[:-1]), Timing(PLAN[-1], ORIGIN, None, note="not installed")], LATER) == ()


def test_ceilings_and_references_of_what_is_missing_are_timed_again() -> None:
    assert missing(PLAN, rows_of(*PLAN[:4]), LATER) == (PLAN[0], PLAN[3], PLAN[4])


@pytest.mark.parametrize("other", [{"device": "h100"}, {"versions": "torch 2.13.0, triton 3.9.0"}])
def test_rows_of_other_devices_and_versions_do_not_count(other: dict[str, str]) -> None:
    assert missing(PLAN, rows_of(*PLAN, origin=replace(ORIGIN, **other)), LATER) == PLAN
