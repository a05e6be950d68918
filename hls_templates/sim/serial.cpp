// A board whose serial line is a terminal of this machine, so that the host program runs without a board.
//
// usage: serial DIVIDER
//   DIVIDER   cycles of a bit, as the board has them
// Prints the name of the terminal, then runs until it is ended. A host that opens the terminal begins with a break,
// which a terminal cannot carry: it is made here, so that everything is reset.

#include "Vtop.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <termios.h>
#include <unistd.h>

static const int AT_ONCE = 2000;          // cycles between two looks at the terminal
static const uint64_t AWAKE = 1'000'000;  // cycles without a byte after which this machine may rest
static const int REST_MS = 5;
static const size_t WAITING = 4096;  // bytes that are taken from the terminal before they are sent

[[noreturn]] static void fail(const std::string& sentence) {
    std::fprintf(stderr, "%s\n", sentence.c_str());
    std::exit(2);
}

struct Sender {  // what the host's end puts on the line
    uint64_t divider, left = 0;
    std::deque<uint8_t> bytes = {};
    std::deque<bool> levels = {};  // of the bits that are not over
    bool idle() const { return levels.empty() && bytes.empty(); }
    void restart() {  // a break of two bytes, then one of quiet
        bytes.clear();
        levels.assign(20, false);
        levels.insert(levels.end(), 10, true);
        left = divider;
    }
    bool level() {  // in this cycle
        if (levels.empty()) {
            if (bytes.empty()) return true;
            levels.push_back(false);
            for (int i = 0; i < 8; i++) levels.push_back(bytes.front() >> i & 1);
            levels.push_back(true);
            bytes.pop_front();
            left = divider;
        }
        bool now = levels.front();
        if (--left == 0) levels.pop_front(), left = divider;
        return now;
    }
};

struct Receiver {  // what the host's end reads from the line
    uint64_t divider, left = 0;
    int bit = -1;  // that is read next: 0 the start bit, 9 the stop bit, -1 none
    unsigned value = 0;
    std::string bytes = {};
    void see(bool level) {
        if (bit < 0) {
            if (!level) bit = 0, left = divider / 2;
            return;
        }
        if (left-- > 0) return;
        left = divider - 1;
        if (bit == 9 && !level) fail("the board sends a byte without a stop bit");
        if (bit == 9) bytes += (char)value;
        else value = value >> 1 | (unsigned)level << 7;
        bool over = bit == 9 || (bit == 0 && level);  // the latter: it was no start bit
        bit = over ? -1 : bit + 1;
    }
};

static int terminal() {  // the board's end; the other one passes all bytes as they are
    int board = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (board < 0 || grantpt(board) || unlockpt(board)) fail("this machine gives no pseudo-terminal");
    int host = open(ptsname(board), O_RDWR | O_NOCTTY);
    termios settings;
    if (host < 0 || tcgetattr(host, &settings)) fail(std::string("cannot open ") + ptsname(board));
    cfmakeraw(&settings);
    tcsetattr(host, TCSANOW, &settings);
    close(host);
    return board;
}

int main(int argc, char** argv) {
    uint64_t divider = argc == 2 ? std::strtoull(argv[1], nullptr, 10) : 0;
    if (divider < 2) fail("usage: serial DIVIDER, the cycles of a bit");
    int board = terminal();
    std::printf("%s\n", ptsname(board));
    std::fflush(stdout);

    VerilatedContext context;
    context.randReset(2);  // registers start with noise: what is not reset must not matter
    Vtop dut{&context};
    Sender sender{divider};
    Receiver receiver{divider};
    bool open = false;
    uint64_t quiet = 0;  // cycles since the last byte
    while (true) {
        for (int i = 0; i < AT_ONCE; i++) {
            dut.rx = sender.level();
            dut.clk = 0, dut.eval();
            dut.clk = 1, dut.eval();
            receiver.see(dut.tx);
        }
        quiet += AT_ONCE;
        pollfd wait{board, POLLIN, 0};
        poll(&wait, 1, open && quiet < AWAKE ? 0 : REST_MS);
        bool hung_up = wait.revents & POLLHUP;
        if (!hung_up && !open) sender.restart(), receiver = Receiver{divider}, quiet = 0;
        open = !hung_up;
        uint8_t bytes[WAITING];
        ssize_t count = !open || sender.bytes.size() < WAITING ? read(board, bytes, WAITING) : 0;
        if (!open) continue;  // what a host has left behind is gone
        if (count > 0) sender.bytes.insert(sender.bytes.end(), bytes, bytes + count);
        ssize_t gone = write(board, receiver.bytes.data(), receiver.bytes.size());
        if (gone > 0) receiver.bytes.erase(0, (size_t)gone);
        if (gone > 0 || !sender.idle()) quiet = 0;
    }
}
