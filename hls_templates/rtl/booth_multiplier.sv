// Exact product p = v * m of integers by radix-4 Booth digits of m: one carry chain per digit, which
// adds -2, -1, 0, 1 or 2 times v to the chain before it, two bits further up.
//
// A bit of a chain is one function of six inputs (three bits of m, two of v, and the sum so far), so
// half as many chains as m has bits, and no tree on top. Walters, 'Array multipliers for high
// throughput in Xilinx FPGAs with 6-input LUTs', Computers 5(4):20, 2016. Combinational.
`default_nettype none
module booth_multiplier #(
    parameter COLUMNS = 8,        // bits of v
    parameter ROWS = 8,           // bits of m
    parameter COLUMNS_SIGNED = 1,
    parameter ROWS_SIGNED = 1
) (
    input  wire  [     COLUMNS-1:0] v,
    input  wire  [        ROWS-1:0] m,
    output logic [COLUMNS+ROWS-1:0] p
);
  localparam DIGITS = (ROWS_SIGNED != 0) ? (ROWS + 1) / 2 : ROWS / 2 + 1;
  localparam CHAIN = COLUMNS + ((COLUMNS_SIGNED != 0) ? 2 : 3);   // bits that hold 8/3 of v, either sign
  localparam TOP = COLUMNS + ROWS - 2 * (DIGITS - 1);             // bits of the product in the last chain
  wire [2*DIGITS:0] recoded = {{2 * DIGITS - ROWS{(ROWS_SIGNED != 0) & m[ROWS-1]}}, m, 1'b0};
  wire [CHAIN-1:0] once = {{CHAIN - COLUMNS{(COLUMNS_SIGNED != 0) & v[COLUMNS-1]}}, v};
  wire [CHAIN-1:0] twice = {once[CHAIN-2:0], 1'b0};
  genvar k;
  generate
    for (k = 0; k < DIGITS; k = k + 1) begin : digit
      localparam BITS = (k == DIGITS - 1 && TOP < CHAIN) ? TOP : CHAIN;
      wire one = recoded[2*k+1] ^ recoded[2*k];
      wire two = recoded[2*k+2] ? ~(recoded[2*k+1] | recoded[2*k]) : recoded[2*k+1] & recoded[2*k];
      wire [BITS-1:0] multiple = (once[BITS-1:0] & {BITS{one}}) | (twice[BITS-1:0] & {BITS{two}});
      wire [BITS-1:0] so_far;
      wire [BITS-1:0] sum;
      if (k == 0) begin : first
        assign so_far = {BITS{1'b0}};
      end else begin : next
        resize #(.FROM(CHAIN - 2), .TO(BITS), .SIGNED(1)) extend (.x(digit[k-1].sum[CHAIN-1:2]), .y(so_far));
      end
      adder #(.BITS(BITS)) chain (.a(so_far), .b(multiple), .invert(recoded[2*k+2]), .carry(recoded[2*k+2]), .s(sum));
      if (k == DIGITS - 1) begin : upper
        wire [COLUMNS+ROWS-1:2*k] top;
        resize #(.FROM(BITS), .TO(TOP), .SIGNED(1)) cut (.x(sum), .y(top));
        assign p[COLUMNS+ROWS-1:2*k] = top;
      end else begin : lower
        assign p[2*k+1:2*k] = sum[1:0];
      end
    end
  endgenerate
endmodule
`default_nettype wire
