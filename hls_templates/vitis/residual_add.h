// Exact sums of two streams of LANES codes of one format, in units of its smallest step.
#ifndef RESIDUAL_ADD_H
#define RESIDUAL_ADD_H

#include "format.h"
#include "hls_stream.h"
#include "rom.h"

template <class A, int LANES, int SUM, int BEATS>
void residual_add(hls::stream<ap_uint<LANES * A::BITS> >& a, hls::stream<ap_uint<LANES * A::BITS> >& b,
                  hls::stream<ap_uint<LANES * SUM> >& out) {
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II=1
        ap_uint<LANES * A::BITS> left = a.read(), right = b.read();
        ap_uint<LANES * SUM> result = 0;
        for (int lane = 0; lane < LANES; lane++) {
#pragma HLS UNROLL
            ap_int<SUM> sum = A::fixed(element<A::BITS>(left, lane)) + A::fixed(element<A::BITS>(right, lane));
            put<SUM>(result, lane, ap_uint<SUM>(sum));
        }
        out.write(result);
    }
}

#endif
