// One adder on one carry chain: s = a + (invert ? ~b : b) + carry.
//
// Every sum of a datapath is an instance of this module, so that a synthesis script can keep each
// on its own chain, with the inversion in the chain's LUTs, instead of leaving it to the tool to
// merge sums into compressors. Combinational.
`default_nettype none
module adder #(
    parameter BITS = 8  // of a, b and s: the caller extends
) (
    input  wire  [BITS-1:0] a,
    input  wire  [BITS-1:0] b,
    input  wire             invert,
    input  wire             carry,
    output logic [BITS-1:0] s
);
  assign s = a + (b ^ {BITS{invert}}) + {{BITS - 1{1'b0}}, carry};
endmodule
`default_nettype wire
