"""What `hwdse setup` does."""

import sys
from pathlib import Path

from hwdse.finn import environment
from hwdse.finn.environment import VARIABLE, Environment

PARTS = ("finn",)


def setup(part: str, at: Path | None) -> str:
    """Makes the environment of `part` where it is not ready, and says where it is."""
    if part not in PARTS:
        raise ValueError(f"no part {part!r} to set up; known: {', '.join(PARTS)}")
    place = Environment.default() if at is None else Environment(at.absolute())
    environment.build(place, lambda what: print(f"set-up of FINN+: {what}", file=sys.stderr))
    hint = "" if place == Environment.default() else f"; for hwdse to use it: export {VARIABLE}={place.folder}"
    return f"{place.state}{hint}"
