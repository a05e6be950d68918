"""The reader of machine code, on code written in the disassembler's form."""

import pytest

from hwdse.machine_code import Counts, Load, MachineCode, Product, read

USAGE = """
Resource usage:
 Common:
  GLOBAL:0
 Function kernel:
  REG:153 STACK:0 SHARED:1024 LOCAL:0 CONSTANT[0]:592 TEXTURE:0 SURFACE:0 SAMPLER:0
"""
CODE = """
\t.target\tsm_90a
kernel:
.text.kernel:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 LDG.E R4, desc[UR4][R2.64] ;
        /*0020*/                   LDGSTS.E.BYPASS.128 [R145], desc[UR24][R4.64], P1 ;
        /*0030*/               @P0 BRA `(.L_x_1) ;
.L_x_0:
        /*0040*/                   LOP3.LUT R4, R3.reuse, 0x20, R4, 0xfe, !PT ;
        /*0050*/                   SHF.R.U32.HI R3, RZ, 0x3, R139 ;
        /*0060*/              @UP0 ULOP3.LUT UR4, UR4, 0x1, URZ, 0xc0, !UPT ;
        /*0070*/                   HGMMA.64x16x16.F32 R32, R80, gdesc[UR24], R32 ;
        /*0080*/                   HGMMA.64x16x16.F32 R32, gdesc[UR20], R32, gsb0 ;
        /*0090*/                   LDSM.16.M88.4 R8, [R9] ;
        /*00a0*/                   STL [R1], R4 ;
        /*00b0*/               @P1 BRA `(.L_x_0) ;
.L_x_1:
        /*00c0*/                   FMUL R4, R4, R5 ;
        /*00d0*/                   IMAD R4, R4, R5, RZ ;
.L_x_2:
        /*00e0*/                   BRA `(.L_x_2) ;
        /*00f0*/                   STG.E.128 desc[UR4][R2.64], R4 ;
        /*0100*/                   NOP;
"""


def code(text: str = CODE, usage: str = USAGE) -> MachineCode:
    """`text` as a kernel of four warps."""
    return read(text, usage, architecture=90, warps=4, shared_bytes=2048)


def test_what_a_kernel_takes() -> None:
    found = code()
    assert (found.architecture, found.registers, found.shared_bytes, found.warps) == (90, 153, 2048, 4)
    assert found.spills == 1


def test_instructions_by_what_carries_them_out() -> None:
    # By hand: LOP3, SHF, IMAD; FMUL; two HGMMA; LDG and LDGSTS; STG; LDSM; STL; LDC, ULOP3 and three branches.
    assert code().whole == Counts(integer=3, float=1, product=2, load=2, store=1, shared=1, spill=1, other=5)
    assert code().whole.total == 16  # all but the NOP
    assert code().of_integer(6) == 0.5


def test_the_loop_ends_in_a_branch_backwards() -> None:
    assert code().loop == Counts(integer=2, float=0, product=2, load=0, store=0, shared=1, spill=1, other=2)
    straight = CODE.replace("@P1 BRA `(.L_x_0)", "@P1 BRA `(.L_x_1)")
    assert code(straight).loop is None  # forwards, and the branch to itself, make none


def test_the_main_loop_has_the_most_products_and_is_the_innermost() -> None:
    outer = CODE.replace("FMUL R4, R4, R5 ;", "FMUL R4, R4, R5 ;\n        /*00c8*/  @P2 BRA `(.L_x_0) ;")
    assert code(outer).loop == code().loop
    other = CODE.replace("IMAD R4, R4, R5, RZ ;", "IMAD R4, R4, R5, RZ ;\n        /*00d8*/  @P2 BRA `(.L_x_1) ;")
    assert code(other).loop == code().loop


def test_products_say_where_their_left_operand_is() -> None:
    name = "HGMMA.64x16x16.F32"
    assert code().products == (Product(name, registers=False, count=1), Product(name, registers=True, count=1))


def test_widths_of_loads() -> None:
    assert code().loads == (Load("LDG.E", 4, 1), Load("LDGSTS.E.BYPASS.128", 16, 1))
    wide = CODE.replace("LDG.E R4", "UTMALDG.2D [UR4]").replace("LDGSTS.E.BYPASS.128", "LDG.E.U8")
    assert code(wide).loads == (Load("LDG.E.U8", 1, 1), Load("UTMALDG.2D", 16, 1))


@pytest.mark.parametrize(("text", "usage", "found"), [("", USAGE, "0 and .*REG:153.*"), (CODE, "", "16 and None")])
def test_text_that_is_no_kernel(text: str, usage: str, found: str) -> None:
    with pytest.raises(ValueError, match=f"^a kernel has instructions and registers; {found} were found$"):
        code(text, usage)
