// Philox4x32-10 (Salmon et al., SC 2011): word i of a stream is word i mod 4 of block i div 4.
#pragma once

#include <algorithm>

#include "rows.hpp"

namespace raiw {

class Philox {
public:
    explicit Philox(std::uint64_t key) : key_(key) {}

    // A number drawn uniformly from 0 … n - 1, 1 <= n < 2^32: Lemire's multiplication with rejection.
    std::uint32_t below(std::uint32_t n) {
        std::uint64_t product = std::uint64_t{word()} * n;
        if (static_cast<std::uint32_t>(product) < n) {
            const std::uint32_t reject = -n % n;
            while (static_cast<std::uint32_t>(product) < reject) product = std::uint64_t{word()} * n;
        }
        return static_cast<std::uint32_t>(product >> 32);
    }

private:
    std::uint32_t word() {
        if (position_ == 4 * kBlocks) refill();
        return words_[position_++];
    }

    // Many blocks side by side: plain loops that the compiler turns into vector code.
    void refill() {
        std::uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks] = {}, c3[kBlocks] = {};
        for (unsigned i = 0; i < kBlocks; ++i) {
            c0[i] = static_cast<std::uint32_t>(block_ + i);
            c1[i] = static_cast<std::uint32_t>((block_ + i) >> 32);
        }
        mix_blocks(key_, c0, c1, c2, c3);
        for (unsigned i = 0; i < kBlocks; ++i) {
            words_[4 * i] = c0[i];
            words_[4 * i + 1] = c1[i];
            words_[4 * i + 2] = c2[i];
            words_[4 * i + 3] = c3[i];
        }
        block_ += kBlocks;
        position_ = 0;
    }

    std::uint64_t key_, block_ = 0;
    unsigned position_ = 4 * kBlocks;
    std::uint32_t words_[4 * kBlocks];
};

// The keys by which edges of equal score are told apart: that of an edge is the word of the stream
// that has its flat index.
class EdgeKeys {
public:
    explicit EdgeKeys(std::uint64_t key) : key_(key) {}

    // Keys of some edges.
    void of(const std::uint64_t* edges, std::size_t n, std::uint32_t* keys) const {
        for (std::size_t start = 0; start < n; start += kBlocks) {
            const std::size_t count = std::min<std::size_t>(kBlocks, n - start);
            std::uint32_t words[4][kBlocks] = {};
            for (std::size_t i = 0; i < count; ++i) count_to(edges[start + i] / 4, words, i);
            mix_blocks(key_, words[0], words[1], words[2], words[3]);
            for (std::size_t i = 0; i < count; ++i)
                keys[start + i] = words[edges[start + i] % 4][i];
        }
    }

    // Keys of `n` edges from `first` on; there is room for 4·kBlocks more.
    void from(std::uint64_t first, std::size_t n, std::vector<std::uint32_t>& keys) const {
        std::size_t filled = 0;
        const std::size_t skipped = first % 4;
        keys.resize(n + 8 * kBlocks);
        for (std::uint64_t block = first / 4; filled < n + skipped; block += kBlocks) {
            std::uint32_t words[4][kBlocks] = {};
            for (std::size_t i = 0; i < kBlocks; ++i) count_to(block + i, words, i);
            mix_blocks(key_, words[0], words[1], words[2], words[3]);
            std::uint32_t* to = keys.data() + filled;
            for (std::size_t i = 0; i < kBlocks; ++i)
                for (std::size_t j = 0; j < 4; ++j) to[4 * i + j] = words[j][i];
            filled += 4 * kBlocks;
        }
        if (skipped) std::copy_n(keys.begin() + static_cast<std::ptrdiff_t>(skipped), n, keys.begin());
    }

private:
    static void count_to(std::uint64_t block, std::uint32_t (*words)[kBlocks], std::size_t i) {
        words[0][i] = static_cast<std::uint32_t>(block);
        words[1][i] = static_cast<std::uint32_t>(block >> 32);
    }

    std::uint64_t key_;
};

}  // namespace raiw
