// For simulation without AMD's tools: a queue with what the templates use of hls::stream. Stricter than AMD's: to read
// from an empty stream, or to leave beats in one, ends the program.
#ifndef HLS_STREAM_H
#define HLS_STREAM_H

#include <cstdio>
#include <cstdlib>
#include <deque>

namespace hls {

template <class T>
class stream {
    const char* name;
    std::deque<T> beats;

    void require(bool held, const char* rule) const {
        if (held) return;
        std::fprintf(stderr, "%s, unlike %s\n", rule, name);
        std::_Exit(3);
    }

public:
    explicit stream(const char* name) : name(name) {}
    stream(const stream&) = delete;
    ~stream() { require(beats.empty(), "every beat of a stream is read"); }
    void write(const T& beat) { beats.push_back(beat); }
    bool empty() const { return beats.empty(); }
    T read() {
        require(!beats.empty(), "a beat is read after it is written");
        T beat = beats.front();
        beats.pop_front();
        return beat;
    }
};

}  // namespace hls

#endif
