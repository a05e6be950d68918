// Splits a code into sign, significand and shift: value = (-1)^sign * magnitude << shift.
//
// An integer (E = 0) is its own significand, two's complement if SIGNED; its sign stays in it and
// `sign` is 0. A minifloat is {sign, e[E], m[M]}, every code finite: the hidden bit is e != 0, and
// the shift is e - 1, or 0 for subnormals. Combinational.
`default_nettype none
module significand #(
    parameter E = 2,
    parameter M = 1,
    parameter SIGNED = 1,
    parameter BITS = SIGNED + E + M,
    parameter WIDTH = (E == 0) ? BITS : M + 1,  // of the magnitude
    parameter SHIFT = (E == 0) ? 1 : E          // bits of the shift
) (
    input  wire  [ BITS-1:0] code,
    output logic             sign,
    output logic [WIDTH-1:0] magnitude,
    output logic [SHIFT-1:0] shift
);
  generate
    if (E == 0) begin : integer_code
      assign sign = 1'b0;
      assign magnitude = code;
      assign shift = 1'b0;
    end else begin : minifloat
      wire [E-1:0] e = code[M+:E];
      wire normal = |e;
      assign sign = (SIGNED != 0) & code[BITS-1];
      if (M == 0) begin : power_of_two
        assign magnitude = normal;
      end else begin : with_mantissa
        assign magnitude = {normal, code[M-1:0]};
      end
      if (E == 1) begin : uniform
        assign shift = 1'b0;
      end else begin : shifted
        // e - 1 in gates: a carry chain would keep it apart from the shifter
        assign shift[0] = normal & ~e[0];
        genvar i;
        for (i = 1; i < E; i = i + 1) begin : digit
          assign shift[i] = normal & (e[i] ^ ~(|e[i-1:0]));
        end
      end
    end
  endgenerate
endmodule
`default_nettype wire
