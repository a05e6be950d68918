"""How many block RAMs of 18 Kb a memory takes: FINN-R (Blott et al., 2018), as FINN has it for its weights."""


def up(whole: int, part: int) -> int:
    """`whole / part`, rounded up."""
    return -(-whole // part)


def bram18s(width: int, depth: int, *, parity: bool = True) -> int:
    """Block RAMs of a memory of `depth` words of `width` bits; without `parity` a byte has 8 bits and not 9.

    Source: `bram_estimation` of matrixvectoractivation.py and elementwise_binary.py (with parity), and of
    vectorvectoractivation.py (without).
    """
    nine = 9 if parity else 8
    if width <= 4:  # 16384 bits, in words of 1, 2 or 4
        return up(depth, 16384 // (1 if width == 1 else 2 if width == 2 else 4))
    if width <= 9:
        return up(depth, 2048) * up(width, nine)
    if width <= 18 or depth > 512:
        return up(depth, 1024) * up(width, 2 * nine)
    return up(depth, 512) * up(width, 4 * nine)


def urams(width: int, depth: int) -> int:
    """UltraRAMs of a memory."""
    return up(width, 72) * up(depth, 4096)
