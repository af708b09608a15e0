// Candidate edges and their stable sort by score, highest first.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "philox.hpp"

namespace raiw {

// Maps scores to unsigned integers, higher scores to lower keys; ±0 to the same key.
inline std::uint32_t descending_key(float score) {
    std::uint32_t bits;
    score += 0.0f;
    __builtin_memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : ~bits & 0x7FFFFFFFu;
}
inline std::uint64_t descending_key(double score) {
    std::uint64_t bits;
    score += 0.0;
    __builtin_memcpy(&bits, &score, sizeof bits);
    return bits >> 63 ? bits : ~bits & 0x7FFFFFFFFFFFFFFFu;
}

// A candidate in one word: float scores, sides up to 65 536.
struct Narrow {
    static constexpr std::size_t kMostVertices = 1u << 16;
    Word word;
    Narrow() = default;
    Narrow(float score, Vertex u, Vertex v)
        : word(Word{descending_key(score)} << 32 | Word{u} << 16 | v) {}
    static Narrow keyed(std::uint32_t key, Vertex u, Vertex v) {
        Narrow own;
        own.word = Word{key} << 32 | Word{u} << 16 | v;
        return own;
    }
    std::uint64_t key() const { return word >> 32; }
    Vertex row() const { return static_cast<Vertex>(word >> 16 & 0xFFFF); }
    Vertex column() const { return static_cast<Vertex>(word & 0xFFFF); }
};

struct Wide {
    std::uint64_t sort_key;
    Vertex u, v;
    Wide() = default;
    template <class T>
    Wide(T score, Vertex row, Vertex column)
        : sort_key(descending_key(score)), u(row), v(column) {}
    static Wide keyed(std::uint32_t key, Vertex row, Vertex column) {
        Wide own;
        own.sort_key = key, own.u = row, own.v = column;
        return own;
    }
    std::uint64_t key() const { return sort_key; }
    Vertex row() const { return u; }
    Vertex column() const { return v; }
};

// The least and the greatest key of some candidates.
struct KeyRange {
    std::uint64_t least = 0, most = 0;

    template <class Candidate>
    KeyRange(const Candidate* list, std::size_t count) {
        if (count) least = most = list[0].key();
        for (std::size_t i = 1; i < count; ++i) {
            least = std::min(least, list[i].key());
            most = std::max(most, list[i].key());
        }
    }
    // Those in which keys differ.
    unsigned bits() const {
        return most > least ? 64 - static_cast<unsigned>(__builtin_clzll(most - least)) : 0;
    }
};

constexpr unsigned kMostDigitBits = 11;

// Moves candidates to other memory, in the order of one digit of their keys above `least`, those
// below it first. It is stable. `ends` has a place for each digit, and tells then where it ends.
template <class Candidate>
void move_by_digit(const Candidate* list, std::size_t count, Candidate* to, std::uint64_t least,
                   unsigned shift, std::vector<std::size_t>& ends) {
    const std::size_t mask = ends.size() - 1;
    const auto digit = [=](const Candidate& candidate) {
        return (std::max(candidate.key(), least) - least) >> shift & mask;
    };
    std::fill(ends.begin(), ends.end(), 0);
    for (std::size_t i = 0; i < count; ++i) ++ends[digit(list[i])];
    std::size_t before = 0;
    for (std::size_t& end : ends) before += std::exchange(end, before);
    for (std::size_t i = 0; i < count; ++i) to[ends[digit(list[i])]++] = list[i];
}

// Sorts by key, stably: candidates that stand by flat index stay so within a score. Radix sort, the
// least significant digit first, over those bits only in which keys differ. `spare` is as long.
template <class Candidate>
void sort_by_key(Candidate* list, std::size_t count, Candidate* spare) {
    constexpr std::size_t kFew = 24;
    if (count < kFew) {
        for (std::size_t i = 1; i < count; ++i) {
            const Candidate own = list[i];
            std::size_t place = i;
            for (; place && list[place - 1].key() > own.key(); --place)
                list[place] = list[place - 1];
            list[place] = own;
        }
        return;
    }
    const KeyRange keys(list, count);
    unsigned most = 1;  // bits of a digit: no more digits than candidates
    while (most < kMostDigitBits && count >> most) ++most;
    const unsigned digits = (keys.bits() + most - 1) / most;
    if (!digits) return;
    const unsigned width = (keys.bits() + digits - 1) / digits;
    std::vector<std::size_t> ends(std::size_t{1} << width);
    Candidate *from = list, *to = spare;
    for (unsigned shift = 0; shift < keys.bits(); shift += width) {
        move_by_digit(from, count, to, keys.least, shift, ends);
        std::swap(from, to);
    }
    if (from != list) std::copy(from, from + count, list);
}

// Puts candidates of equal score, which stand together and by flat index, in the order of the keys of
// their edges.
template <class Candidate>
class Ties {
public:
    Ties(EdgeKeys keys, std::size_t columns) : keys_(keys), columns_(columns) {}

    void put_in_order(Candidate* list, std::size_t count) {
        find(list, count);
        edge_keys_.resize(edges_.size());
        keys_.of(edges_.data(), edges_.size(), edge_keys_.data());
        std::size_t known = 0;
        for (const Run& run : runs_) {
            tied_.clear();
            for (std::size_t i = run.start; i < run.end; ++i)
                tied_.push_back({edge_keys_[known++], list[i]});
            spare_.resize(tied_.size());
            sort_by_key(tied_.data(), tied_.size(), spare_.data());
            for (std::size_t i = run.start; i < run.end; ++i)
                list[i] = tied_[i - run.start].candidate;
        }
    }

private:
    struct Run {
        std::size_t start, end;
    };
    struct Tied {
        std::uint32_t edge;
        Candidate candidate;
        std::uint64_t key() const { return edge; }
    };

    void find(const Candidate* list, std::size_t count) {
        runs_.clear();
        edges_.clear();
        for (std::size_t i = 1; i < count; ++i) {
            if (list[i].key() != list[i - 1].key()) continue;
            const std::size_t start = i - 1;
            while (i < count && list[i].key() == list[start].key()) ++i;
            runs_.push_back({start, i});
            for (std::size_t j = start; j < i; ++j)
                edges_.push_back(std::uint64_t{list[j].row()} * columns_ + list[j].column());
        }
    }

    EdgeKeys keys_;
    std::size_t columns_;
    std::vector<Run> runs_;
    std::vector<std::uint64_t> edges_;
    std::vector<std::uint32_t> edge_keys_;
    std::vector<Tied> tied_, spare_;
};

}  // namespace raiw
