// Bytes to a serial line: a start bit (0), eight bits, the lowest first, and a stop bit (1), DIVIDER cycles each.
//
// The line is a register. A byte takes 10 * DIVIDER cycles, and one more in which it is taken.
`default_nettype none
module uart_tx #(
    parameter DIVIDER = 25
) (
    input  wire        clk,
    input  wire        rst,
    input  wire        in_valid,
    output logic       in_ready,
    input  wire  [7:0] in_data,
    output logic       tx
);
  logic idle, next, last, first_cycle, first_bit;
  logic [8:0] rest;  // what follows the bit on the line
  wire unused = first_cycle ^ first_bit;
  assign in_ready = idle;
  counter #(.STATES(DIVIDER)) cycle (.clk(clk), .rst(rst), .step(!idle), .first(first_cycle), .last(next));
  counter #(.STATES(10)) number (.clk(clk), .rst(rst), .step(!idle && next), .first(first_bit), .last(last));
  always_ff @(posedge clk) begin
    if (rst) begin
      idle <= 1'b1;
      tx <= 1'b1;
    end else if (idle) begin
      idle <= !in_valid;
      tx <= !in_valid;
    end else if (next) begin
      idle <= last;
      tx <= last || rest[0];
    end
    if (idle) rest <= {1'b1, in_data};
    else if (next) rest <= {1'b1, rest[8:1]};
  end
endmodule
`default_nettype wire
