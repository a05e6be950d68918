"""What was built for a board, beside what was predicted for its device: area, clock, cycles, and how long it took."""

from collections.abc import Iterator
from dataclasses import dataclass

from hwdse.evaluation import Built
from hwdse.report.quantities import error, number, percent
from hwdse.result import Result
from hwdse.target import FpgaTarget, devices, fpga, side_by_side

_OF_AMD = (("LUT", "luts"), ("FF", "ffs"), ("DSP", "dsps"), ("BRAM18", "brams"), ("URAM", "urams"))


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
    trust: str  # who predicted it, and how far to trust that
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Amount:
    """How much of a resource a build takes."""

    name: str
    predicted: int | None  # None where that is of another kind of device, or nothing is said of it
    built: int
    available: int | None  # None of a part that no file describes

    @property
    def share(self) -> str:
        """Of what is available."""
        return percent(self.built / self.available) if self.available else ""


def blocks(result: Result) -> tuple[Block, ...]:
    """Every build of every trial."""
    return tuple(
        Block(trial.number, _place(one), f"{one.predicted.model}: {one.predicted.calibration}", tuple(lines(one)))
        for trial in result.trials
        for one in trial.evaluation.built
    )


def _place(built: Built) -> str:
    other = f", predicted for {built.predicted.device}" * (built.predicted.device != built.measured.device)
    return f"{built.board} ({built.measured.device}{other})"


def _amounts(built: Built) -> Iterator[_Amount]:
    """Of each resource that the device has or a cost needs."""
    mine, its = built.predicted, built.measured
    if its.device in devices():
        for one, two in side_by_side((mine.area, its.area), fpga(its.device)):
            yield _Amount(one.name, _said(one.name, one.used), two.used, two.available)
        return
    comparable = mine.device == its.device or _like_amd(fpga(mine.device))
    for name, key in _OF_AMD:
        said = _said(name, getattr(mine.area, key)) if comparable else None
        yield _Amount(name, said, getattr(its.area, key), None)


def _said(name: str, used: int) -> int | None:
    """None for no flip-flops, as in FINN's estimates, which leave them out: every accelerator has some."""
    return None if name == "FF" and used == 0 else used


def _like_amd(target: FpgaTarget) -> bool:
    return (target.lut_inputs, target.bram_kib) == (6, 18)


def lines(built: Built) -> Iterator[Line]:
    """Of one build."""
    mine, its = built.predicted, built.measured
    for one in _amounts(built):
        limit = "" if one.available is None else number(one.available)
        mine_of, off = ("", "") if one.predicted is None else (number(one.predicted), error(one.predicted, one.built))
        yield Line(one.name, mine_of, number(one.built), off, limit, one.share)
    clock, verdict = mine.clock, "met" if its.clock_mhz >= built.board_mhz else "MISSED"
    said, off = ("", "") if clock is None else (f"{clock.mhz:.1f}", error(clock.mhz, its.clock_mhz))
    yield Line("clock, MHz", said, f"{its.clock_mhz:.1f}", off, f"{number(built.board_mhz)} needed", verdict)
    cycles = mine.interval_cycles, its.interval_cycles
    yield Line("cycles from image to image", number(cycles[0]), number(cycles[1]), error(*cycles), "", "")
    if built.frames_per_second is not None:
        yield Line("frames/s, measured on the board", "", number(built.frames_per_second), "", "", "")
    for tool, seconds in built.seconds:
        yield Line(f"wall time of {tool}, s", "", f"{seconds:,.1f}", "", "", "")


def in_words(built: Built) -> str:
    """One build in sentences."""
    its = built.measured
    used = [_in_words(one) for one in _amounts(built) if one.built]
    pace = f"{its.clock_mhz:.1f} MHz of {number(built.board_mhz)}, {its.interval_cycles:,} cycles from image to image"
    rate = "" if built.frames_per_second is None else f"; {number(built.frames_per_second)} frames/s on the board"
    return f"Built for {built.board}: {', '.join(used)}; {pace}{rate}. {wall_time(built.seconds)}".strip()


def _in_words(one: _Amount) -> str:
    return (
        f"{one.built:,} of {one.available:,} {one.name} ({one.share})" if one.available else f"{one.built:,} {one.name}"
    )


def wall_time(seconds: tuple[tuple[str, float], ...]) -> str:
    """How long the tools took, in a sentence; '' where it is not known."""
    took = ", ".join(f"{tool} {taken:,.1f} s" for tool, taken in seconds)
    return f"Wall time: {took}." if took else ""
