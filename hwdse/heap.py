"""Keeps the memory that a process frees, for its next tensors.

The activations of a batch are some megabytes that are made and freed again for every design. The C library of Linux
gives such memory back and asks for it anew, page by page, which takes up to half the time of a small network.
"""

import ctypes
import platform

# Parameters of mallopt(3), from malloc.h of the GNU C library, and the largest threshold that it takes on 64 bits.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MMAP_BYTES = 32 << 20  # larger tensors are given back
TRIM_BYTES = 1 << 30  # unused at the end of the heap, before any is given back


def keep() -> bool:
    """Whether this process now keeps what it frees; False where the C library is not GNU's."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    wanted = ((M_MMAP_THRESHOLD, MMAP_BYTES), (M_TRIM_THRESHOLD, TRIM_BYTES))
    return all(mallopt(parameter, size) == 1 for parameter, size in wanted)
