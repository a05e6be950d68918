// Exact integer product p = a * b, two's complement if either operand is signed.
//
// METHOD 0: `*`, which a tool may put into a DSP block. 1: rows on carry chains, as many as the narrower
// operand has bits. 2: Booth digits of b. 3: Booth digits of a. Combinational.
`default_nettype none
module multiplier #(
    parameter A = 4,
    parameter B = 4,
    parameter A_SIGNED = 1,
    parameter B_SIGNED = 1,
    parameter METHOD = 1
) (
    input  wire  [  A-1:0] a,
    input  wire  [  B-1:0] b,
    output logic [A+B-1:0] p
);
  generate
    if (METHOD == 0) begin : star
      wire signed [A:0] x = {(A_SIGNED != 0) & a[A-1], a};
      wire signed [B:0] y = {(B_SIGNED != 0) & b[B-1], b};
      wire signed [A+B+1:0] full = x * y;
      wire [1:0] unused = full[A+B+1:A+B];
      assign p = full[A+B-1:0];
    end else if (METHOD == 2) begin : digits_of_b
      booth_multiplier #(
          .COLUMNS(A), .ROWS(B), .COLUMNS_SIGNED(A_SIGNED), .ROWS_SIGNED(B_SIGNED)
      ) digits (.v(a), .m(b), .p(p));
    end else if (METHOD == 3) begin : digits_of_a
      booth_multiplier #(
          .COLUMNS(B), .ROWS(A), .COLUMNS_SIGNED(B_SIGNED), .ROWS_SIGNED(A_SIGNED)
      ) digits (.v(b), .m(a), .p(p));
    end else if (A >= B) begin : rows_of_b
      row_multiplier #(
          .COLUMNS(A), .ROWS(B), .COLUMNS_SIGNED(A_SIGNED), .ROWS_SIGNED(B_SIGNED)
      ) rows (.v(a), .m(b), .p(p));
    end else begin : rows_of_a
      row_multiplier #(
          .COLUMNS(B), .ROWS(A), .COLUMNS_SIGNED(B_SIGNED), .ROWS_SIGNED(A_SIGNED)
      ) rows (.v(b), .m(a), .p(p));
    end
  endgenerate
endmodule
`default_nettype wire
