// Exact sums to codes of any format, by all comparisons at once: for formats with few levels.
//
// A beat has LANES sums of ACC bits in two's complement; beat t belongs to group t mod WORDS of the
// channels, and each channel has COUNT thresholds in ascending order, the first for the least number
// but one of its format. They are COUNT * (ACC + WIDE) bits of a word of `<MEMORY>lane<000>.hex`,
// the first lowest; a word is a group. FIRST is how many codes lie below the least number.
// One beat a cycle; a beat appears one cycle after it was taken.
`default_nettype none
module threshold_parallel #(
    parameter LANES = 1,
    parameter WORDS = 1,
    parameter ACC = 16,
    parameter WIDE = 0,  // 1: some threshold is above every number of ACC bits
    parameter COUNT = 14,
    parameter FIRST = 1,
    parameter OE = 0,
    parameter OM = 3,
    parameter OS = 1,
    parameter BLOCK = 0,  // the smallest number of words that goes to block RAM, 0 for none
    parameter MEMORY = "unit_",
    parameter OB = OS + OE + OM
) (
    input  wire                  clk,
    input  wire                  rst,
    input  wire                  in_valid,
    output logic                 in_ready,
    input  wire  [LANES*ACC-1:0] in_data,
    output logic                 out_valid,
    input  wire                  out_ready,
    output logic [ LANES*OB-1:0] out_data
);
  localparam T = ACC + WIDE;
  localparam GROUP = (WORDS > 1) ? $clog2(WORDS) : 1;
  localparam TOP = (1 << OB) - 1;  // places between two codes
  localparam ZERO = (OE != 0 && OS != 0) ? 1 << (OB - 1) : 1 << OB;  // of +0, which -0 shares its threshold with
  wire [GROUP-1:0] next_group;  // of the beat that is here in the next cycle
  wire step = !out_valid || out_ready;
  assign in_ready = step;
  always_ff @(posedge clk) begin
    if (rst) out_valid <= 1'b0;
    else if (step) out_valid <= in_valid;
  end

  genvar i, k;
  generate
    if (WORDS > 1) begin : several_groups
      logic [GROUP-1:0] group;
      wire [GROUP-1:0] following = (group == GROUP'(WORDS - 1)) ? {GROUP{1'b0}} : group + 1'b1;
      assign next_group = rst ? {GROUP{1'b0}} : (step && in_valid) ? following : group;
      always_ff @(posedge clk) group <= next_group;
    end else begin : one_group
      assign next_group = 1'b0;
    end

    for (i = 0; i < LANES; i = i + 1) begin : lane
      localparam [23:0] NAME = {8'(48 + i / 100), 8'(48 + i / 10 % 10), 8'(48 + i % 10)};
      wire [COUNT*T-1:0] thresholds;
      wire [COUNT-1:0] reached;
      wire [TOP-1:0] above;  // whether the index is above each place
      wire [T-1:0] sum;
      wire [OB-1:0] index, code;
      rom #(
          .FILE({MEMORY, "lane", NAME, ".hex"}),
          .WORDS(WORDS), .BITS(COUNT * T), .BLOCK((BLOCK != 0 && WORDS >= BLOCK) ? 1 : 0)
      ) memory (
          .clk(clk), .read(1'b1), .address(next_group), .data(thresholds)
      );
      resize #(.FROM(ACC), .TO(T)) widen (.x(in_data[i*ACC+:ACC]), .y(sum));
      for (k = 0; k < COUNT; k = k + 1) begin : compare
        assign reached[k] = $signed(sum) >= $signed(thresholds[k*T+:T]);
      end
      for (k = 0; k < TOP; k = k + 1) begin : place
        localparam K = k - FIRST - ((k + 1 >= ZERO) ? 1 : 0);
        if (k < FIRST) begin : below
          assign above[k] = 1'b1;
        end else if (K >= COUNT) begin : beyond
          assign above[k] = 1'b0;
        end else begin : between
          assign above[k] = reached[K];
        end
      end
      thermometer #(.BITS(OB)) read (.reached(above), .count(index));
      index_code #(.E(OE), .SIGNED(OS), .BITS(OB)) encode (.index(index), .code(code));
      always_ff @(posedge clk) if (step) out_data[i*OB+:OB] <= code;
    end
  endgenerate
endmodule
`default_nettype wire
