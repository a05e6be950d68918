"""Hardware as a value: netlists that fit together, the files that they become, and the names of leaf modules."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hwdse import netlist
from hwdse.netlist import Instance, Memory, Netlist, Stream, Unit, closure, modules, rtl_digest, source
from hwdse.units import branch, code_table, fifo, width

FOLDER = Path(__file__).parents[2] / "hls_templates" / "rtl"


@pytest.fixture
def changed() -> Iterator[None]:
    """Forgets what was read, before and after."""
    caches = (netlist.modules, netlist.source, netlist.closure, netlist.rtl_digest)
    for function in caches:
        function.cache_clear()
    yield
    for function in caches:
        function.cache_clear()


def test_values_are_code() -> None:
    for value in (Stream("in", 8), Memory("m", 4, (1, 2)), fifo(8, 4), Netlist.of(fifo(8, 4))):
        assert eval(repr(value)) == value
    assert fifo(8, 4).name == "fifo(BITS=8, DEPTH=4, BLOCK=0)"


@pytest.mark.parametrize("bits", [0, -3])
def test_a_stream_has_bits(bits: int) -> None:
    with pytest.raises(ValueError, match=f"^a stream has at least one bit, unlike 'in' with {bits}$"):
        Stream("in", bits)


def test_memories() -> None:
    assert Memory("m", 1, (0, 1)).content == b"0\n1\n"
    assert Memory("m", 9, (5, 0x1FF)).content == b"005\n1ff\n"
    assert Memory("m", 8, ()).content == b""


def joined(*ends: tuple[str, str]) -> Netlist:
    """Queues of 8 bits between the given nets."""
    return Netlist(tuple(Instance(f"u{i}", fifo(8, 2), (("in", a), ("out", b))) for i, (a, b) in enumerate(ends)))


def test_what_does_not_fit_together() -> None:
    with pytest.raises(ValueError, match=r"^one unit drives a net, but 2 drive 'b'$"):
        joined(("a", "b"), ("c", "b"))
    with pytest.raises(ValueError, match=r"^one unit reads a net, but 3 read 'a'$"):
        joined(("a", "b"), ("a", "c"), ("a", "d"))
    with pytest.raises(ValueError, match=r"^net 'net0' is written with 8 bits and read with 9$"):
        Netlist.chain(fifo(8, 2), fifo(9, 2))


def test_ports() -> None:
    assert joined(("a", "b"), ("c", "a")).inputs == (Stream("c", 8),)
    assert joined(("a", "b"), ("c", "a")).outputs == (Stream("b", 8),)
    one = Netlist.of(branch(4))
    assert one.inputs == (Stream("in", 4),)
    assert one.outputs == (Stream("out0", 4), Stream("out1", 4))


def test_a_chain() -> None:
    chain = Netlist.chain(fifo(8, 2), width(8, 1, 3), fifo(24, 5))
    assert [instance.name for instance in chain.instances] == ["u0_fifo", "u1_width", "u2_fifo"]
    assert [instance.nets for instance in chain.instances] == [
        (("in", "in"), ("out", "net0")),
        (("in", "net0"), ("out", "net1")),
        (("in", "net1"), ("out", "out")),
    ]
    assert (chain.inputs, chain.outputs) == ((Stream("in", 8),), (Stream("out", 24),))
    single = Netlist.chain(fifo(8, 2))
    assert (single.inputs, single.outputs) == ((Stream("in", 8),), (Stream("out", 8),))


def test_files() -> None:
    chain = Netlist.chain(code_table([3, 2, 1, 0], 2, 1), fifo(2, 4))
    names = [name for name, _ in chain.files]
    leaves = sorted({*closure("code_table"), *closure("fifo")})
    assert names == ["top.sv", *(f"{leaf}.sv" for leaf in leaves), *names[1 + len(leaves) :]]
    files = dict(chain.files)
    for leaf in leaves:
        assert files[f"{leaf}.sv"] == (FOLDER / f"{leaf}.sv").read_bytes()
    (memory,) = chain.instances[0].unit.memories
    assert names[1 + len(leaves) :] == [f"u0_code_table_{memory.name}.hex"]
    assert files[names[-1]] == memory.content


def test_the_generated_module() -> None:
    (top, *_) = Netlist.chain(fifo(8, 2), fifo(8, 3)).files
    ports = "clk(clk), .rst(rst)"
    assert top == (
        "top.sv",
        f"""module top (
  input logic clk,
  input logic rst,
  input logic in_valid,
  output logic in_ready,
  input logic [7:0] in_data,
  output logic out_valid,
  input logic out_ready,
  output logic [7:0] out_data
);
  logic net0_valid, net0_ready;
  logic [7:0] net0_data;
  fifo #(.BITS(8), .DEPTH(2), .BLOCK(0)) u0_fifo (
    .{ports}, .in_valid(in_valid), .in_ready(in_ready), .in_data(in_data), .out_valid(net0_valid), \
