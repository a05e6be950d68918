// A sliding window, all taps of LANES channels in a beat: taps row by row, the channels of a tap side by side.
//
// A pixel of the H x W image has CF beats, and a beat of taps leaves for each of them at each position of the window.
// The image is scanned once, with the padding at its right and lower edge; taps beside the image are 0. An address of
// `lines` comes again a row later, and a row has at least four beats: `ROW_BEATS` in `hwdse/hls_calls.py`, and UG1399
// (v2025.2), 'pragma HLS dependence'.
#ifndef WINDOW_PARALLEL_H
#define WINDOW_PARALLEL_H

#include "ap_int.h"
#include "hls_stream.h"
#include "rom.h"

template <int LANES, int BITS, int H, int W, int CF, int KH, int KW, int SH, int SW, int PH, int PW>
void window_parallel(hls::stream<ap_uint<LANES * BITS> >& in, hls::stream<ap_uint<KH * KW * LANES * BITS> >& out) {
    const int OH = (H + 2 * PH - KH) / SH + 1, OW = (W + 2 * PW - KW) / SW + 1;
    const int LAST_Y = (OH - 1) * SH - PH + KH, LAST_X = (OW - 1) * SW - PW + KW;  // rows and columns of all windows
    const int YS = LAST_Y > H ? LAST_Y : H, XS = LAST_X > W ? LAST_X : W;
    const int LINES = KH > 1 ? KH - 1 : 1, COLUMNS = KW > 1 ? KW - 1 : 1;
    typedef ap_uint<LANES * BITS> pixel_t;
    pixel_t lines[LINES][W * CF];     // the rows before
    pixel_t before[KH][COLUMNS][CF];  // the columns before
#pragma HLS ARRAY_PARTITION variable=lines complete dim=1
#pragma HLS ARRAY_PARTITION variable=before complete dim=1
#pragma HLS ARRAY_PARTITION variable=before complete dim=2
#pragma HLS DEPENDENCE variable=lines inter RAW distance=4 true
    for (int y = 0; y < YS; y++) {
        for (int x = 0; x < XS; x++) {
            for (int c = 0; c < CF; c++) {
#pragma HLS PIPELINE II=1
                pixel_t column[KH];
#pragma HLS ARRAY_PARTITION variable=column complete dim=1
                for (int k = 0; k < KH - 1; k++) {
#pragma HLS UNROLL
                    column[k] = x < W ? lines[k][x * CF + c] : pixel_t(0);
                }
                column[KH - 1] = 0;
                if (y < H && x < W) column[KH - 1] = in.read();
                for (int k = 0; k < KH - 1; k++) {
#pragma HLS UNROLL
                    if (x < W) lines[k][x * CF + c] = column[k + 1];
                }
                ap_uint<KH * KW * LANES * BITS> taps = 0;
                for (int ky = 0; ky < KH; ky++) {
#pragma HLS UNROLL
                    for (int kx = 0; kx < KW; kx++) {
#pragma HLS UNROLL
                        const int ty = y - (KH - 1) + ky, tx = x - (KW - 1) + kx;
                        const bool inside = ty >= 0 && ty < H && tx >= 0 && tx < W;
                        pixel_t tap = kx == KW - 1 ? column[ky] : before[ky][kx < COLUMNS ? kx : 0][c];
                        if (inside) put<LANES * BITS>(taps, ky * KW + kx, tap);
                        if (kx > 0) before[ky][kx - 1][c] = tap;
                    }
                }
                const int wy = y - (KH - 1) + PH, wx = x - (KW - 1) + PW;  // stride times the position of the window
                const bool down = wy >= 0 && wy % SH == 0 && wy <= (OH - 1) * SH;
                const bool across = wx >= 0 && wx % SW == 0 && wx <= (OW - 1) * SW;
                if (down && across) out.write(taps);
            }
        }
    }
}

#endif
