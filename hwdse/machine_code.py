"""Reads the machine code of a GPU kernel: what it takes of a multiprocessor, and what its instructions do.

It is the text that NVIDIA's `nvdisasm -c` and `cuobjdump -res-usage` print of a cubin. Everything that decides how fast
a kernel decodes its weights is in it, and no GPU is needed to have it. `hwdse/kernels/_compile.py` makes the text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What carries an instruction out, by the name before its first dot. Sources: the table of instructions in NVIDIA's
# "CUDA Binary Utilities", and for their rates the table of arithmetic instructions in the CUDA Programming Guide.
GROUPS = {
    "integer": _names(
        "BMSK FLO IABS IADD IADD3 IMAD IMNMX ISETP LEA LOP LOP3 POPC PRMT SEL SGXT SHF VIADD VIADDMNMX VIMNMX VIMNMX3"
    ),
    "float": _names(
        "F2F F2FP F2I FADD FADD2 FCHK FFMA FFMA2 FMNMX FMUL FMUL2 FSEL FSETP HADD2 HFMA2 HMNMX2 HMUL2 HSET2 HSETP2"
        " I2F I2FP I2IP MUFU"
    ),
    "product": _names("HGMMA HMMA IGMMA IMMA QGMMA QMMA UTCHMMA UTCIMMA UTCQMMA"),
    "load": _names("LD LDG LDGSTS UTMALDG"),
    "store": _names("ATOM ATOMG RED REDG ST STG UTMASTG"),
    "shared": _names("ATOMS LDS LDSM STS STSM"),
    "spill": _names("LDL STL"),
}
WORD = 4  # bytes that a load without a width reads
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*(.*?)\s*;")
_LABEL = re.compile(r"^(\.L_\w+):")
_TARGET = re.compile(r"`\((\.L_\w+)\)")
_REGISTERS = re.compile(r"\bREG:(\d+)")


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions that a warp is issued, by what carries them out."""

    integer: int
    float: int  # in 16 or 32 bits, and conversions
    product: int  # of tensor cores
    load: int  # from global memory
    store: int  # to global memory, atomic ones too
    shared: int  # to and from shared memory
    spill: int
    other: int  # moves, branches, barriers, and what is the same for a whole warp

    @property
    def total(self) -> int:
        """All of them: each takes an issue slot."""
        return self.integer + self.float + self.product + self.load + self.store + self.shared + self.spill + self.other


@dataclass(frozen=True, slots=True)
class Product:
    """One kind of tensor-core instruction."""

    name: str  # as the disassembler says: `HGMMA.64x16x16.F32`
    registers: bool  # whether its left operand comes from registers
    count: int


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of load from global memory."""

    name: str
    bytes: int  # of a thread; a tensor-memory copy, which no thread does, counts as 16
    count: int


@dataclass(frozen=True, slots=True)
class MachineCode:
    """One kernel as compiled for one architecture."""

    architecture: int
    registers: int  # of a thread
    shared_bytes: int  # of a program
    warps: int  # of a program
    whole: Counts
    loop: Counts | None  # of one turn of the loop with the most products; None: there is no loop
    products: tuple[Product, ...]
    loads: tuple[Load, ...]

    @property
    def spills(self) -> int:
        """Registers that are kept in memory, and read back."""
        return self.whole.spill

    def of_integer(self, weights: int) -> float:
        """Integer instructions of the whole kernel for each of the `weights` that a thread decodes in a turn."""
        return self.whole.integer / weights


@dataclass(frozen=True, slots=True)
class _Instruction:
    name: str  # with its suffixes
    operands: str

    @property
    def root(self) -> str:
        return self.name.partition(".")[0]


def read(disassembly: str, usage: str, *, architecture: int, warps: int, shared_bytes: int) -> MachineCode:
    """The kernel whose `disassembly` and resource `usage` these are; ValueError where they are none."""
    listed, labels = _listed(disassembly)
    registers = _REGISTERS.search(usage)
    if not listed or registers is None:
        raise ValueError(f"a kernel has instructions and registers; {len(listed)} and {registers} were found")
    loop = _loop(listed, labels)
    return MachineCode(
        architecture,
        int(registers[1]),
        shared_bytes,
        warps,
        _counts(listed),
        None if loop is None else _counts(loop),
        _products(listed),
        _loads(listed),
    )


def _listed(disassembly: str) -> tuple[list[_Instruction], dict[str, int]]:
    """The instructions in order, and which of them each label stands before."""
    found, labels = list[_Instruction](), dict[str, int]()
    for line in disassembly.splitlines():
        if (label := _LABEL.match(line)) is not None:
            labels[label[1]] = len(found)
        elif (match := _INSTRUCTION.match(line)) is not None and match[1] != "NOP":
            found.append(_Instruction(match[1], match[2]))
    return found, labels


def _loop(listed: Sequence[_Instruction], labels: dict[str, int]) -> Sequence[_Instruction] | None:
    """The body of the loop with the most products, of equals the shortest; a loop ends in a branch backwards.

    The endless branch to itself with which code ends is no loop.
    """
    bodies = []
    for at, one in enumerate(listed):
        target = _TARGET.search(one.operands) if one.root == "BRA" else None
        start = labels.get(target[1], at) if target is not None else at
        if start < at:
            bodies.append(listed[start : at + 1])
    return max(bodies, key=lambda body: (sum(one.root in GROUPS["product"] for one in body), -len(body)), default=None)


def _counts(listed: Iterable[_Instruction]) -> Counts:
    roots = Counter(one.root for one in listed)
    counted = {name: sum(roots[root] for root in group) for name, group in GROUPS.items()}
    return Counts(**counted, other=sum(roots.values()) - sum(counted.values()))


def _products(listed: Iterable[_Instruction]) -> tuple[Product, ...]:
    found = Counter((one.name, _in_registers(one)) for one in listed if one.root in GROUPS["product"])
    return tuple(Product(name, registers, count) for (name, registers), count in sorted(found.items()))


def _in_registers(product: _Instruction) -> bool:
    """Operands are the sums, the left and the right; in shared memory they are descriptors: `gdesc[UR4]`."""
    _, left, *_ = [part.strip() for part in product.operands.split(",")]
    return re.match(r"R\d", left) is not None


def _loads(listed: Iterable[_Instruction]) -> tuple[Load, ...]:
    found = Counter(one.name for one in listed if one.root in GROUPS["load"])
    return tuple(Load(name, _width(name), count) for name, count in sorted(found.items()))


def _width(name: str) -> int:
    root, *suffixes = name.split(".")
    widths = {"128": 16, "64": 8, "U16": 2, "S16": 2, "U8": 1, "S8": 1}
    return 16 if root == "UTMALDG" else next((widths[one] for one in suffixes if one in widths), WORD)
