// A queue of at least DEPTH beats of BITS bits, its output in registers; `in_ready` is a register too,
// and does not follow `out_ready`.
//
// DEPTH 1: one register, a beat every other cycle. DEPTH 2: two registers. From 3 on: a RAM and the
// output register; the RAM has the next power of two of words from DEPTH - 1 on, which RAMs in LUTs
// have anyway and counters count for nothing. BLOCK 1: in block RAM, 0: in LUTs.
// A beat appears one cycle after it was taken (two through the RAM); one beat a cycle from DEPTH 2 on,
// and through the RAM.
`default_nettype none
module fifo #(
    parameter BITS = 8,
    parameter DEPTH = 2,
    parameter BLOCK = 0
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             in_valid,
    output logic            in_ready,
    input  wire  [BITS-1:0] in_data,
    output logic            out_valid,
    input  wire             out_ready,
    output logic [BITS-1:0] out_data
);
  wire load = !out_valid || out_ready;  // the output register takes a beat if there is one
  generate
    if (DEPTH == 1) begin : one
      assign in_ready = !out_valid;
      always_ff @(posedge clk) begin
        if (rst) out_valid <= 1'b0;
        else out_valid <= out_valid ? !load : in_valid;
        if (in_ready) out_data <= in_data;
      end
    end else if (DEPTH == 2) begin : two
      logic spare_free;  // `spare` keeps what comes while the output register is held
      logic [BITS-1:0] spare;
      assign in_ready = spare_free;
      always_ff @(posedge clk) begin
        if (rst) begin
          out_valid  <= 1'b0;
          spare_free <= 1'b1;
        end else if (load) begin
          out_valid  <= in_valid || !spare_free;
          spare_free <= 1'b1;
        end else if (in_valid) begin
          spare_free <= 1'b0;
        end
        if (load) out_data <= spare_free ? in_data : spare;
        if (spare_free) spare <= in_data;
      end
    end else begin : many
      localparam ADDRESS = $clog2(DEPTH - 1);
      logic [ADDRESS-1:0] head, tail;
      logic filled, space;  // registers: a word can be read, a word can be written
      wire write = in_valid && space;
      wire read = filled && load;
      wire [ADDRESS-1:0] next_head = head + 1'b1;
      wire [ADDRESS-1:0] next_tail = tail + 1'b1;
      assign in_ready = space;
      always_ff @(posedge clk) begin
        if (rst) begin
          head <= {ADDRESS{1'b0}};
          tail <= {ADDRESS{1'b0}};
          filled <= 1'b0;
          space <= 1'b1;
          out_valid <= 1'b0;
        end else begin
          if (write) tail <= next_tail;
          if (read) head <= next_head;
          if (write && !read) space <= next_tail != head;
          if (read && !write) filled <= next_head != tail;
          if (write) filled <= 1'b1;
          if (read) space <= 1'b1;
          if (load) out_valid <= filled;
        end
      end
      ram #(.WORDS(1 << ADDRESS), .BITS(BITS), .BLOCK(BLOCK)) queue (
          .clk(clk), .write(write), .write_address(tail), .write_data(in_data),
          .read(read), .read_address(head), .read_data(out_data)
      );
    end
  endgenerate
endmodule
`default_nettype wire
