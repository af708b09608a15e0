// The best pattern with N cells in every row and column of each M × M block, exactly.
#pragma once

#include "rows.hpp"

namespace raiw {

// Solves every block of a graph as a transportation problem; returns how many cells are kept that
// are not finite, which is more than none only where no pattern goes without. Scores are rounded to
// whole numbers, the largest of a block to 41 bits, so that no sum of doubles rounds. Prices of rows
// and columns are found for many blocks at a time, in floats. Where exactly N cells of every row and
// column are above them, these are the best pattern and the only one; else a few cells are moved
// along cheapest paths (successive shortest paths), and of equally good patterns the first is taken.
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
