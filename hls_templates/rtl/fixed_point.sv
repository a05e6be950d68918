// The value of a code in units of its smallest step: two's complement if SIGNED, else unsigned.
//
// An integer is itself. A minifloat's significand is shifted by its exponent, then negated if its
// sign is set; WIDTH holds the largest magnitude and the sign. Combinational.
`default_nettype none
module fixed_point #(
    parameter E = 2,
    parameter M = 1,
    parameter SIGNED = 1,
    parameter BITS = SIGNED + E + M,
    parameter WIDTH = (E == 0) ? BITS : SIGNED + M + (1 << E) - 1
) (
    input  wire  [ BITS-1:0] code,
    output logic [WIDTH-1:0] value
);
  genvar i;
  generate
    if (E == 0) begin : integer_code
      assign value = code;
    end else begin : minifloat
      wire sign;
      wire [M:0] magnitude;
      wire [E-1:0] shift;
      significand #(.E(E), .M(M), .SIGNED(SIGNED)) split (
          .code(code), .sign(sign), .magnitude(magnitude), .shift(shift)
      );
      if (SIGNED != 0) begin : negated  // the significand, so that the shifter carries the sign
        wire [M+1:0] whole = {1'b0, magnitude};
        wire [M+1:0] signed_whole;
        assign signed_whole[0] = whole[0];
        for (i = 1; i < M + 2; i = i + 1) begin : negate
          assign signed_whole[i] = whole[i] ^ (sign & |whole[i-1:0]);
        end
        assign value = {{WIDTH - M - 2{signed_whole[M+1]}}, signed_whole} << shift;
      end else begin : positive
        wire unused = sign;
        assign value = {{WIDTH - M - 1{1'b0}}, magnitude} << shift;
      end
    end
  endgenerate
endmodule
`default_nettype wire
