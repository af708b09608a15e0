// Philox4x32-10 (Salmon et al., SC 2011): word i of a stream is word i mod 4 of block i div 4.
#pragma once

#include <cstdint>

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
    static constexpr unsigned kBlocks = 64;

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
        auto k0 = static_cast<std::uint32_t>(key_), k1 = static_cast<std::uint32_t>(key_ >> 32);
        for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
            for (unsigned i = 0; i < kBlocks; ++i) {
                const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0[i];
                const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2[i];
                c0[i] = static_cast<std::uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
                c2[i] = static_cast<std::uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
                c1[i] = static_cast<std::uint32_t>(p1);
                c3[i] = static_cast<std::uint32_t>(p0);
            }
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

}  // namespace raiw
