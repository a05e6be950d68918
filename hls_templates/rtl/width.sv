// Changes how many elements of ELEMENT bits a beat has, from IN to OUT; elements keep their order.
//
// The larger of IN and OUT is a multiple of the smaller. One beat of the narrow side a cycle.
// Widening: a beat appears one cycle after its last part was taken. Narrowing: its first part appears
// one cycle after the beat was taken, which happens with the last part of the beat before it.
// IN == OUT: wires.
`default_nettype none
module width #(
    parameter ELEMENT = 4,
    parameter IN = 2,
    parameter OUT = 4
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    in_valid,
    output logic                   in_ready,
    input  wire  [ IN*ELEMENT-1:0] in_data,
    output logic                   out_valid,
    input  wire                    out_ready,
    output logic [OUT*ELEMENT-1:0] out_data
);
  localparam PARTS = (IN > OUT) ? IN / OUT : OUT / IN;
  localparam PART = ((IN > OUT) ? OUT : IN) * ELEMENT;  // bits
  generate
    if (PARTS == 1) begin : same
      wire unused = clk ^ rst;
      assign in_ready = out_ready;
      assign out_valid = in_valid;
      assign out_data = in_data;
    end else begin : parts
      wire step = !out_valid || out_ready;  // whether the output register moves
      wire first, last;  // part that moves into it
      if (OUT > IN) begin : widen
        wire unused = first;
        assign in_ready = step;
        counter #(.STATES(PARTS)) part (
            .clk(clk), .rst(rst), .step(step && in_valid), .first(first), .last(last)
        );
        always_ff @(posedge clk) begin
          if (rst) out_valid <= 1'b0;
          else if (step) out_valid <= in_valid && last;
          if (step && in_valid) out_data <= {in_data, out_data[PARTS*PART-1:PART]};
        end
      end else begin : narrow
        wire unused = last;
        logic [(PARTS-1)*PART-1:0] rest;
        assign in_ready = step && first;
        counter #(.STATES(PARTS)) part (
            .clk(clk), .rst(rst), .step(step && (in_valid || !first)), .first(first), .last(last)
        );
        always_ff @(posedge clk) begin
          if (rst) out_valid <= 1'b0;
          else if (step) out_valid <= in_valid || !first;
          if (step) {rest, out_data} <= first ? in_data : {in_data[IN*ELEMENT-1-:PART], rest};
        end
      end
    end
  endgenerate
endmodule
`default_nettype wire
