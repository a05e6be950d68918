// The code of a number's place among the 2**BITS codes of its format in ascending order. Combinational; at most
// an inverter a bit: two's complement counts from the least number, and the lower half of the codes with sign and
// magnitude counts magnitudes down, -0 the last.
`default_nettype none
module index_code #(
    parameter E = 0,       // exponent bits; 0 for an integer
    parameter SIGNED = 1,
    parameter BITS = 8
) (
    input  wire  [BITS-1:0] index,
    output logic [BITS-1:0] code
);
  wire low = (SIGNED != 0) & !index[BITS-1];
  assign code = {index[BITS-1] ^ (SIGNED != 0), index[BITS-2:0] ^ {BITS - 1{low & (E != 0)}}};
endmodule
`default_nettype wire
