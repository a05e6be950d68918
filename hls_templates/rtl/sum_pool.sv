// Exact sums of TAPS codes, in units of their format's smallest step, in two's complement: one beat out for TAPS in.
//
// A beat has LANES channels, and GROUPS beats, of a group each, are one pixel: the partial sums of the
// groups wait in a RAM. One beat a cycle; a sum appears one cycle after its last tap, and holds the
// input up only if the sum before it is still there.
`default_nettype none
module sum_pool #(
    parameter LANES = 1,
    parameter GROUPS = 1,
    parameter TAPS = 4,
    parameter AE = 0,
    parameter AM = 7,
    parameter AS = 1,
    parameter SUM = 10,   // bits of a sum: holds every one
    parameter BLOCK = 0,  // whether the RAM is block RAM
    parameter AB = AS + AE + AM
) (
    input  wire                  clk,
    input  wire                  rst,
    input  wire                  in_valid,
    output logic                 in_ready,
    input  wire  [ LANES*AB-1:0] in_data,
    output logic                 out_valid,
    input  wire                  out_ready,
    output logic [LANES*SUM-1:0] out_data
);
  localparam VALUE = AS + AM + (1 << AE) - 1;  // bits of a code's value
  wire first, last;  // tap
  wire take = in_valid && in_ready;
  wire [LANES*SUM-1:0] values;
  assign in_ready = !last || !out_valid || out_ready;
  always_ff @(posedge clk) begin
    if (rst) out_valid <= 1'b0;
    else if (take && last) out_valid <= 1'b1;
    else if (out_ready) out_valid <= 1'b0;
  end
  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : lane
      wire [VALUE-1:0] value;
      fixed_point #(.E(AE), .M(AM), .SIGNED(AS)) decode (.code(in_data[i*AB+:AB]), .value(value));
      resize #(.FROM(VALUE), .TO(SUM), .SIGNED(AS)) widen (.x(value), .y(values[i*SUM+:SUM]));
    end
    if (GROUPS == 1) begin : one_group
      counter #(.STATES(TAPS)) taps (.clk(clk), .rst(rst), .step(take), .first(first), .last(last));
      wire unused = first;
      for (i = 0; i < LANES; i = i + 1) begin : lane
        accumulator #(.SUM(SUM), .ACC(SUM), .TERMS(TAPS)) add (
            .clk(clk), .rst(rst), .take(take), .last(last),
            .sum(values[i*SUM+:SUM]), .carry(1'b0), .total(out_data[i*SUM+:SUM])
        );
      end
    end else begin : groups
      localparam ADDRESS = $clog2(GROUPS);
      logic [ADDRESS-1:0] group;
      wire last_group = group == ADDRESS'(GROUPS - 1);
      wire [ADDRESS-1:0] next = last_group ? {ADDRESS{1'b0}} : group + 1'b1;
      wire [LANES*SUM-1:0] partial, sums;
      counter #(.STATES(TAPS)) taps (.clk(clk), .rst(rst), .step(take && last_group), .first(first), .last(last));
      always_ff @(posedge clk) begin
        if (rst) group <= {ADDRESS{1'b0}};
        else if (take) group <= next;
        if (take && last) out_data <= sums;
      end
      ram #(.WORDS(GROUPS), .BITS(LANES * SUM), .BLOCK(BLOCK)) partials (
          .clk(clk), .write(take), .write_address(group), .write_data(sums),
          .read(take), .read_address(next), .read_data(partial)
      );
      for (i = 0; i < LANES; i = i + 1) begin : lane
        adder #(.BITS(SUM)) add (
            .a(partial[i*SUM+:SUM] & {SUM{!first}}), .b(values[i*SUM+:SUM]),
            .invert(1'b0), .carry(1'b0), .s(sums[i*SUM+:SUM])
        );
      end
    end
  endgenerate
endmodule
`default_nettype wire
