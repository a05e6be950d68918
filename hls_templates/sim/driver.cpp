// Drives one netlist through its streams, and checks that it keeps the protocol.
//
// usage: simulate STIMULUS RESULT SEED STALL LIMIT IDLE EXACT PACE BURST
//   STIMULUS  u64 beats of each input, u64 beats wanted of each output, then the words of each input's beats
//   RESULT    the words of each output's beats, then u64 cycle numbers: of each input's beats, of each output's,
//             u64 cycles in all, u64 for each input: whether its ready followed an output's ready within a cycle
//   STALL     of 2**32: how often a source does not begin a beat, and a sink does not take one
//   EXACT     1: all inputs are taken, and no output gives more than is wanted
//   PACE      in 2**-32 cycles: a source does not begin its beat k before cycle k * PACE, but BURST beats at once,
//             when the first of them may begin
// Words are little-endian, of 32 bits; a beat has as many as it needs. Exit status 2: one sentence on stderr.
//
// The netlist's streams come from the generated streams.h: INPUTS(X) and OUTPUTS(X), X(name, bits).

#include "Vtop.h"
#include "streams.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

static const int RESET_CYCLES = 4;
static const uint64_t SETTLE_CYCLES = 64;  // after the last beat: time for one too many to show

[[noreturn]] static void fail(const std::string& sentence) {
    std::fprintf(stderr, "%s\n", sentence.c_str());
    std::exit(2);
}

struct Random {  // splitmix64
    uint64_t state;
    uint32_t next() {
        uint64_t z = (state += 0x9E3779B97F4A7C15ull);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        return (uint32_t)(z >> 32);
    }
};

struct Stream {
    std::string name;
    size_t bits;
    Random random;
    size_t words = (bits + 31) / 32;
    uint64_t beats = 0;  // given or wanted
    std::vector<uint32_t> data = {};
    std::vector<uint64_t> cycles = {};  // one for each beat that moved
    // On the wires now, and before the reader's choice or the clock edge.
    bool valid = false, ready = false, was_valid = false, was_ready = false;
    std::vector<uint32_t> beat = std::vector<uint32_t>(words), was = beat;
    bool moves() const { return valid && ready; }
    bool done() const { return cycles.size() >= beats; }
    void keep() { was_valid = valid, was_ready = ready, was = beat; }
    bool lost() const { return was_valid && !(valid && beat == was); }
};

template <class T>
static void put(T& port, const std::vector<uint32_t>& beat) {
    if constexpr (std::is_class_v<T>)
        for (size_t i = 0; i < beat.size(); i++) port[i] = beat[i];
    else
        port = (T)(beat[0] | (beat.size() > 1 ? (uint64_t)beat[1] << 32 : 0));
}

template <class T>
static void get(const T& port, std::vector<uint32_t>& beat) {
    if constexpr (std::is_class_v<T>) {
        for (size_t i = 0; i < beat.size(); i++) beat[i] = port[i];
    } else {
        beat[0] = (uint32_t)port;
        if (beat.size() > 1) beat[1] = (uint32_t)((uint64_t)port >> 32);
    }
}

struct Bench {
    VerilatedContext context;
    std::vector<Stream> in, out;
    uint64_t stall, pace, burst;
    bool exact;
    std::vector<uint64_t> follows;  // of each input: whether its ready followed an output's ready
    Vtop* dut;

    Bench(uint64_t seed, uint64_t stall, bool exact, uint64_t pace, uint64_t burst)
        : stall(stall), pace(pace), burst(burst), exact(exact) {
        Random seeds{seed};
        auto stream = [&](const char* name, size_t bits) {
            uint64_t high = seeds.next(), low = seeds.next();
            return Stream{name, bits, Random{high << 32 | low}};
        };
#define X(name, bits) in.push_back(stream(#name, bits));
        INPUTS(X)
#undef X
#define X(name, bits) out.push_back(stream(#name, bits));
        OUTPUTS(X)
#undef X
        follows.resize(in.size());
        context.randReset(2);  // registers start with noise: what is not reset must not matter
        context.randSeed((int)(seed % 0x7FFFFFFE) + 1);
        dut = new Vtop{&context};
    }

    bool go(Stream& s) { return s.random.next() >= stall; }

    void drive() {
        size_t i = 0;
#define X(name, bits) dut->name##_valid = in[i].valid, put(dut->name##_data, in[i].beat), i++;
        INPUTS(X)
#undef X
        (void)i;
    }

    void sample(bool choose) {  // the wires in this cycle, if the readers choose or if none is ready
        size_t i = 0;
        dut->clk = 0;
#define X(name, bits) dut->name##_ready = choose && out[i].ready, i++;
        OUTPUTS(X)
#undef X
        dut->eval();
        i = 0;
#define X(name, bits) in[i].ready = dut->name##_ready, i++;
        INPUTS(X)
#undef X
        i = 0;
#define X(name, bits) out[i].valid = dut->name##_valid, get(dut->name##_data, out[i].beat), i++;
        OUTPUTS(X)
#undef X
        (void)i;
    }

