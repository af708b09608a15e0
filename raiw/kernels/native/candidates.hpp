// Candidate edges and their stable sort by score, highest first.
#pragma once

#include <algorithm>
#include <type_traits>

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

// Radix sort by key, least significant digit first, over those bits only in which keys differ.
// It is stable: candidates listed by flat index stay so within a score. `spare` is scratch space.
template <class Candidate>
void sort_by_key(std::vector<Candidate>& list, std::vector<Candidate>& spare) {
    constexpr unsigned kMostDigitBits = 11;
    if (list.size() < 2) return;
    std::uint64_t least = list[0].key(), most = least;
    for (const Candidate& candidate : list) {
        least = std::min(least, candidate.key());
        most = std::max(most, candidate.key());
    }
    if (least == most) return;
    const unsigned bits = 64 - static_cast<unsigned>(__builtin_clzll(most - least));
    const unsigned digits = (bits + kMostDigitBits - 1) / kMostDigitBits;
    const unsigned width = (bits + digits - 1) / digits;
    const std::uint64_t mask = (std::uint64_t{1} << width) - 1;
    spare.resize(list.size());
    for (unsigned shift = 0; shift < bits; shift += width) {
        std::size_t starts[(1u << kMostDigitBits) + 1] = {};
        for (const Candidate& candidate : list)
            ++starts[((candidate.key() - least) >> shift & mask) + 1];
        for (std::size_t digit = 1; digit <= mask; ++digit) starts[digit] += starts[digit - 1];
        for (const Candidate& candidate : list)
            spare[starts[(candidate.key() - least) >> shift & mask]++] = candidate;
        list.swap(spare);
    }
}

// Puts candidates of equal score, which stand together and by flat index, in the order of the keys of
// their edges.
template <class Candidate>
class Ties {
public:
    Ties(EdgeKeys keys, std::size_t columns) : keys_(keys), columns_(columns) {}

    void put_in_order(std::vector<Candidate>& list) {
        find(list);
        edge_keys_.resize(edges_.size());
        keys_.of(edges_.data(), edges_.size(), edge_keys_.data());
        std::size_t known = 0;
        for (const Run& run : runs_) {
            tied_.clear();
            for (std::size_t i = run.start; i < run.end; ++i)
                tied_.push_back({edge_keys_[known++], list[i]});
            constexpr std::size_t kFew = 512;
            if (tied_.size() < kFew)
                std::stable_sort(tied_.begin(), tied_.end(),
                                 [](const Tied& a, const Tied& b) { return a.edge < b.edge; });
            else
                sort_by_key(tied_, spare_);
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

    void find(const std::vector<Candidate>& list) {
        runs_.clear();
        edges_.clear();
        for (std::size_t i = 1; i < list.size(); ++i) {
            if (list[i].key() != list[i - 1].key()) continue;
            const std::size_t start = i - 1;
            while (i < list.size() && list[i].key() == list[start].key()) ++i;
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
