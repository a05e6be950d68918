// Exact product p = v * m of integers: partial-product rows in pairs, each pair on one carry
// chain, joined by a balanced tree of chains whose low bits pass by.
//
// A LUT6 holds both ANDs of a bit of a pair and its adder, which a plain `*` does not get from
// every tool. Put the narrower operand in `m`. Recursive: ROWS rows are the largest power of two
// below ROWS, and the rest. Combinational.
`default_nettype none
module row_multiplier #(
    parameter COLUMNS = 4,       // bits of v
    parameter ROWS = 4,          // bits of m
    parameter COLUMNS_SIGNED = 1,
    parameter ROWS_SIGNED = 1    // the top row counts negatively
) (
    input  wire  [     COLUMNS-1:0] v,
    input  wire  [        ROWS-1:0] m,
    output logic [COLUMNS+ROWS-1:0] p
);
  generate
    if (ROWS == 1) begin : one
      wire [COLUMNS-1:0] row = v & {COLUMNS{m[0]}};
      wire fill = (COLUMNS_SIGNED != 0) & row[COLUMNS-1];
      if (ROWS_SIGNED != 0) begin : negative
        adder #(.BITS(COLUMNS + 1)) minus (
            .a({COLUMNS + 1{1'b0}}), .b({fill, row}), .invert(1'b1), .carry(1'b1), .s(p)
        );
      end else begin : positive
        assign p = {fill, row};
      end
    end else if (ROWS == 2) begin : pair
      wire [COLUMNS-1:0] low = v & {COLUMNS{m[0]}};
      wire [COLUMNS-1:0] high = v & {COLUMNS{m[1]}};
      wire [1:0] fill = (COLUMNS_SIGNED != 0) ? {high[COLUMNS-1], low[COLUMNS-1]} : 2'b00;
      wire [COLUMNS+1:0] wide = {fill[0], fill[0], low};
      wire unused = wide[0];
      wire [COLUMNS:0] sum;
      adder #(.BITS(COLUMNS + 1)) chain (
          .a(wide[COLUMNS+1:1]), .b({fill[1], high}), .invert(ROWS_SIGNED != 0), .carry(ROWS_SIGNED != 0), .s(sum)
      );
      assign p = {sum, low[0]};
    end else begin : tree
      localparam LOW = 1 << ($clog2(ROWS) - 1);
      localparam HIGH = ROWS - LOW;
      localparam SINGLE = (HIGH == 1) ? 1 : 0;  // a single negative row is subtracted where it meets the others
      localparam MINUS = (SINGLE != 0) && (ROWS_SIGNED != 0);
      localparam BITS = COLUMNS + HIGH;
      wire [COLUMNS+LOW-1:0] low;
      wire [BITS-1:0] high;
      row_multiplier #(
          .COLUMNS(COLUMNS), .ROWS(LOW), .COLUMNS_SIGNED(COLUMNS_SIGNED), .ROWS_SIGNED(0)
      ) lows (.v(v), .m(m[LOW-1:0]), .p(low));
      row_multiplier #(
          .COLUMNS(COLUMNS), .ROWS(HIGH), .COLUMNS_SIGNED(COLUMNS_SIGNED),
          .ROWS_SIGNED((SINGLE != 0) ? 0 : ROWS_SIGNED)
      ) highs (.v(v), .m(m[ROWS-1:LOW]), .p(high));
      wire fill = (COLUMNS_SIGNED != 0) & low[COLUMNS+LOW-1];
      wire [BITS-1:0] sum;
      adder #(.BITS(BITS)) join_rows (
          .a({{HIGH{fill}}, low[COLUMNS+LOW-1:LOW]}), .b(high), .invert(MINUS), .carry(MINUS), .s(sum)
      );
      assign p = {sum, low[LOW-1:0]};
    end
  endgenerate
endmodule
`default_nettype wire