    void edge() {
        dut->clk = 1;
        dut->eval();
    }

    void offer(uint64_t cycle) {  // sources begin beats, readers choose
        for (auto& s : in) {
            if (s.valid) continue;
            uint64_t begun = s.cycles.size();
            bool due = cycle << 32 >= (begun - begun % burst) * pace;
            s.valid = !s.done() && due && go(s);
            for (size_t w = 0; w < s.words; w++)  // without valid there is noise
                s.beat[w] = s.valid ? s.data[s.cycles.size() * s.words + w] : s.random.next();
            if (s.bits % 32) s.beat.back() &= (1u << s.bits % 32) - 1;
        }
        for (auto& s : out) s.ready = !(exact && s.done()) && go(s);
    }

    void settle() {  // the combinational part of a cycle
        drive();
        sample(false);
        for (auto& s : out) {
            if (s.lost()) fail("output '" + s.name + "' drops or changes a beat before it is taken");
            s.keep();
        }
        for (auto& s : in) s.keep();
        sample(true);
        for (auto& s : out)
            if (s.lost() || s.valid != s.was_valid) fail("output '" + s.name + "' waits for its reader to be ready");
        for (size_t i = 0; i < in.size(); i++) follows[i] |= in[i].was_ready != in[i].ready;
    }

    bool move(uint64_t cycle) {  // whether any beat moves
        bool any = false;
        for (auto& s : in)
            if (s.moves()) s.cycles.push_back(cycle), s.valid = false, any = true;
        for (auto& s : out) {
            if (exact && s.valid && s.done())
                fail("output '" + s.name + "' gives more than the " + std::to_string(s.beats) + " beats wanted");
            s.was_valid = s.valid && !s.ready, s.was = s.beat;  // what must be there in the next cycle
            if (!s.moves()) continue;
            any = true;
            if (s.done()) continue;
            s.cycles.push_back(cycle);
            s.data.insert(s.data.end(), s.beat.begin(), s.beat.end());
        }
        return any;
    }

    bool done() const {
        for (auto& s : out)
            if (!s.done()) return false;
        for (auto& s : in)
            if (exact && !s.done()) return false;
        return true;
    }

    std::string progress() const {
        std::string text;
        for (auto* side : {&in, &out})
            for (auto& s : *side)
                text += (text.empty() ? "" : ", ") + s.name + " moved " + std::to_string(s.cycles.size()) + " of " +
                        std::to_string(s.beats);
        return text;
    }

    uint64_t run(uint64_t limit, uint64_t idle) {  // cycles until the last beat has moved
        dut->rst = 1;
        for (int i = 0; i < RESET_CYCLES; i++) drive(), sample(false), edge();
        dut->rst = 0;
        uint64_t last = 0;
        for (uint64_t cycle = 0; !done() || (exact && cycle < last + SETTLE_CYCLES); cycle++) {
            if (!done() && cycle == limit)
                fail("the beats do not end within " + std::to_string(limit) + " cycles: " + progress());
            if (!done() && cycle - last >= idle)
                fail("no beat moves for " + std::to_string(idle) + " cycles: " + progress());
            offer(cycle);
            settle();
            if (move(cycle)) last = cycle + 1;
            edge();
        }
        dut->final();
        return last;
    }
};

int main(int argc, char** argv) {
    if (argc != 10) fail("usage: simulate STIMULUS RESULT SEED STALL LIMIT IDLE EXACT PACE BURST");
    auto number = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
    Bench bench(number(3), number(4), number(7), number(8), number(9));
    FILE* file = std::fopen(argv[1], "rb");
    if (!file) fail(std::string("cannot read ") + argv[1]);
    auto read = [&](void* to, size_t size, size_t count) {
        if (count && std::fread(to, size, count, file) != count) fail(std::string("too short: ") + argv[1]);
    };
    for (auto* side : {&bench.in, &bench.out})
        for (auto& s : *side) read(&s.beats, 8, 1);
    for (auto& s : bench.in) s.data.resize(s.beats * s.words), read(s.data.data(), 4, s.data.size());
    std::fclose(file);

    uint64_t cycles = bench.run(number(5), number(6));

    file = std::fopen(argv[2], "wb");
    if (!file) fail(std::string("cannot write ") + argv[2]);
    bool good = true;
    auto write = [&](const void* from, size_t size, size_t count) {
        good &= !count || std::fwrite(from, size, count, file) == count;
    };
    for (auto& s : bench.out) write(s.data.data(), 4, s.beats * s.words);
    for (auto& s : bench.in) s.cycles.resize(s.beats, UINT64_MAX), write(s.cycles.data(), 8, s.beats);
    for (auto& s : bench.out) write(s.cycles.data(), 8, s.beats);
    write(&cycles, 8, 1);
    write(bench.follows.data(), 8, bench.follows.size());
    if (std::fclose(file) || !good) fail(std::string("cannot write ") + argv[2]);
    return 0;
}
