// Sums to codes: each sum is compared with all thresholds of its channel at once, and the count of those that it
// reaches names the code.
//
// LANES sums of ACC bits in a beat, WORDS sets of thresholds a lane, used in turn; thresholds have T bits, COUNT in a set.
#ifndef THRESHOLD_PARALLEL_H
#define THRESHOLD_PARALLEL_H

#include "format.h"
#include "hls_stream.h"
#include "rom.h"

template <int LANES, int WORDS, int ACC, int T, int COUNT, class OUT, int BEATS>
void threshold_parallel(hls::stream<ap_uint<LANES * ACC> >& in, hls::stream<ap_uint<LANES * OUT::BITS> >& out,
                        const typename Parts<T>::type (&thresholds)[WORDS][LANES][COUNT][Parts<T>::COUNT],
                        const typename Rom<OUT::BITS>::type (&codes)[COUNT + 1]) {
#pragma HLS ARRAY_RESHAPE variable=thresholds complete dim=4
#pragma HLS ARRAY_RESHAPE variable=thresholds complete dim=3
#pragma HLS ARRAY_RESHAPE variable=thresholds complete dim=2
#pragma HLS ARRAY_PARTITION variable=codes complete dim=1
    int word = 0;
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II=1
        ap_uint<LANES * ACC> sums = in.read();
        ap_uint<LANES * OUT::BITS> result = 0;
        for (int lane = 0; lane < LANES; lane++) {
#pragma HLS UNROLL
            ap_int<ACC> sum = ap_int<ACC>(element<ACC>(sums, lane));
            ap_uint<9> reached = 0;  // a format has at most 256 codes
            for (int k = 0; k < COUNT; k++) {
#pragma HLS UNROLL
                if (sum >= Parts<T>::join(thresholds[word][lane][k])) reached++;
            }
            put<OUT::BITS>(result, lane, ap_uint<OUT::BITS>(codes[reached]));
        }
        out.write(result);
        word = word == WORDS - 1 ? 0 : word + 1;
    }
}

#endif
