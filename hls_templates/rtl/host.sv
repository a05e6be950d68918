// Between the bytes of a host and the beats of an accelerator.
//
// A beat of IN_BITS bits comes as whole bytes, the lowest first, and so goes one of OUT_BITS bits; bits above a beat
// are 0. A queue of at least QUEUE bytes is before the accelerator, BLOCK 1: in block RAM. A line of bytes cannot be
// stopped, so the host never sends more than QUEUE bytes of images whose results it has not got: then there is room for
// each, whatever the accelerator does meanwhile. What an image has left when its result is there, pixels under no
// window, waits for nothing, and is gone before the host knows.
`default_nettype none
module host #(
    parameter IN_BITS = 8,
    parameter OUT_BITS = 8,
    parameter QUEUE = 2049,
    parameter BLOCK = 1
) (
    input  wire                 clk,
    input  wire                 rst,
    input  wire                 bytes_in_valid,
    output logic                bytes_in_ready,
    input  wire  [         7:0] bytes_in_data,
    output logic                beats_out_valid,
    input  wire                 beats_out_ready,
    output logic [ IN_BITS-1:0] beats_out_data,
    input  wire                 beats_in_valid,
    output logic                beats_in_ready,
    input  wire  [OUT_BITS-1:0] beats_in_data,
    output logic                bytes_out_valid,
    input  wire                 bytes_out_ready,
    output logic [         7:0] bytes_out_data
);
  localparam IN_BYTES = (IN_BITS + 7) / 8;
  localparam OUT_BYTES = (OUT_BITS + 7) / 8;
  logic queued_valid, queued_ready;
  logic [7:0] queued_data;
  logic [8*IN_BYTES-1:0] whole;
  wire unused = |whole;  // the bits above a beat
  assign beats_out_data = whole[IN_BITS-1:0];
  fifo #(.BITS(8), .DEPTH(QUEUE), .BLOCK(BLOCK)) queue (
      .clk(clk), .rst(rst), .in_valid(bytes_in_valid), .in_ready(bytes_in_ready), .in_data(bytes_in_data),
      .out_valid(queued_valid), .out_ready(queued_ready), .out_data(queued_data)
  );
  width #(.ELEMENT(8), .IN(1), .OUT(IN_BYTES)) join_bytes (
      .clk(clk), .rst(rst), .in_valid(queued_valid), .in_ready(queued_ready), .in_data(queued_data),
      .out_valid(beats_out_valid), .out_ready(beats_out_ready), .out_data(whole)
  );
  width #(.ELEMENT(8), .IN(OUT_BYTES), .OUT(1)) split_bytes (
      .clk(clk), .rst(rst), .in_valid(beats_in_valid), .in_ready(beats_in_ready),
      .in_data((8 * OUT_BYTES)'(beats_in_data)),
      .out_valid(bytes_out_valid), .out_ready(bytes_out_ready), .out_data(bytes_out_data)
  );
endmodule
`default_nettype wire
