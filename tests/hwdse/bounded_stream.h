// A stream as it is in hardware: it holds so many beats, and who writes a full one waits. Each call runs in a thread of
// its own; where all wait for WAIT seconds, they wait for ever, and the program ends with status 4.
#ifndef HLS_STREAM_H
#define HLS_STREAM_H

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <mutex>

namespace hls {

static const std::size_t ENDLESS = std::size_t(1) << 40;
static const std::chrono::seconds WAIT(3);
static std::size_t most = ENDLESS;  // that a stream with a depth holds, whatever its depth

template <class T>
class stream {
    std::size_t depth;
    std::deque<T> beats;
    std::mutex mutex;
    std::condition_variable changed;

    template <class F>
    void wait(std::unique_lock<std::mutex>& lock, F until) {
        if (!changed.wait_for(lock, WAIT, until)) std::_Exit(4);
    }

public:
    explicit stream(const char*) : depth(ENDLESS) {}
    stream(const char*, std::size_t depth) : depth(depth < most ? depth : most) {}
    void write(const T& beat) {
        std::unique_lock<std::mutex> lock(mutex);
        wait(lock, [this] { return beats.size() < depth; });
        beats.push_back(beat);
        changed.notify_all();
    }
    T read() {
        std::unique_lock<std::mutex> lock(mutex);
        wait(lock, [this] { return !beats.empty(); });
        T beat = beats.front();
        beats.pop_front();
        changed.notify_all();
        return beat;
    }
};

}  // namespace hls

#endif
