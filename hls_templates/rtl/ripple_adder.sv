// s = a + b in gates: for a few bits, whose functions a tool merges with the logic around them as it
// cannot across a carry chain. Combinational.
`default_nettype none
module ripple_adder #(
    parameter BITS = 3
) (
    input  wire  [BITS-1:0] a,
    input  wire  [BITS-1:0] b,
    output logic [BITS-1:0] s
);
  genvar i;
  generate
    for (i = 0; i < BITS; i = i + 1) begin : digit
      wire carry;
      if (i == 0) begin : first
        assign carry = 1'b0;
      end else begin : next
        assign carry = (a[i-1] & b[i-1]) | (digit[i-1].carry & (a[i-1] ^ b[i-1]));
      end
      assign s[i] = a[i] ^ b[i] ^ carry;
    end
  endgenerate
endmodule
`default_nettype wire
