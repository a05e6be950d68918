// Exact sums of TAPS pixels of GROUPS beats each, in units of the format's smallest step; POOLS times.
//
// GROUPS 1: the taps of a window come one after the other. More: whole pixels do, and all their sums wait.
#ifndef SUM_POOL_H
#define SUM_POOL_H

#include "format.h"
#include "hls_stream.h"
#include "rom.h"

template <class A, int LANES, int GROUPS, int TAPS, int POOLS, int SUM>
void sum_pool(hls::stream<ap_uint<LANES * A::BITS> >& in, hls::stream<ap_uint<LANES * SUM> >& out) {
    ap_int<SUM> sums[GROUPS][LANES];
#pragma HLS ARRAY_PARTITION variable=sums complete dim=2
    int tap = 0, group = 0;
    for (int i = 0; i < POOLS * TAPS * GROUPS; i++) {
#pragma HLS PIPELINE II=1
        ap_uint<LANES * A::BITS> beat = in.read();
        ap_uint<LANES * SUM> result = 0;
        for (int lane = 0; lane < LANES; lane++) {
#pragma HLS UNROLL
            ap_int<SUM> sum = tap == 0 ? ap_int<SUM>(0) : sums[group][lane];
            sum += A::fixed(element<A::BITS>(beat, lane));
            sums[group][lane] = sum;
            put<SUM>(result, lane, ap_uint<SUM>(sum));
        }
        if (tap == TAPS - 1) out.write(result);
        if (group == GROUPS - 1) tap = tap == TAPS - 1 ? 0 : tap + 1;
        group = group == GROUPS - 1 ? 0 : group + 1;
    }
}

#endif
