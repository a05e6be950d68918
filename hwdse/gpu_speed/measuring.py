"""Times one point: builds it, checks its result against float64, times it, and checks the result of the timed runs."""

import gc
from collections.abc import Callable
from functools import partial
from zlib import crc32

import torch

from hwdse.gpu_measurements import Point
from hwdse.gpu_speed import ceilings, library, ours, passes, rivals
from hwdse.gpu_speed.campaign import Answer
from hwdse.gpu_speed.stopwatch import copies, timed
from hwdse.gpu_speed.work import AbsentError, Count, Work, poison

LETTERS = 300  # of what an exception says

Build = Callable[[Point, Count, torch.device], Work]
BUILDERS: dict[str, Build] = {
    **dict.fromkeys(ours.KERNELS, ours.work),
    "launch": ceilings.work,
    "read": ceilings.work,
    "copy": ceilings.work,
    "torch.mm": library.mm,
    "torch._int_mm": library.int_mm,
    "torch._scaled_mm": library.scaled_mm,
    "torch._weight_int4pack_mm": library.int4pack_mm,
    "gemlite": rivals.gemlite,
    "humming": rivals.humming,
    "quantise": passes.quantise,
    "fake_quantize": passes.fake_quantize,
}


def built(point: Point, count: Count, device: torch.device) -> Work:
    """What is to be called; the same numbers each time. ValueError for an unknown kernel."""
    torch.manual_seed(crc32(point.name.encode()))
    if point.kernel not in BUILDERS:
        raise ValueError(f"no kernel {point.kernel!r}; known: {', '.join(BUILDERS)}")
    return BUILDERS[point.kernel](point, count, device)


def checked(work: Work) -> float | None:
    """Runs every call once, the first into poisoned memory; the error of its result. ArithmeticError if it is wrong."""
    poison(work.calls[0]())
    result = work.calls[0]()
    error = accepted(work, result)
    for call in work.calls[1:]:
        call()
    return error


def accepted(work: Work, result: torch.Tensor) -> float | None:
    """The error of a result of the first call. ArithmeticError where it is more than rounding explains."""
    if work.expected is None:
        return None
    error = work.expected.error(result)
    if not error <= work.tolerance:
        raise ArithmeticError(f"wrong: relative error {error:.2e}, not at most {work.tolerance:.2e}")
    return error


def measure(point: Point, compile_only: bool) -> Answer:
    """The answer of a process with a GPU; a failure is one too."""
    device = torch.device("cuda", torch.cuda.current_device())
    try:
        with torch.no_grad():
            return _answer(point, compile_only, device)
    except AbsentError as reason:
        return Answer(None, note=str(reason))
    except Exception as reason:  # whatever another project's kernel raises is what the row says
        note = f"failed: {type(reason).__name__}: {reason}"[:LETTERS]
        return Answer(None, note=note, lost=not _alive())
    finally:
        gc.collect()
        if _alive():
            torch.cuda.empty_cache()


def _answer(point: Point, compile_only: bool, device: torch.device) -> Answer:
    l2 = torch.cuda.get_device_properties(device).L2_cache_size
    count = (lambda moved: 1) if compile_only else partial(copies, l2_bytes=l2)
    work = built(point, count, device)
    error = checked(work)
    torch.cuda.synchronize()
    if compile_only:
        return Answer(None, error=error)
    times = timed(work.calls)
    accepted(work, times.result)
    return Answer(times.seconds, times.noise, work.moved, error, times.mhz, work.note)


def _alive() -> bool:
    """Whether the GPU still answers: an illegal access stays with a process."""
    try:
        torch.cuda.synchronize()
    except Exception:  # torch has several types for it
        return False
    return True
