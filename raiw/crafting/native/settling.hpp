// Prices at which the kept arcs are worth keeping and the others are not, by label correction
// (Bellman-Ford) on the residual network of a graph.
#pragma once

#include <algorithm>

#include "graph.hpp"

namespace raiw {

// Some edges of the complete graph, by row, with the prices of both sides.
struct PricedArcs {
    const std::int64_t *starts, *columns;
    const double* scores;
    const std::uint8_t* kept;
    std::size_t outputs, inputs;
    const std::uint8_t *output_above, *input_above;  // vertices above the floor
    double *output_prices, *input_prices;
    double tolerance;

    // Lets no output cost more than a kept edge bears, nor than any output above the floor.
    bool lower_outputs() const {
        bool moved = false;
        double line = std::numeric_limits<double>::infinity();
        for (std::size_t u = 0; u < outputs; ++u)
            if (output_above[u]) line = std::min(line, output_prices[u]);
        for (std::size_t u = 0; u < outputs; ++u) {
            double price = output_above[u] ? output_prices[u] : std::min(output_prices[u], line);
            for (std::int64_t arc = starts[u]; arc < starts[u + 1]; ++arc)
                if (kept[arc]) price = std::min(price, scores[arc] - input_prices[columns[arc]]);
            moved |= set(output_prices[u], price, price < output_prices[u] - tolerance);
        }
        return moved;
    }

    // Lets no input cost less than an edge that is not kept offers.
    bool raise_inputs() const {
        bool moved = false;
        for (std::size_t u = 0; u < outputs; ++u)
            for (std::int64_t arc = starts[u]; arc < starts[u + 1]; ++arc) {
                double& price = input_prices[columns[arc]];
                const double offer = scores[arc] - output_prices[u];
                moved |= set(price, offer, !kept[arc] && offer > price + tolerance);
            }
        return moved;
    }

    // Lets no input above the floor cost less than one at the floor.
    bool part_inputs() const {
        bool moved = false;
        double line = -std::numeric_limits<double>::infinity();
        for (std::size_t v = 0; v < inputs; ++v)
            if (!input_above[v]) line = std::max(line, input_prices[v]);
        for (std::size_t v = 0; v < inputs; ++v)
            moved |= set(input_prices[v], line,
                         input_above[v] && line > input_prices[v] + tolerance);
        return moved;
    }

    // Returns whether the prices settled within so many rounds.
    bool settle(std::int64_t rounds) const {
        for (std::int64_t round = 0; round < rounds; ++round) {
            bool moved = lower_outputs();
            moved |= raise_inputs();
            moved |= part_inputs();
            if (!moved) return true;
        }
        return false;
    }

private:
    static bool set(double& price, double value, bool moves) {
        if (moves) price = value;
        return moves;
    }
};

}  // namespace raiw
