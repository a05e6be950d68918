// Sliding window of a convolution or a pool: all taps of LANES channels a beat.
//
// `in`: an image of H x W pixels, row by row, CF beats a pixel, LANES channels of BITS bits a beat.
// `out`: for every position, row by row, and each of the CF beats, KH * KW * LANES elements in the order
// ky, kx, lane. Strides SH, SW. PH, PW pixels of padding on each side are zeros that are not stored; they
// are less than half of the kernel, and than the image.
//
// KH - 1 rows are in memory, KW columns in registers. Images follow each other without a gap, so pixels
// have numbers in an endless line, and a window is complete with the pixel at its last tap, though that may
// be padding and the pixel one of the next row or image. Timing: an input beat a cycle, H * W * CF cycles
// an image, whatever the padding; a window leaves two cycles after its last beat has entered. If no
// image follows, its first pixels are not waited for: until the last window has left, zeros take their place.
`default_nettype none
module window_parallel #(
    parameter LANES = 4,
    parameter BITS = 4,
    parameter CF = 1,
    parameter H = 8,
    parameter W = 8,
    parameter KH = 3,
    parameter KW = 3,
    parameter SH = 1,
    parameter SW = 1,
    parameter PH = 1,
    parameter PW = 1,
    parameter BLOCK = 0  // whether the rows are in block RAM
) (
    input  wire                         clk,
    input  wire                         rst,
    input  wire                         in_valid,
    output logic                        in_ready,
    input  wire  [      LANES*BITS-1:0] in_data,
    output logic                        out_valid,
    input  wire                         out_ready,
    output logic [KH*KW*LANES*BITS-1:0] out_data
);
  localparam OH = (H + 2 * PH - KH) / SH + 1;
  localparam OW = (W + 2 * PW - KW) / SW + 1;
  localparam PART = LANES * BITS;  // of a pixel

  // ---- where windows are complete, in pixels ----
  localparam FIRST = (KH - 1 - PH) * W + KW - 1 - PW;
  localparam NEXT_ROW = SH * W - (OW - 1) * SW;  // from window to window
  localparam NEXT_IMAGE = (H - (OH - 1) * SH) * W - (OW - 1) * SW;
  localparam LAST = FIRST + (OH - 1) * SH * W + (OW - 1) * SW;
  localparam DRAINS = (LAST >= H * W) ? 1 : 0;  // some are complete beyond the image: the first is EDGE
  localparam REST = (H * W > FIRST) ? H * W - FIRST : 0;
  localparam SAME_ROW = (REST % (SH * W) <= (OW - 1) * SW) ? 1 : 0;
  localparam EDGE_Y = REST / (SH * W) + 1 - SAME_ROW;
  localparam EDGE_X = (SAME_ROW != 0) ? (REST % (SH * W) + SW - 1) / SW : 0;
  localparam EDGE_GAP = FIRST + EDGE_Y * SH * W + EDGE_X * SW - H * W;

  localparam LONGEST = (FIRST > NEXT_IMAGE - 1) ? FIRST : NEXT_IMAGE - 1;
  localparam MOST = (LONGEST > NEXT_ROW - 1) ? LONGEST : NEXT_ROW - 1;
  localparam GAP = (MOST > SW - 1) ? $clog2(MOST + 1) : $clog2(SW);
  localparam G = (GAP > 0) ? GAP : 1;
  localparam BEAT = (CF > 1) ? $clog2(CF) : 1;
  localparam X = (OW > 1) ? $clog2(OW) : 1;
  localparam Y = (OH > 1) ? $clog2(OH) : 1;

  // ---- control ----
  logic [BEAT-1:0] beat;  // of the pixel
  logic [G-1:0] gap;      // pixels before the one that completes the window
  logic [X-1:0] x;
  logic [Y-1:0] y;
  logic complete;
  wire last_beat = beat == BEAT'(CF - 1);
  wire last_x = x == X'(OW - 1);
  wire last_y = y == Y'(OH - 1);
  wire hit = gap == {G{1'b0}};
  wire step = !out_valid || out_ready;
  wire zeros, draining;  // instead of the next image
  wire shift = step && (in_valid || zeros);
  assign in_ready = step && !draining;

  always_ff @(posedge clk) begin
    if (rst) begin
      beat <= {BEAT{1'b0}};
      gap <= G'(FIRST);
      x <= {X{1'b0}};
      y <= {Y{1'b0}};
    end else if (shift) begin
      beat <= last_beat ? {BEAT{1'b0}} : beat + 1'b1;
      if (last_beat && !hit) gap <= gap - 1'b1;
      if (last_beat && hit) begin
        gap <= !last_x ? G'(SW - 1) : !last_y ? G'(NEXT_ROW - 1) : zeros ? G'(FIRST) : G'(NEXT_IMAGE - 1);
        x <= last_x ? {X{1'b0}} : x + 1'b1;
        if (last_x) y <= last_y ? {Y{1'b0}} : y + 1'b1;
      end
    end
    if (rst) begin
      complete <= 1'b0;
      out_valid <= 1'b0;
    end else if (step) begin
      complete <= shift && hit;
      out_valid <= complete;
    end
  end

  generate
    if (DRAINS != 0) begin : drain
      logic busy;
      wire edge_next = beat == {BEAT{1'b0}} && gap == G'(EDGE_GAP) && x == X'(EDGE_X) && y == Y'(EDGE_Y);
      assign draining = busy;
      assign zeros = busy || (edge_next && !in_valid);
      always_ff @(posedge clk) begin
        if (rst) busy <= 1'b0;
        else if (shift) busy <= zeros && !(last_beat && hit && last_x && last_y);
      end
    end else begin : no_drain
      assign draining = 1'b0;
      assign zeros = 1'b0;
    end
  endgenerate

  // ---- pixels: a column of taps, the lowest row in the highest bits ----
  localparam COLUMN = KH * PART;
  localparam LINE = W * CF;
  localparam PAST = (KW - 1) * CF;  // columns kept
  wire [COLUMN-1:0] column;
  logic [PART-1:0] fresh;
  assign column[COLUMN-1-:PART] = fresh;
  always_ff @(posedge clk) if (shift) fresh <= in_data;

  generate
    if (KH > 1 && LINE == 1) begin : register
      logic [COLUMN-PART-1:0] above;
      assign column[COLUMN-PART-1:0] = above;
      always_ff @(posedge clk) if (shift) above <= column[COLUMN-1:PART];
    end else if (KH > 1) begin : rows
      localparam ADDRESS = $clog2(LINE);
      logic [ADDRESS-1:0] write_address, read_address;
      always_ff @(posedge clk) begin
        if (rst) begin
          write_address <= {ADDRESS{1'b0}};
          read_address <= ADDRESS'(1);
        end else if (shift) begin
          write_address <= read_address;
          read_address <= (read_address == ADDRESS'(LINE - 1)) ? {ADDRESS{1'b0}} : read_address + 1'b1;
        end
      end
      window_ram #(.WORDS(LINE), .BITS(COLUMN - PART), .BLOCK(BLOCK)) pixels (
          .clk(clk), .write(shift), .write_address(write_address), .write_data(column[COLUMN-1:PART]),
          .read(shift), .clear(1'b0), .read_address(read_address), .read_data(column[COLUMN-PART-1:0])
      );
    end
  endgenerate

  wire [(PAST+1)*COLUMN-1:0] columns;  // the latest in the lowest bits
  assign columns[COLUMN-1:0] = column;
  generate
    if (PAST > 0) begin : history
      logic [PAST*COLUMN-1:0] past;
      assign columns[(PAST+1)*COLUMN-1:COLUMN] = past;
      always_ff @(posedge clk) if (shift) past <= columns[PAST*COLUMN-1:0];
    end
  endgenerate

  // ---- padding, of the window that the next pixel completes and then of the complete one ----
  wire [KH-1:0] outside_y;
  wire [KW-1:0] outside_x;
  logic [KH-1:0] padding_y;
  logic [KW-1:0] padding_x;
  always_ff @(posedge clk) begin
    if (shift) begin
      padding_y <= outside_y;
      padding_x <= outside_x;
    end
  end

  genvar i, k;
  generate
    for (i = 0; i < KH; i = i + 1) begin : tap_row
      localparam FROM = (i < PH) ? (PH - i + SH - 1) / SH : 0;  // rows of windows from and to which it is inside
      localparam TO = (H - 1 + PH - i) / SH;
      if (FROM >= OH || H - 1 + PH < i) begin : always_padding
        assign outside_y[i] = 1'b1;
      end else if (FROM > 0) begin : above
        assign outside_y[i] = y < Y'(FROM);
      end else if (TO < OH - 1) begin : below
        assign outside_y[i] = y > Y'(TO);
      end else begin : no_padding
        assign outside_y[i] = 1'b0;
      end
    end
    for (k = 0; k < KW; k = k + 1) begin : tap_column
      localparam FROM = (k < PW) ? (PW - k + SW - 1) / SW : 0;
      localparam TO = (W - 1 + PW - k) / SW;
      if (FROM >= OW || W - 1 + PW < k) begin : always_padding
        assign outside_x[k] = 1'b1;
      end else if (FROM > 0) begin : left
        assign outside_x[k] = x < X'(FROM);
      end else if (TO < OW - 1) begin : right
        assign outside_x[k] = x > X'(TO);
      end else begin : no_padding
        assign outside_x[k] = 1'b0;
      end
      for (i = 0; i < KH; i = i + 1) begin : tap
        always_ff @(posedge clk) begin
          if (step) begin
            out_data[(i*KW+k)*PART+:PART] <= (padding_y[i] || padding_x[k]) ? {PART{1'b0}}
                : columns[(KW-1-k)*CF*COLUMN+i*PART+:PART];
          end
        end
      end
    end
  endgenerate
endmodule
`default_nettype wire
