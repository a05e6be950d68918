"""A process that keeps its memory asks the system for less."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from hwdse import heap
if sys.argv[1] == "keep":
    assert heap.keep()
def work():
    for _ in range(20):
        arrays = [bytearray(1 << 20) for _ in range(16)]
        del arrays
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library has this setting")
def test_pages_are_used_again() -> None:
    assert faults("keep") < 100 < faults("give back")
