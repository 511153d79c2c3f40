// What the harnesses share: files of plain numbers, and lanes of ports, whatever type Verilator gave these.
#ifndef ACCEL_PORTS_H
#define ACCEL_PORTS_H

#include "verilated.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

inline FILE* open_or_die(const char* path, const char* mode) {
    FILE* file = std::fopen(path, mode);
    if (!file) {
        std::perror(path);
        std::exit(4);
    }
    return file;
}

inline void read_exactly(void* into, size_t size, size_t count, FILE* file) {
    if (std::fread(into, size, count, file) != count) {
        std::fprintf(stderr, "stimulus is cut short\n");
        std::exit(4);
    }
}

template <class T>
std::vector<T> read_many(FILE* file, int64_t count) {
    std::vector<T> all(count);
    if (count) read_exactly(all.data(), sizeof(T), count, file);
    return all;
}

inline void write_exactly(const void* from, size_t size, size_t count, FILE* file) {
    if (std::fwrite(from, size, count, file) != count) {
        std::perror("response");
        std::exit(5);
    }
}

// All words of a port, the lowest first.
template <class Port>
void store_words(Port& port, const std::vector<uint32_t>& words) {
    uint64_t value = words[0];
    if (sizeof(Port) > 4) value |= uint64_t(words[1]) << 32;
    port = static_cast<Port>(value);
}
template <std::size_t N>
void store_words(VlWide<N>& port, const std::vector<uint32_t>& words) {
    std::memcpy(port.data(), words.data(), N * 4);
}
template <class Port>
uint32_t load_word(const Port& port, int word) {
    return static_cast<uint32_t>(static_cast<uint64_t>(port) >> (32 * word));
}
template <std::size_t N>
uint32_t load_word(const VlWide<N>& port, int word) {
    return port[word];
}

class Lanes {
  public:
    Lanes(int lanes, int bits) : bits_(bits), words_(std::max(2, (lanes * bits + 31) / 32)) {}
    void clear() { std::fill(words_.begin(), words_.end(), 0); }
    void put(int lane, int64_t value) {
        const uint64_t masked = bits_ == 64 ? value : value & ((uint64_t(1) << bits_) - 1);
        int at = lane * bits_, word = at >> 5, offset = at & 31;
        words_[word] |= static_cast<uint32_t>(masked << offset);
        for (int done = 32 - offset; done < bits_; done += 32) words_[++word] |= static_cast<uint32_t>(masked >> done);
    }
    const std::vector<uint32_t>& words() const { return words_; }

  private:
    int bits_;
    std::vector<uint32_t> words_;
};

template <class Port>
int64_t signed_lane(const Port& port, int lane, int bits) {
    const int at = lane * bits, last = (at + bits - 1) >> 5;
    uint64_t value = 0;
    for (int word = at >> 5, shift = -(at & 31); word <= last; ++word, shift += 32) {
        const uint64_t part = load_word(port, word);
        value |= shift < 0 ? part >> -shift : part << shift;
    }
    const int unused = 64 - bits;
    return static_cast<int64_t>(value << unused) >> unused;
}

#endif
