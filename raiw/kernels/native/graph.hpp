// What every kernel works on: a score matrix, packed adjacency bits, and the degrees of a side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace raiw {

using Vertex = std::uint32_t;
using Word = std::uint64_t;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows of bits are read as words");

// How scores lie in memory. Where they are read those of 16 bits are widened to float, and those
// at an address that is no multiple of their size are copied.
enum class Stored { in_place, unaligned, half, brain };

// IEEE binary16, exactly.
inline float widen_half(std::uint16_t bits) {
    const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16, magnitude = bits & 0x7FFFu;
    std::uint32_t wide = magnitude << 13;
    if (magnitude >= 0x7C00u)
        wide += 0x70000000u;  // infinity or NaN
    else
        wide += 0x38000000u;
    float value;
    if (magnitude < 0x0400u) {
        value = static_cast<float>(magnitude) * 0x1p-24f;
        __builtin_memcpy(&wide, &value, sizeof wide);
    }
    wide |= sign;
    __builtin_memcpy(&value, &wide, sizeof value);
    return value;
}

// bfloat16: the upper half of a float.
inline float widen_brain(std::uint16_t bits) {
    const std::uint32_t wide = std::uint32_t{bits} << 16;
    float value;
    __builtin_memcpy(&value, &wide, sizeof value);
    return value;
}

// The value at any address.
template <class T>
inline T load(const std::uint8_t* from) {
    T value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}

// Widens n scores of 16 bits; in rows.hpp.
void widen(const std::uint8_t* from, std::size_t n, Stored stored, float* to);

// Rows are outputs, columns inputs; row-major. Of scores that do not lie in place one row at a time
// is at hand, in `scratch`, which holds `columns` values.
template <class T>
struct Scores {
    const std::uint8_t* bytes;
    std::size_t rows, columns;
    Stored stored;
    T* scratch;

    const T* row(Vertex u) const { return row(u, 0, columns); }

    // So many cells of a row, from a column on.
    const T* row(Vertex u, std::size_t first, std::size_t count) const {
        const std::uint8_t* from = at(u * columns + first);
        if (stored == Stored::in_place) return reinterpret_cast<const T*>(from);
        if constexpr (sizeof(T) == sizeof(float))
            if (stored != Stored::unaligned) {
                widen(from, count, stored, scratch);
                return scratch;
            }
        __builtin_memcpy(scratch, from, count * sizeof(T));
        return scratch;
    }
    [[gnu::always_inline]] T operator()(Vertex u, Vertex v) const {
        const std::uint8_t* from = at(u * columns + v);
        if constexpr (sizeof(T) == sizeof(float)) {
            if (stored == Stored::half) return widen_half(load<std::uint16_t>(from));
            if (stored == Stored::brain) return widen_brain(load<std::uint16_t>(from));
        }
        return load<T>(from);
    }
    bool widened() const { return stored >= Stored::half; }
    const std::uint8_t* stored_row(Vertex u) const { return at(u * columns); }
    std::size_t row_bytes() const { return columns * cell_bytes(); }
    std::size_t cell_bytes() const { return static_cast<std::size_t>(at(1) - bytes); }
    void prefetch(Vertex u, Vertex v) const { __builtin_prefetch(at(u * columns + v)); }

private:
    const std::uint8_t* at(std::size_t cell) const {
        if constexpr (sizeof(T) == sizeof(float))
            if (stored >= Stored::half) return bytes + cell * sizeof(std::uint16_t);
        return bytes + cell * sizeof(T);
    }
};

// The smallest finite score: everything below is -inf, which means never.
template <class T>
constexpr T kLowest = std::numeric_limits<T>::lowest();

template <class T>
constexpr bool is_finite(T score) {
    return score >= kLowest<T> && score <= std::numeric_limits<T>::max();
}

// Bit v & 7 of byte v >> 3 of row u tells whether edge (u, v) is kept.
struct Bits {
    std::uint8_t* bytes;
    std::size_t rows, columns, stride;

    std::uint8_t* row(Vertex u) const { return bytes + u * stride; }
    std::int64_t cells() const { return static_cast<std::int64_t>(rows * columns); }
    bool has(Vertex u, Vertex v) const { return row(u)[v >> 3] >> (v & 7) & 1; }
    void add(Vertex u, Vertex v, bool edge = true) const {
        row(u)[v >> 3] |= static_cast<std::uint8_t>(edge << (v & 7));
    }
    void remove(Vertex u, Vertex v) const {
        row(u)[v >> 3] &= static_cast<std::uint8_t>(~(1u << (v & 7)));
    }
};

constexpr std::size_t kGlance = 16;  // cells judged at once

// Calls visit(v) for the ascending columns whose bit is set in a word that starts at `first`.
template <class Visit>
inline void each_bit(Word word, Vertex first, Visit visit) {
    for (; word; word &= word - 1) visit(first + static_cast<Vertex>(__builtin_ctzll(word)));
}

// The word of columns 64·w onwards of a packed row; bits past the row's end are zero.
inline Word load_word(const std::uint8_t* row, std::size_t stride, std::size_t w) {
    if (8 * w + 8 <= stride) return load<Word>(row + 8 * w);
    Word word = 0;
    __builtin_memcpy(&word, row + 8 * w, stride - 8 * w);
    return word;
}

// A packed row as words; bits past the last column are not looked at.
inline void load_row(Bits graph, Vertex u, std::vector<Word>& words) {
    words.resize((graph.columns + 63) / 64);
    words.back() = 0;
    __builtin_memcpy(words.data(), graph.row(u), graph.stride);
    if (graph.columns % 64) words.back() &= (Word{1} << graph.columns % 64) - 1;
}

// One side of the graph: m' = n·floor + spare. A vertex may take an edge while its degree is below
// the floor, or at the floor while tokens are left; going above the floor costs a token.
class Side {
public:
    Side(std::size_t vertices, std::int64_t edges)
        : degree(vertices, 0),
          floor(edges / static_cast<std::int64_t>(vertices)),
          tokens(edges % static_cast<std::int64_t>(vertices)),
          limit(floor + (tokens > 0)) {}

    bool may_take(Vertex v) const { return degree[v] < limit; }

    // Room below the floor: so many edges are taken whatever the tokens do.
    std::int64_t sure_room(Vertex v) const { return floor - degree[v]; }

    // Takes an edge if `taken`; without a branch, because it cannot be predicted.
    void take(Vertex v, bool taken = true) {
        tokens -= taken & (degree[v] == floor);
        degree[v] += taken;
        limit = floor + (tokens > 0);
    }

    // Sets the degree a vertex has at the start.
    void set_degree(Vertex v, std::int64_t edges) {
        tokens -= edges > floor;
        degree[v] = static_cast<std::int32_t>(edges);
        limit = floor + (tokens > 0);
    }

    std::vector<Vertex> eligible() const {
        std::vector<Vertex> found;
        for (Vertex v = 0; v < degree.size(); ++v)
            if (may_take(v)) found.push_back(v);
        return found;
    }

    std::vector<std::int32_t> degree;
    std::int64_t floor, tokens, limit;
};

}  // namespace raiw