.out_ready(net0_ready), .out_data(net0_data)
  );
  fifo #(.BITS(8), .DEPTH(3), .BLOCK(0)) u1_fifo (
    .{ports}, .in_valid(net0_valid), .in_ready(net0_ready), .in_data(net0_data), .out_valid(out_valid), \
.out_ready(out_ready), .out_data(out_data)
  );
endmodule
""".encode(),
    )


def test_a_memory_is_named_by_its_instance() -> None:
    unit = Unit("fifo", (("BITS", 8),), (Stream("in", 8),), (Stream("out", 8),), (Memory("m", 8, (1,)),))
    text = Netlist.of(unit).files[0][1].decode()
    assert '  fifo #(.BITS(8), .MEMORY("unit_")) unit (\n' in text
    assert ".MEMORY" not in Netlist.of(replace(unit, memories=())).files[0][1].decode()


def test_leaf_modules_are_files() -> None:
    assert list(modules()) == sorted(path.stem for path in FOLDER.glob("*.sv"))
    for module in modules():
        assert f"\nmodule {module} " in source(module)
    known = ", ".join(modules())
    with pytest.raises(ValueError, match=f"^no leaf module 'nothing'; known: {known}$"):
        source("nothing")


def test_closure() -> None:
    assert closure("adder") == ("adder",)
    assert closure("row_multiplier") == ("adder", "row_multiplier")  # itself, recursively, counts once
    assert closure("booth_multiplier") == ("adder", "booth_multiplier", "resize")
    assert closure("rom") == ("rom",)
    dot = {"adder", "adder_tree", "booth_multiplier", "dot", "fixed_point", "multiplier", "packed_products", "product"}
    assert set(closure("dot")) == dot | {"resize", "ripple_adder", "row_multiplier", "significand"}
    assert set(closure("mvu")) == set(closure("mvu_core")) | {"mvu", "rom"}
    assert {*closure("dot"), "accumulator", "passes", "ram"} <= set(closure("mvu_core"))


def test_a_digest_changes_with_every_module_below(monkeypatch: pytest.MonkeyPatch, changed: None) -> None:
    texts = {module: source(module) for module in modules()}
    before = {module: rtl_digest(module) for module in modules()}
    assert all(len(digest) == 16 for digest in before.values())
    assert len(set(before.values())) == len(before)
    for touched in ("adder", "product", "fifo"):
        below = {module for module in modules() if touched in closure(module)}
        with monkeypatch.context() as patch:
            patch.setattr(netlist, "source", lambda name, touched=touched: texts[name] + " " * (name == touched))
            netlist.rtl_digest.cache_clear()
            after = {module: rtl_digest(module) for module in modules()}
        assert {module for module in modules() if after[module] != before[module]} == below
        netlist.rtl_digest.cache_clear()
    assert {module: rtl_digest(module) for module in modules()} == before
