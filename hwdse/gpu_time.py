"""Seconds of a product on a GPU: launch, then what takes the longest, in waves of programs.

    seconds = launch + fills + max(memory, sum over waves of max(L2, tensor cores, decoding, shared memory)) + reduction

A wave is the programs that all multiprocessors run at once; how many one runs follows from the registers, the shared
memory and the warps of the compiled kernel. The last wave has fewer, and lasts as long as the multiprocessor with the
most.

- memory: bytes over the bandwidth, which the bytes that are under way can lower (Little's law). Weights and scales are
  streamed once: programs that share them run side by side. Activations are read once, sums written once. It knows no
  waves: while one program ends, the next one's data come.
- L2: what programs read again, activations and weights that another program has read, and the partial sums of split-K
  where they fit in half of it.
- tensor cores: products of the padded tile at the peak rate.
- decoding: the instructions of the compiled loop, all of them on four schedulers, integer ones on a pipe of 64 lanes.
  A program decodes, then waits for the product: in Triton's code its warps meet in every turn, so that only those of
  another program of the multiprocessor do one while these do the other.
- shared memory: 128 bytes a cycle; each operand of the loop goes in once, and out to the warps that need it.

Published models of this kind are NeuSight, LLMCompass and tritonBLAS. Ours differs in that decoding is counted in the
machine code, so that a format that no one has run has a price.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from hwdse.target import GpuTarget

SCHEDULERS = 4  # of a multiprocessor; each issues an instruction of a warp a cycle
# Warps a cycle of a multiprocessor: 64 lanes add, shift and combine 32-bit integers in compute capabilities 8.0 to 9.0.
# Source: CUDA Programming Guide, table of arithmetic instructions.
INTEGER_WARPS = 2
SHARED_BYTES = 128  # a cycle of a multiprocessor: 32 banks of 4 bytes. Source: CUDA Programming Guide, shared memory


@dataclass(frozen=True, slots=True)
class Constants:
    """What no data sheet says. The defaults are assumptions, which `hwdse.calibration.gpu` replaces by fits.

    Why these: a kernel that does nothing is taken for 2 us, 1.2 and a fill of 0.8; a copy is commonly seen at about
    nine tenths of the bandwidth of HBM, and large matrix products of a library at about eight tenths of the peak, at
    the clock that the power leaves. Of our own kernels no one has measured any. Triton's product of bfloat16 and E4M3
    was reported at 441 of 989 TFLOP/s on an H100 (triton-lang/triton, pull request 11785), which is 0.45 with the time
    of decoding in it. That time is a term of its own here, so that the share is more than this and less than that of a
    library: 0.65 is about the middle of 0.45 and 0.80, and follows from nothing else. A multiprocessor's port to L2 is
    64 bytes wide, of which half is taken to be reached.
    """

    launch_seconds: float = 1.2e-6  # of a kernel, in a graph of kernels
    fill_seconds: float = 0.8e-6  # from the first request of a program to its first data: a memory's latency under load
    memory_share: float = 0.90  # of the data sheet's bandwidth
    library_share: float = 0.80  # of the tensor cores' peak, that a library reaches
    kernel_share: float = 0.65  # of it, of the issue slots and of the integer pipe, that our kernels reach
    l2_bytes: float = 32.0  # a cycle of a multiprocessor

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"a GPU's {field.name!r} is positive, unlike {getattr(self, field.name)}")


@dataclass(frozen=True, slots=True)
class Work:
    """What a kernel does in all, and what one of its programs, which are equal, does."""

    programs: int
    occupancy: int  # programs of a multiprocessor at once
    memory_bytes: int  # of all programs: what comes from memory, and goes there
    l2_bytes: float  # of a program, of what is in L2 already
    macs: float  # of a program, padding included
    slots: float  # instructions of all warps of a program
    integer: float  # of these on the integer pipe
    shared_bytes: float  # of a program
    in_flight: int  # bytes that a program has under way
    tops: float  # 1e12 multiplications and additions a second of the arithmetic, at the peak
    library: bool = False  # whether it is one's kernel, and not ours


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds of a kernel, and of each of its terms alone."""

    seconds: float
    terms: Mapping[str, float]

    @property
    def bound(self) -> str:
        """What takes the longest."""
        return max(self.terms, key=lambda name: self.terms[name])


def time(work: Work, target: GpuTarget, constants: Constants) -> Time:
    """How long `work` takes; ValueError where not one of its programs fits in a multiprocessor."""
    if work.occupancy < 1:
        raise ValueError(f"no program of the kernel fits in a multiprocessor of {target.name}")
    at_once = target.sms * work.occupancy
    full, rest = divmod(work.programs, at_once)
    waves = [(at_once, full)] * (full > 0) + [(rest, 1)] * (rest > 0)
    found = [(_wave(work, programs, target, constants), count) for programs, count in waves]
    terms = {name: sum(count * terms[name] for terms, count in found) for name in found[0][0]}
    memory = _memory(work, min(work.programs, at_once), target, constants)
    # The fills of later waves are hidden by the other programs of a multiprocessor.
    fills = constants.fill_seconds * (1 + (sum(count for _, count in waves) - 1) / work.occupancy)
    launch = constants.launch_seconds + fills
    computed = sum(count * max(terms.values()) for terms, count in found)
    return Time(launch + max(memory, computed), {"launch": launch, "memory": memory, **terms})


def _memory(work: Work, programs: int, target: GpuTarget, constants: Constants) -> float:
    """Seconds of all bytes, with so many `programs` at once."""
    bandwidth = 1e9 * target.memory_gb_per_second * constants.memory_share
    return work.memory_bytes / min(bandwidth, programs * work.in_flight / constants.fill_seconds)


def _wave(work: Work, programs: int, target: GpuTarget, constants: Constants) -> dict[str, float]:
    """Seconds of each term of the multiprocessors in a wave of `programs`."""
    busiest = -(-programs // target.sms)  # programs of one multiprocessor
    cycles = 1e6 * target.boost_mhz
    issue = max(work.slots / SCHEDULERS, work.integer / INTEGER_WARPS) / constants.kernel_share
    share = constants.library_share if work.library else constants.kernel_share
    products = 2 * work.macs * target.sms / (1e12 * work.tops * share)
    computed = {"tensor cores": busiest * products, "decoding": busiest * issue / cycles}
    longer = max(computed, key=lambda name: computed[name])
    alone = sum(computed.values()) / min(busiest, work.occupancy)  # a program does one of them at a time
    return {
        "L2": busiest * work.l2_bytes / (constants.l2_bytes * cycles),
        **computed,
        longer: max(computed[longer], alone),
        "shared memory": busiest * work.shared_bytes / (SHARED_BYTES * cycles),
    }


def pass_over(bytes_: int, target: GpuTarget, constants: Constants) -> float:
    """Seconds of a kernel that reads and writes `bytes_` in all and does little else: unfolding, quantising, adding."""
    bandwidth = 1e9 * target.memory_gb_per_second * constants.memory_share
    return constants.launch_seconds + constants.fill_seconds + bytes_ / bandwidth
