"""Times calls in a CUDA graph, with a cold L2: rotating over copies of the weights that are four times its size.

A graph has no gaps of the host between its launches. Replays are queued behind each other, and events between them are
read at the end, so that the host is not in the times either. Every kernel, ours or not, is timed by this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from statistics import median

import torch
from torch import Tensor

from hwdse.gpu_speed.driver import mhz
from hwdse.gpu_speed.work import Call, poison

COLD = 4  # times the L2 that the copies of the weights are together
SPAN = 1e-3  # seconds of a graph, at least: the clock of the events has steps of 0.5 us
MOST = 1000  # launches of a graph, at most, where a launch takes next to no time
REPLAYS, SERIES = 20, 2
WARM_UP = 3  # replays


@dataclass(frozen=True, slots=True)
class Times:
    """Of one call."""

    seconds: float  # the median of the first series
    noise: float  # of the median of the second series, relative to it
    mhz: int | None  # of the multiprocessors; None where the driver does not say
    result: Tensor  # of the last call in the graph, which is the first of `calls`: written once more, over poison


def copies(moved: int, l2_bytes: int) -> int:
    """How many copies of `moved` bytes of weights are four times the L2."""
    return max(1, ceil(COLD * l2_bytes / max(moved, 1)))


def launches(count: int, seconds: float) -> int:
    """Launches of a graph that rotates over `count` copies, each as often as the others, for at least `SPAN`."""
    rounds = ceil(SPAN / (count * seconds)) if seconds > 0 else MOST
    return count * max(1, min(rounds, MOST // count))


def order(count: int, total: int) -> list[int]:
    """Which copy each launch reads: the last one the first copy, whose result is known."""
    return [(launch + 1) % count for launch in range(total)]


def summary(samples: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The median of the first series, and how far that of the last one is from it."""
    first, last = median(samples[0]), median(samples[-1])
    return first, last / first - 1


def timed(calls: Sequence[Call]) -> Times:
    """How long a call takes on the current GPU. All of them have run before, so that nothing is compiled."""
    graph, result = _captured(calls, len(calls))
    _replayed(graph, 1)
    once = _replayed(graph, 1)[0] / len(calls)
    total = launches(len(calls), once)
    if total > len(calls):
        del graph
        graph, result = _captured(calls, total)
    _replayed(graph, WARM_UP)
    queued = [_queued(graph, REPLAYS) for _ in range(SERIES)]
    clock = mhz()  # while they run
    samples = [[each / total for each in _elapsed(events)] for events in queued]
    return Times(*summary(samples), clock, rewritten(graph.replay, result))


def rewritten(replay: Callable[[], None], result: Tensor) -> Tensor:
    """What `replay` writes to `result`, which holds nothing of what was there before: a copy."""
    poison(result)
    replay()
    return result.clone()


def _captured(calls: Sequence[Call], total: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for index in order(len(calls), total):
            result = calls[index]()
    return graph, result


def _replayed(graph: torch.cuda.CUDAGraph, count: int) -> list[float]:
    """Seconds of each of `count` replays."""
    return _elapsed(_queued(graph, count))


def _queued(graph: torch.cuda.CUDAGraph, count: int) -> list[torch.cuda.Event]:
    """The events around each of `count` replays, which are all in the queue before the first is over."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(count + 1)]
    events[0].record()
    for event in events[1:]:
        graph.replay()
        event.record()
    return events


def _elapsed(events: Sequence[torch.cuda.Event]) -> list[float]:
    """Seconds between neighbours, once the last is over."""
    torch.cuda.synchronize()
    return [start.elapsed_time(end) / 1000 for start, end in pairwise(events)]
