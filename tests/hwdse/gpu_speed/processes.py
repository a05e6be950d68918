"""What processes do in tests of campaigns: a module of its own, which a new process imports in no time."""

import os
import time

from hwdse.gpu_measurements import Point
from hwdse.gpu_speed.campaign import Answer


def measure(point: Point, compile_only: bool) -> Answer:
    """By the name of the kernel."""
    match point.kernel:
        case "stays":
            time.sleep(60)
        case "dies":
            os._exit(3)
        case "loses":
            return Answer(None, note="failed: no GPU any more", lost=True)
        case "fails":
            return Answer(None, note="not installed")
    return Answer(None if compile_only else 1e-6 * point.m, 0.01, 100, 0.0, 1500, str(os.getpid()))
