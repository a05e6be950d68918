// For simulation without AMD's tools: a beat of an AXI stream, with the fields that UG1399 (v2025.2) names.
#ifndef AP_AXI_SDATA_H
#define AP_AXI_SDATA_H

#include "ap_int.h"

template <int DATA, int USER, int ID, int DEST>
struct ap_axiu {
    ap_uint<DATA> data;
    ap_uint<(DATA + 7) / 8> keep, strb;
    ap_uint<USER> user;
    ap_uint<1> last;
    ap_uint<ID> id;
    ap_uint<DEST> dest;
};

#endif
