// Gives a vector of SF beats NF times: from the stream in the first pass, from its own memory in the others.
//
// A beat each `step`; `operand` follows a cycle later. `stored` says that the next beat comes from the
// memory, `last_term` that it is the last of its pass.
`default_nettype none
module passes #(
    parameter SF = 2,
    parameter NF = 4,
    parameter BITS = 32,
    parameter BLOCK = 0  // whether the memory is block RAM
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             step,
    input  wire  [BITS-1:0] in_data,
    output logic            last_term,
    output logic            stored,
    output logic [BITS-1:0] operand
);
  localparam TERM = (SF > 1) ? $clog2(SF) : 1;
  localparam PASS = (NF > 1) ? $clog2(NF) : 1;
  logic [BITS-1:0] fresh;
  generate
    if (SF == 1) begin : one_term
      assign last_term = 1'b1;
    end else begin : terms
      logic [TERM-1:0] term;
      assign last_term = (term == TERM'(SF - 1));
      always_ff @(posedge clk) begin
        if (rst) term <= {TERM{1'b0}};
        else if (step) term <= last_term ? {TERM{1'b0}} : term + 1'b1;
      end
    end
    if (NF == 1) begin : one_pass
      wire unused = rst;
      assign stored = 1'b0;
      assign operand = fresh;
      always_ff @(posedge clk) if (step) fresh <= in_data;
    end else begin : several
      logic [PASS-1:0] pass;
      assign stored = |pass;
      always_ff @(posedge clk) begin
        if (rst) pass <= {PASS{1'b0}};
        else if (step && last_term) pass <= (pass == PASS'(NF - 1)) ? {PASS{1'b0}} : pass + 1'b1;
      end
      if (SF == 1) begin : register
        assign operand = fresh;
        always_ff @(posedge clk) if (step && !stored) fresh <= in_data;
      end else begin : kept
        wire [TERM-1:0] term = terms.term;
        logic was_stored;
        logic [BITS-1:0] read;
        always_ff @(posedge clk) begin
          if (step) begin
            was_stored <= stored;
            if (!stored) fresh <= in_data;
          end
        end
        ram #(.WORDS(SF), .BITS(BITS), .BLOCK(BLOCK)) vector (
            .clk(clk), .write(step && !stored), .write_address(term), .write_data(in_data),
            .read(step && stored), .read_address(term), .read_data(read)
        );
        assign operand = was_stored ? read : fresh;
      end
    end
  endgenerate
endmodule
`default_nettype wire
