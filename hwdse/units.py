"""The simple leaf modules as values: what each is given, its parameters, streams and memories.

`hwdse.reference` says what they compute; matrix-vector units and thresholds have files of their own.
"""

from collections.abc import Sequence

from hwdse.formats import Format, magnitude
from hwdse.netlist import Memory, Stream, Unit


def fifo(bits: int, depth: int, *, block: bool = False) -> Unit:
    """A queue of `depth` beats; `block`: in block RAM, not in LUTs, from a depth of 3 on."""
    if depth < 1:
        raise ValueError(f"a queue holds at least one beat, not {depth}")
    parameters = {"BITS": bits, "DEPTH": depth, "BLOCK": int(block)}
    return _unit("fifo", parameters, {"in": bits}, {"out": bits})


def width(element_bits: int, lanes_in: int, lanes_out: int) -> Unit:
    """A change of how many elements a beat has; one of the numbers divides the other."""
    if max(lanes_in, lanes_out) % min(lanes_in, lanes_out):
        raise ValueError(f"a width changes by a whole factor, not from {lanes_in} to {lanes_out}")
    parameters = {"ELEMENT": element_bits, "IN": lanes_in, "OUT": lanes_out}
    return _unit("width", parameters, {"in": lanes_in * element_bits}, {"out": lanes_out * element_bits})


def branch(bits: int) -> Unit:
    """Every beat for two readers."""
    return _unit("branch", {"BITS": bits}, {"in": bits}, {"out0": bits, "out1": bits})


def host(bits_in: int, bits_out: int, queue: int) -> Unit:
    """Bytes as beats of `bits_in` bits, behind a queue of `queue` bytes, and beats of `bits_out` bits as bytes."""
    parameters = {"IN_BITS": bits_in, "OUT_BITS": bits_out, "QUEUE": queue, "BLOCK": 1}
    ins, outs = {"bytes_in": 8, "beats_in": bits_out}, {"beats_out": bits_in, "bytes_out": 8}
    return _unit("host", parameters, ins, outs)


def residual_add(fmt: Format, lanes: int, *, narrow: bool = True) -> Unit:
    """Exact sums of two streams of codes, `sum_bits(fmt, 2, narrow)` bits each."""
    bits = sum_bits(fmt, 2, narrow)
    parameters = {"LANES": lanes, **_format("A", fmt), "SUM": bits}
    return _unit("residual_add", parameters, {"a": lanes * fmt.bits, "b": lanes * fmt.bits}, {"out": lanes * bits})


def max_pool(fmt: Format, lanes: int, taps: int) -> Unit:
    """The largest of `taps` codes that come one after the other in each lane."""
    parameters = {"LANES": lanes, "TAPS": taps, **_format("A", fmt)}
    return _unit("max_pool", parameters, {"in": lanes * fmt.bits}, {"out": lanes * fmt.bits})


def sum_pool(fmt: Format, lanes: int, taps: int, groups: int = 1, *, narrow: bool = True, block: bool = False) -> Unit:
    """Exact sums over `taps` pixels of `groups` beats each, `sum_bits(fmt, taps, narrow)` bits each."""
    bits = sum_bits(fmt, taps, narrow)
    parameters = {"LANES": lanes, "GROUPS": groups, "TAPS": taps, **_format("A", fmt), "SUM": bits, "BLOCK": int(block)}
    return _unit("sum_pool", parameters, {"in": lanes * fmt.bits}, {"out": lanes * bits})


def code_table(codes: Sequence[int], out_bits: int, lanes: int, *, block: bool = False) -> Unit:
    """A function of one code, as the output's code for each code of the input: 2, 4, 8, .. of them."""
    bits = (len(codes) - 1).bit_length()
    if len(codes) != 1 << bits or bits == 0:
        raise ValueError(f"a table has an entry for each code, so a power of two of them, not {len(codes)}")
    parameters = {"LANES": lanes, "IN": bits, "OUT": out_bits, "BLOCK": int(block)}
    memory = Memory("codes", out_bits, tuple(codes))
    return _unit("code_table", parameters, {"in": lanes * bits}, {"out": lanes * out_bits}, (memory,))


def sum_bits(fmt: Format, terms: int, narrow: bool = True) -> int:
    """The bits, in two's complement, of every sum of `terms` values of `fmt` in units of its smallest step."""
    return (terms * magnitude(fmt, narrow)).bit_length() + 1


def _format(side: str, fmt: Format) -> dict[str, int]:
    """The parameters that say what a stream's codes are."""
    return {f"{side}E": fmt.exponent, f"{side}M": fmt.mantissa, f"{side}S": int(fmt.signed)}


def _unit(
    module: str,
    parameters: dict[str, int],
    inputs: dict[str, int],
    outputs: dict[str, int],
    memories: tuple[Memory, ...] = (),
) -> Unit:
    ins, outs = (tuple(Stream(name, bits) for name, bits in side.items()) for side in (inputs, outputs))
    return Unit(module, tuple(parameters.items()), ins, outs, memories)
