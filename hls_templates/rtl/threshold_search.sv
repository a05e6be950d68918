// Exact sums to codes of any format, by binary search: a pipeline of one comparison for each bit of the code.
//
// A beat has LANES sums of ACC bits in two's complement; beat t belongs to group t mod WORDS of the
// channels, and each channel has 2**OB - 1 thresholds in ascending order. The index of a sum is the
// number of thresholds that it reaches. The code is the index for an unsigned format, the index less
// 2**(OB-1) in two's complement, and for sign and magnitude the lower half of the indices counts
// magnitudes down. Indices that stand for no number, or for -0, are skipped by equal thresholds.
//
// Step s compares with one of 2**s thresholds of each group, from a memory of its own in each lane:
// `<MEMORY>lane<000>_step<s>.hex`, ACC + WIDE bits a word, at address {group, bits of the index so far}.
// BLOCK is the smallest number of words that goes to block RAM, 0 for none.
// One beat a cycle; a beat appears OB cycles after it was taken. The pipeline stalls as a whole.
`default_nettype none
module threshold_search #(
    parameter LANES = 1,
    parameter WORDS = 1,
    parameter ACC = 16,
    parameter WIDE = 0,  // 1: some threshold is above every number of ACC bits
    parameter OE = 0,
    parameter OM = 7,
    parameter OS = 1,
    parameter BLOCK = 0,
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
  // Of the beats in steps 1, 2, ..: their sums, groups, and 1, 2, .. bits of each index.
  logic [(OB-1)*LANES*ACC-1:0] sums;
  logic [(OB-1)*OB/2*LANES-1:0] known;
  wire [OB*(OB+1)/2*LANES-1:0] found;  // what steps 0, 1, .. know after their comparison: 1, 2, .. bits
  wire [(OB-1)*GROUP-1:0] groups;  // of the beats in steps 0, 1, .. up to the last but one
  wire [GROUP-1:0] next_group;  // of the beat that is in step 0 in the next cycle
  logic [OB:1] valid;
  wire step = !out_valid || out_ready;
  assign in_ready = step;
  assign out_valid = valid[OB];
  always_ff @(posedge clk) begin
    if (rst) valid <= {OB{1'b0}};
    else if (step) valid <= {valid[OB-1:1], in_valid};
  end

  genvar s, i;
  generate
    if (WORDS > 1) begin : several_groups
      logic [(OB-1)*GROUP-1:0] numbers;
      wire [GROUP-1:0] group = numbers[GROUP-1:0];
      wire [GROUP-1:0] following = (group == GROUP'(WORDS - 1)) ? {GROUP{1'b0}} : group + 1'b1;
      assign next_group = rst ? {GROUP{1'b0}} : (step && in_valid) ? following : group;
      assign groups = numbers;
      always_ff @(posedge clk) numbers[GROUP-1:0] <= next_group;
      if (OB > 2) begin : later_steps
        always_ff @(posedge clk) if (step) numbers[(OB-1)*GROUP-1:GROUP] <= numbers[(OB-2)*GROUP-1:0];
      end
    end else begin : one_group
      assign next_group = 1'b0;
      assign groups = {OB - 1{1'b0}};
      wire unused = |groups;
    end

    for (s = 0; s < OB; s = s + 1) begin : steps
      localparam AT = s * (s + 1) / 2 * LANES;  // where its bits begin in `found`
      localparam BEFORE = s * (s - 1) / 2 * LANES;
      localparam ENTRIES = WORDS << s;
      localparam ADDRESS = (ENTRIES > 1) ? $clog2(ENTRIES) : 1;
      for (i = 0; i < LANES; i = i + 1) begin : lane
        localparam [31:0] NAME = {8'(48 + i / 100), 8'(48 + i / 10 % 10), 8'(48 + i % 10), 8'(48 + s)};
        wire [ADDRESS-1:0] address;  // of the beat that is in this step in the next cycle
        wire [ACC-1:0] sum;
        wire [T-1:0] wide, threshold;
        if (s == 0) begin : top
          assign address = next_group;
          assign sum = in_data[i*ACC+:ACC];
          assign found[i] = $signed(wide) >= $signed(threshold);
        end else begin : below
          if (WORDS > 1) begin : in_group
            assign address = {groups[(s-1)*GROUP+:GROUP], found[BEFORE+i*s+:s]};
          end else begin : alone
            assign address = found[BEFORE+i*s+:s];
          end
          assign sum = sums[((s-1)*LANES+i)*ACC+:ACC];
          assign found[AT+i*(s+1)+:s+1] = {known[BEFORE+i*s+:s], $signed(wide) >= $signed(threshold)};
        end
        resize #(.FROM(ACC), .TO(T)) widen (.x(sum), .y(wide));
        rom #(
            .FILE({MEMORY, "lane", NAME[31:8], "_step", NAME[7:0], ".hex"}),
            .WORDS(ENTRIES), .BITS(T), .BLOCK((BLOCK != 0 && ENTRIES >= BLOCK) ? 1 : 0)
        ) thresholds (
            .clk(clk), .read(s == 0 || step), .address(address), .data(threshold)
        );
        if (s < OB - 1) begin : inner
          always_ff @(posedge clk) begin
            if (step) begin
              sums[(s*LANES+i)*ACC+:ACC] <= sum;
              known[AT+i*(s+1)+:s+1] <= found[AT+i*(s+1)+:s+1];
            end
          end
        end else begin : last
          wire [OB-1:0] code;
          index_code #(.E(OE), .SIGNED(OS), .BITS(OB)) encode (.index(found[AT+i*OB+:OB]), .code(code));
          always_ff @(posedge clk) if (step) out_data[i*OB+:OB] <= code;
        end
      end
    end
  endgenerate
endmodule
`default_nettype wire
