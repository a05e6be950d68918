// The exact sum of LANES numbers in two's complement (or unsigned) and of up to LANES - 1 carries:
// a balanced tree of adders, each on its carry chain, each taking one carry.
//
// Levels widen by a bit until the sum's own width BITS. Recursive: the lower lanes are the
// largest power of two below LANES. Combinational.
`default_nettype none
module adder_tree #(
    parameter LANES = 4,
    parameter WIDTH = 8,     // of a lane
    parameter BITS = 10,     // of the sum: WIDTH + $clog2(LANES), or fewer if every sum fits
    parameter SIGNED = 1
) (
    input  wire  [LANES*WIDTH-1:0] x,
    input  wire  [      LANES-1:0] carries,  // the last one is not used
    output logic [       BITS-1:0] s
);
  generate
    if (LANES == 1) begin : leaf
      wire unused = carries[0];
      resize #(.FROM(WIDTH), .TO(BITS), .SIGNED(SIGNED)) widen (.x(x), .y(s));
    end else begin : node
      localparam LOW = 1 << ($clog2(LANES) - 1);
      localparam HIGH = LANES - LOW;
      localparam LOW_BITS = (WIDTH + $clog2(LOW) < BITS) ? WIDTH + $clog2(LOW) : BITS;
      localparam HIGH_BITS = (WIDTH + $clog2(HIGH) < BITS) ? WIDTH + $clog2(HIGH) : BITS;
      localparam SUM_BITS = (LOW_BITS + 1 < BITS) ? LOW_BITS + 1 : BITS;
      wire [LOW_BITS-1:0] low;
      wire [HIGH_BITS-1:0] high;
      wire [SUM_BITS-1:0] wide_low, wide_high, sum;
      adder_tree #(.LANES(LOW), .WIDTH(WIDTH), .BITS(LOW_BITS), .SIGNED(SIGNED)) lows (
          .x(x[LOW*WIDTH-1:0]), .carries(carries[LOW-1:0]), .s(low)
      );
      adder_tree #(.LANES(HIGH), .WIDTH(WIDTH), .BITS(HIGH_BITS), .SIGNED(SIGNED)) highs (
          .x(x[LANES*WIDTH-1:LOW*WIDTH]), .carries(carries[LOW+:HIGH]), .s(high)
      );
      resize #(.FROM(LOW_BITS), .TO(SUM_BITS), .SIGNED(SIGNED)) widen_low (.x(low), .y(wide_low));
      resize #(.FROM(HIGH_BITS), .TO(SUM_BITS), .SIGNED(SIGNED)) widen_high (.x(high), .y(wide_high));
      adder #(.BITS(SUM_BITS)) add (.a(wide_low), .b(wide_high), .invert(1'b0), .carry(carries[LOW-1]), .s(sum));
      resize #(.FROM(SUM_BITS), .TO(BITS), .SIGNED(SIGNED)) widen (.x(sum), .y(s));
    end
  endgenerate
endmodule
`default_nettype wire
