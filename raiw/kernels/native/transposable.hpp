// The best pattern with N cells in every row and column of each M × M block, exactly.
#pragma once

#include "rows.hpp"

namespace raiw {

template <class T>
std::int64_t solve_all_blocks(Scores<T> scores, Bits graph, int m, int n) {
    if (n == 0) return 0;
    const int side = m <= 8 ? 8 : m <= 16 ? 16 : 32;
    Blocks blocks(side, m, n);
    const SmallPatterns patterns(m == kSmall ? n : kSmall);
    std::int64_t forbidden = 0;
    for (Vertex row = 0; row < graph.rows; row += static_cast<Vertex>(m))
        for (Vertex column = 0; column < graph.columns; column += static_cast<Vertex>(kTogether * m)) {
            const auto left = (graph.columns - column) / static_cast<std::size_t>(m);
            forbidden += solve_blocks(scores, graph, row, column,
                                      left < kTogether ? static_cast<int>(left) : kTogether, patterns,
                                      blocks);
        }
    return forbidden;
}

}  // namespace raiw
