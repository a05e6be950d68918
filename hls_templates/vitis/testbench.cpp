// Sends images through the accelerator and compares every sum; for simulation of the C++, and of the RTL made from it.
//
// usage: testbench [CODES SUMS [IMAGES]]
//   CODES   bytes, a code each: images one after the other, their pixels row by row, the channels of a pixel innermost
//   SUMS    what each image gives: little-endian integers of FIELD bits
//   IMAGES  how many of them; without it all
// Exit status 0: all sums are equal.

#include "top.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

static std::vector<unsigned char> bytes(const char* name) {
    std::vector<unsigned char> found;
    std::FILE* file = std::fopen(name, "rb");
    if (!file) {
        std::printf("cannot read %s\n", name);
        std::exit(2);
    }
    for (int byte = std::fgetc(file); byte != EOF; byte = std::fgetc(file)) found.push_back((unsigned char)byte);
    std::fclose(file);
    return found;
}

static void send(hls::stream<axis_in>& in, const unsigned char* code) {
    for (int beat = 0; beat < BEATS_IN; beat++) {
        axis_in one;
        one.data = 0;
        for (int lane = 0; lane < LANES_IN; lane++) one.data.range(8 * lane + 7, 8 * lane) = *code++;
        one.keep = -1;
        one.strb = -1;
        one.user = 0;
        one.id = 0;
        one.dest = 0;
        one.last = beat == BEATS_IN - 1;
        in.write(one);
    }
}

// The beats of an image whose sums are not those at `sum`, or whose TLAST is not that of their place.
static size_t differences(hls::stream<axis_out>& out, const unsigned char* sum) {
    size_t found = 0;
    for (int beat = 0; beat < BEATS_OUT; beat++) {
        const axis_out one = out.read();
        bool equal = one.last == (beat == BEATS_OUT - 1);
        for (int byte = 0; byte < LANES_OUT * FIELD / 8; byte++) {
            if (one.data.range(8 * byte + 7, 8 * byte) != *sum++) equal = false;
        }
        if (!equal) found++;
    }
    return found;
}

int main(int argc, char** argv) {
    const size_t codes_each = LANES_IN * BEATS_IN, sums_each = LANES_OUT * BEATS_OUT * (FIELD / 8);
    const std::vector<unsigned char> codes = bytes(argc > 2 ? argv[1] : "codes.bin");
    const std::vector<unsigned char> sums = bytes(argc > 2 ? argv[2] : "sums.bin");
    size_t images = codes.size() / codes_each;
    if (images == 0 || codes.size() != images * codes_each || sums.size() != images * sums_each) {
        std::printf("an image has %zu bytes of codes and %zu of sums, unlike files of %zu and %zu\n", codes_each,
                    sums_each, codes.size(), sums.size());
        return 2;
    }
    if (argc > 3 && (size_t)std::atol(argv[3]) < images) images = std::atol(argv[3]);
    hls::stream<axis_in> in("in");
    hls::stream<axis_out> out("out");
    size_t wrong = 0;
    for (size_t image = 0; image < images; image++) {
        send(in, &codes[image * codes_each]);
        accelerator(in, out);
        const size_t found = differences(out, &sums[image * sums_each]);
        if (found != 0 && wrong == 0) std::printf("image %zu is the first that differs\n", image);
        wrong += found;
    }
    if (wrong != 0) {
        std::printf("%zu beats of %zu images differ\n", wrong, images);
        return 1;
    }
    std::printf("all sums of %zu images are equal\n", images);
    return 0;
}
