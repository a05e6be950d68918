// Where images enter and sums leave: AXI streams that a DMA can fill from and empty into plain arrays.
//
// A code that enters is a byte; a sum that leaves has FIELD bits, 8, 16, 32, 64 or 128, with its sign in all upper ones.
// TLAST is with the last beat of each image's sums; that of what enters is not looked at.
// Side channels of one bit, because Vivado HLS has none of no bits: UG1399 (v2025.2), 'AXI4-Stream Interfaces with
// Side-Channels'.
#ifndef AXIS_H
#define AXIS_H

#include "ap_axi_sdata.h"
#include "hls_stream.h"
#include "rom.h"

template <int LANES, int BITS, int BEATS>
void from_axis(hls::stream<ap_axiu<LANES * 8, 1, 1, 1> >& in, hls::stream<ap_uint<LANES * BITS> >& out) {
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II=1
        ap_axiu<LANES * 8, 1, 1, 1> beat = in.read();
        ap_uint<LANES * 8> bytes = beat.data;
        ap_uint<LANES * BITS> codes = 0;
        for (int lane = 0; lane < LANES; lane++) {
#pragma HLS UNROLL
            put<BITS>(codes, lane, ap_uint<BITS>(element<8>(bytes, lane)));
        }
        out.write(codes);
    }
}

template <int LANES, int ACC, int FIELD, int BEATS>
void to_axis(hls::stream<ap_uint<LANES * ACC> >& in, hls::stream<ap_axiu<LANES * FIELD, 1, 1, 1> >& out) {
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II=1
        ap_uint<LANES * ACC> sums = in.read();
        ap_uint<LANES * FIELD> fields = 0;
        for (int lane = 0; lane < LANES; lane++) {
#pragma HLS UNROLL
            put<FIELD>(fields, lane, ap_uint<FIELD>(ap_int<FIELD>(ap_int<ACC>(element<ACC>(sums, lane)))));
        }
        ap_axiu<LANES * FIELD, 1, 1, 1> beat;
        beat.data = fields;
        beat.keep = -1;
        beat.strb = -1;
        beat.user = 0;
        beat.id = 0;
        beat.dest = 0;
        beat.last = i == BEATS - 1;
        out.write(beat);
    }
}

#endif
