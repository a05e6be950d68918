"""What was built for a board, beside what was predicted for its device: area, clock, cycles, and how long it took."""

from collections.abc import Iterator
from dataclasses import dataclass

from hwdse.evaluation import Built
from hwdse.report.quantities import error, number, percent
from hwdse.result import Result
from hwdse.target import fpga, side_by_side, uses


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity of a build."""

    what: str
    predicted: str
    built: str
    error: str
    limit: str  # what the device has, or what the board needs
    share: str  # of it


@dataclass(frozen=True, slots=True)
class Block:
    """One build."""

    trial: int
    place: str  # the board and its device
    lines: tuple[Line, ...]


def blocks(result: Result) -> tuple[Block, ...]:
    """Every build of every trial."""
    return tuple(
        Block(trial.number, f"{one.board} ({one.measured.device})", tuple(lines(one)))
        for trial in result.trials
        for one in trial.evaluation.built
    )


def lines(built: Built) -> Iterator[Line]:
    """Of one build."""
    mine, its = built.predicted, built.measured
    for one, two in side_by_side((mine.area, its.area), fpga(its.device)):
        share = percent(two.share) if two.available else ""
        yield Line(
            one.name, number(one.used), number(two.used), error(one.used, two.used), number(two.available), share
        )
    clock, verdict = mine.clock, "met" if its.clock_mhz >= built.board_mhz else "MISSED"
    said, off = ("", "") if clock is None else (f"{clock.mhz:.1f}", error(clock.mhz, its.clock_mhz))
    yield Line("clock, MHz", said, f"{its.clock_mhz:.1f}", off, f"{number(built.board_mhz)} needed", verdict)
    cycles = mine.interval_cycles, its.interval_cycles
    yield Line("cycles from image to image", number(cycles[0]), number(cycles[1]), error(*cycles), "", "")
    for tool, seconds in built.seconds:
        yield Line(f"wall time of {tool}, s", "", f"{seconds:,.1f}", "", "", "")


def in_words(built: Built) -> str:
    """One build in sentences."""
    its = built.measured
    used = [
        f"{use.used:,} of {use.available:,} {use.name} ({percent(use.share)})"
        for use in uses(its.area, fpga(its.device))
        if use.used
    ]
    pace = f"{its.clock_mhz:.1f} MHz of {number(built.board_mhz)}, {its.interval_cycles:,} cycles from image to image"
    return f"Built for {built.board}: {', '.join(used)}; {pace}. {wall_time(built.seconds)}".strip()


def wall_time(seconds: tuple[tuple[str, float], ...]) -> str:
    """How long the tools took, in a sentence; '' where it is not known."""
    took = ", ".join(f"{tool} {taken:,.1f} s" for tool, taken in seconds)
    return f"Wall time: {took}." if took else ""
