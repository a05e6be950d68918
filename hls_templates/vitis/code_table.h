// A function of one code, for LANES codes in a beat: the code of the output for each code of the input.
#ifndef CODE_TABLE_H
#define CODE_TABLE_H

#include "hls_stream.h"
#include "rom.h"

template <int LANES, int IN, int OUT, int BEATS>
void code_table(hls::stream<ap_uint<LANES * IN> >& in, hls::stream<ap_uint<LANES * OUT> >& out,
                const typename Rom<OUT>::type (&codes)[1 << IN]) {
#pragma HLS ARRAY_PARTITION variable=codes complete dim=1
    for (int i = 0; i < BEATS; i++) {
#pragma HLS PIPELINE II=1
        ap_uint<LANES * IN> beat = in.read();
        ap_uint<LANES * OUT> result = 0;
        for (int lane = 0; lane < LANES; lane++) {
#pragma HLS UNROLL
            put<OUT>(result, lane, ap_uint<OUT>(codes[element<IN>(beat, lane)]));
        }
        out.write(result);
    }
}

#endif
