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

// Rows are outputs, columns inputs; row-major.
template <class T>
struct Scores {
    const T* cells;
    std::size_t rows, columns;

    const T* row(Vertex u) const { return cells + u * columns; }
    T operator()(Vertex u, Vertex v) const { return cells[u * columns + v]; }
};

// The smallest finite score: everything below is -inf, which means never.
template <class T>
constexpr T kLowest = std::numeric_limits<T>::lowest();

// Bit v & 7 of byte v >> 3 of row u tells whether edge (u, v) is kept.
struct Bits {
    std::uint8_t* bytes;
    std::size_t rows, columns, stride;

    std::uint8_t* row(Vertex u) const { return bytes + u * stride; }
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
    Word word = 0;
    const std::size_t bytes = stride - 8 * w < 8 ? stride - 8 * w : 8;
    __builtin_memcpy(&word, row + 8 * w, bytes);
    return word;
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
