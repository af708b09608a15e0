// The loops that multiply, in the best version this processor runs. Versions add up in another
// order and round differently, as those of any library of linear algebra do.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "geometry.hpp"

namespace raiw {

// Outputs that share their inputs, with all they read.
struct Group {
    const float* packed;           // planes of all channels
    Count plane;                   // floats of a channel
    const std::int32_t* channels;  // entries: the channels that are read
    Count entries;
    const Count* offsets;  // taps
    Count taps;
    const float* weights;  // entries × taps × outputs
    const Count* bases;    // vectors
    Count vectors;
    float* sums;   // outputs × length
    Count length;  // floats of all vectors
};

// What becomes of the sums of one channel, or of one slice of it.
struct Finish {
    const float* sums;  // some are read past the end of the last row
    float* numbers;     // without gaps; sums, before them or elsewhere
    float scale, bias;
    bool rectify;            // no less than zero
    Count pool;              // 1, or the side of squares of which the largest is taken
    Count rows, width;       // of what pooling leaves
    Count row_step, images;  // between rows of sums; numbers of each place
};

// A group's outputs at the few places of an image, read from the tensor and written to it.
struct Points {
    Group group;
    const Reads::Read* reads;
    const Count* starts;           // of each place's reads, before pooling
    const float *scales, *biases;  // of the outputs; null for none
    bool rectify;
    Count pool;
    Count slices, rows, width;  // of what pooling leaves
    Count all_rows, all_width;  // before it
    float* numbers;             // of the first output; the next ones follow
    const Count* starts_of_groups;  // where the entries of this group begin, and of the next ones
};

}  // namespace raiw

#define RAIW_ISA baseline
#define RAIW_LANES 4
namespace raiw {
#include "tiles.inc"
}
#undef RAIW_LANES
#undef RAIW_ISA

#if defined(__x86_64__)
#define RAIW_ISA avx2
#define RAIW_LANES 8
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace raiw {
#include "tiles.inc"
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef RAIW_LANES
#undef RAIW_ISA

#define RAIW_ISA avx512
#define RAIW_LANES 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,fma")
#endif
namespace raiw {
#include "tiles.inc"
}
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#undef RAIW_LANES
#undef RAIW_ISA
#endif

namespace raiw {

struct Tiles {
    Count lanes;
    Count shared_vectors, single_vectors;  // of a tile: of eight outputs, of one
    void (*positions)(const Group&, int outputs);
    void (*points)(Points, Count groups, int outputs);
    void (*finish)(const Finish&);
};

// The version with the widest vectors of at most so many floats. RAIW_PORTABLE is defined to test
// the one that runs everywhere.
inline const Tiles& tiles_of(Count most_lanes) {
#if defined(__x86_64__) && !defined(RAIW_PORTABLE)
    static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    static const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                                   __builtin_cpu_supports("avx512vl");
    static const Tiles wide{16, 3, 8, avx512::positions, avx512::points, avx512::finish};
    static const Tiles middle{8, 2, 6, avx2::positions, avx2::points, avx2::finish};
    if (has_avx512 && most_lanes >= 16) return wide;
    if (has_avx2 && most_lanes >= 8) return middle;
#endif
    static const Tiles narrow{4, 2, 6, baseline::positions, baseline::points, baseline::finish};
    (void)most_lanes;
    return narrow;
}

}  // namespace raiw
