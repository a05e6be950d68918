// hls_templates/rtl/adder.sv for yosys: the same sum as its own `$alu` cell, which is one carry chain.
//
// `a + b + carry` would become a three-operand `$macc`. Lattice and Gowin chains invert b for free
// (`BI`), AMD ones in the LUT in front.
module adder #(
    parameter BITS = 8
) (
    input  wire [BITS-1:0] a,
    input  wire [BITS-1:0] b,
    input  wire            invert,
    input  wire            carry,
    output wire [BITS-1:0] s
);
  wire [BITS-1:0] x, co;
  \$alu #(
      .A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(BITS), .B_WIDTH(BITS), .Y_WIDTH(BITS)
  ) chain (.A(a), .B(b), .BI(invert), .CI(carry), .X(x), .Y(s), .CO(co));
endmodule
