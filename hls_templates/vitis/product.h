// The exact product of two codes in units of the product of their formats' smallest steps, which BITS bits hold.
//
// Significands are multiplied and the result is shifted by both exponents: a multiplier is as small as the mantissas.
#ifndef PRODUCT_H
#define PRODUCT_H

#include "format.h"

template <class W, class A, int BITS>
ap_int<BITS> product(typename W::code_t weight, typename A::code_t activation) {
#pragma HLS INLINE
    ap_int<W::SIGNIFICAND + A::SIGNIFICAND> significands = W::significand(weight) * A::significand(activation);
    ap_uint<(W::SHIFT > A::SHIFT ? W::SHIFT : A::SHIFT) + 1> shift = W::shift(weight) + A::shift(activation);
    return ap_int<(W::SIGNIFICAND + A::SIGNIFICAND > BITS ? W::SIGNIFICAND + A::SIGNIFICAND : BITS)>(significands)
           << shift;
}

#endif
