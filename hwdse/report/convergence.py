"""How the search came to its front: hypervolume over trials and over time, who proposed what, what was dropped."""

from collections import Counter
from itertools import accumulate, cycle

from hwdse.report.claim import Claim
from hwdse.report.describe import counted, whole
from hwdse.report.plot import Mark, Plot, Series, staircase
from hwdse.report.quantities import number
from hwdse.result import Result

NEARLY = 0.99  # of the final hypervolume: where most of the search's work is done
LOOKS = (  # of the trials that one source proposed, in the order in which the sources come
    ("ink", "diamond"),
    ("part0", "circle"),
    ("part1", "square"),
    ("part2", "triangle-up"),
    ("part3", "diamond"),
    ("part5", "circle"),
)
FIRST = ("baseline", "uniform")  # origins of the trials that no sampler proposed
MANY, LARGE, SMALL = 150, 7, 5  # up to MANY points are drawn LARGE, more are SMALL (pixels)


def convergence(result: Result) -> tuple[Plot, ...]:
    """Hypervolume over the trials, and over the seconds of the search where they were kept."""
    if not result.hypervolume:
        return ()
    seconds = elapsed(result)
    if seconds is None:
        return (hypervolume(result),)
    over_time = _plot(result, "hypervolume-time", "Hypervolume over time", "seconds of search", seconds)
    return hypervolume(result), over_time


def hypervolume(result: Result) -> Plot:
    """The hypervolume after every trial, as a share of the last one."""
    numbers = {trial.number: float(trial.number) for trial in result.trials}
    return _plot(result, "hypervolume", "Hypervolume over the trials", "trial", numbers)


def elapsed(result: Result) -> dict[int, float] | None:
    """Seconds of search until each trial was done, without those of failed trials; None where they were not kept."""
    spent = [trial.seconds for trial in result.trials if trial.seconds is not None]
    if len(spent) < len(result.trials):
        return None
    return dict(zip((trial.number for trial in result.trials), accumulate(spent), strict=True))


def _plot(result: Result, name: str, title: str, label: str, at: dict[int, float]) -> Plot:
    """A line, and a point for each trial by who proposed it."""
    last = result.hypervolume[-1][1] or 1.0
    origins = {trial.number: trial.origin for trial in result.trials}
    said = {n: f"after trial {n} ({origins[n]}): {value:,.6g}" for n, value in result.hypervolume}
    marks = {n: Mark(at[n], 100 * value / last, said[n]) for n, value in result.hypervolume}
    steps = staircase([(mark.x, mark.y) for mark in marks.values()])
    series = [Series("hypervolume", steps, "ink", dash="solid")]
    size = LARGE if len(marks) <= MANY else SMALL
    for (colour, symbol), origin in zip(cycle(LOOKS), dict.fromkeys(origins[n] for n in marks), strict=False):
        own = tuple(mark for n, mark in marks.items() if origins[n] == origin)
        series.append(Series(origin, own, colour, symbol, size))
    return Plot(name, title, label, "share of the final hypervolume (%)", tuple(series))


def facts(result: Result) -> tuple[Claim, ...]:
    """What a search has to report: its evaluations, its time, its hypervolume, what it dropped."""
    found = (_evaluations(result), _time(result), _volume(result), _dropped(result))
    return tuple(claim for claim in found if claim is not None)


def _evaluations(result: Result) -> Claim:
    counts = Counter(trial.origin for trial in result.trials)
    shares = ", ".join(f"{count:,} {origin}" for origin, count in counts.items())
    failed = f"; {len(result.failures):,} more failed" * bool(result.failures)
    return Claim("Evaluations", f"{_designs(len(result.trials))} ({shares}){failed}.")


def _time(result: Result) -> Claim | None:
    seconds = elapsed(result)
    if not seconds:
        return None
    total = max(seconds.values())
    rate = f", {number(60 * len(seconds) / total)} designs a minute" if total else ""
    without = ", failed ones not counted" * bool(result.failures)
    return Claim("Time", f"{_long(total)} of searching{rate}{without}.")


def _volume(result: Result) -> Claim | None:
    if not result.hypervolume or not result.hypervolume[-1][1]:
        return None
    last = result.hypervolume[-1][1]
    return Claim("Hypervolume", f"{last:,.6g} in the end{_given(result, last)}; {_nearly(result, last)}.")


def _given(result: Result, last: float) -> str:
    """What the designs with one format everywhere reached, which come first, if a sampler went on after them."""
    origins = {trial.number: trial.origin for trial in result.trials}
    first = [value for trial, value in result.hypervolume if origins[trial] in FIRST]
    if not first or len(first) == len(result.hypervolume):
        return ""
    return f", {100 * first[-1] / last:.1f} % of it after the designs that were given"


def _nearly(result: Result, last: float) -> str:
    trial = next(n for n, value in result.hypervolume if value >= NEARLY * last)
    seconds = elapsed(result)
    after = "" if seconds is None else f", {_long(seconds[trial])}"
    return f"{100 * NEARLY:.0f} % after trial {trial}{after}"


def _dropped(result: Result) -> Claim | None:
    """What races left out; None where there were none."""
    partial = sum(not whole(result, trial) for trial in result.trials)
    if result.racing is None and not partial:
        return None
    images = result.float_accuracy("search").count
    sure = "" if result.racing is None else f"at a confidence of {100 * result.racing:g} % "
    text = f"{partial:,} of {_designs(len(result.trials))} saw fewer than all {counted(result, images)}"
    front = "Every design of the front was evaluated on all of them."
    return Claim("Dropped early", f"{text}: {sure}they could not join the front. {front}")


def _designs(count: int) -> str:
    return f"{count:,} {'design' if count == 1 else 'designs'}"


def _long(seconds: float) -> str:
    """A time that people wait: `41.2 s`, `12.5 min`, `3.1 h`."""
    size, unit = next((s, u) for s, u in ((3600.0, "h"), (60.0, "min"), (0.0, "s")) if seconds >= 2 * s)
    return f"{seconds / (size or 1):.1f} {unit}"
