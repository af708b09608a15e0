// Prices at which the kept arcs are worth keeping and the others are not, by label correction
// (Bellman-Ford) on the residual network of a graph.
#pragma once

#include <algorithm>
#include <vector>

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
};

// The vertices are the outputs, then the inputs.
class Settling {
public:
    explicit Settling(const PricedArcs& arcs)
        : arcs_(arcs), moved_by_(arcs.outputs + arcs.inputs, kNobody), worth_(moved_by_.size()) {}

    // Returns whether the prices settled within so many rounds. They never do where an exchange of
    // arcs would raise the kept score: then vertices move each other's prices in a cycle.
    bool settle(std::int64_t rounds) {
        for (std::int64_t round = 0; round < rounds; ++round) {
            moved_ = false;
            lower_outputs();
            raise_inputs();
            part_inputs();
            if (!moved_) return true;
            if (improvable()) return false;
        }
        return false;
    }

private:
    static constexpr std::int64_t kNobody = -1;
    static constexpr double kNoticed = 1024;

    // Lets no output cost more than a kept edge bears, nor than any output above the floor.
    void lower_outputs() {
        const std::int64_t cheapest = extreme_output();
        for (std::size_t u = 0; u < arcs_.outputs; ++u) {
            double price = arcs_.output_prices[u], worth = 0;
            std::int64_t by = kNobody;
            if (cheapest != kNobody && !arcs_.output_above[u] &&
                arcs_.output_prices[cheapest] < price)
                price = arcs_.output_prices[cheapest], by = cheapest;
            for (std::int64_t arc = arcs_.starts[u]; arc < arcs_.starts[u + 1]; ++arc)
                if (arcs_.kept[arc]) {
                    const std::int64_t v = arcs_.columns[arc];
                    const double borne = arcs_.scores[arc] - arcs_.input_prices[v];
                    if (borne < price) price = borne, by = input(v), worth = arcs_.scores[arc];
                }
            if (price < arcs_.output_prices[u] - arcs_.tolerance)
                move(arcs_.output_prices[u], price, u, by, worth);
        }
    }

    // Lets no input cost less than an edge that is not kept offers.
    void raise_inputs() {
        for (std::size_t u = 0; u < arcs_.outputs; ++u)
            for (std::int64_t arc = arcs_.starts[u]; arc < arcs_.starts[u + 1]; ++arc) {
                const std::int64_t v = arcs_.columns[arc];
                double& price = arcs_.input_prices[v];
                const double offer = arcs_.scores[arc] - arcs_.output_prices[u];
                if (!arcs_.kept[arc] && offer > price + arcs_.tolerance)
                    move(price, offer, input(v), static_cast<std::int64_t>(u), -arcs_.scores[arc]);
            }
    }

    // Lets no input above the floor cost less than one at the floor.
    void part_inputs() {
        const std::int64_t dearest = extreme_input();
        if (dearest == kNobody) return;
        const double line = arcs_.input_prices[dearest];
        for (std::size_t v = 0; v < arcs_.inputs; ++v)
            if (arcs_.input_above[v] && line > arcs_.input_prices[v] + arcs_.tolerance)
                move(arcs_.input_prices[v], line, input(v), input(dearest), 0);
    }

    // The cheapest output above the floor.
    std::int64_t extreme_output() const {
        std::int64_t found = kNobody;
        for (std::size_t u = 0; u < arcs_.outputs; ++u)
            if (arcs_.output_above[u] &&
                (found == kNobody || arcs_.output_prices[u] < arcs_.output_prices[found]))
                found = static_cast<std::int64_t>(u);
        return found;
    }

    // The dearest input at the floor.
    std::int64_t extreme_input() const {
        std::int64_t found = kNobody;
        for (std::size_t v = 0; v < arcs_.inputs; ++v)
            if (!arcs_.input_above[v] &&
                (found == kNobody || arcs_.input_prices[v] > arcs_.input_prices[found]))
                found = static_cast<std::int64_t>(v);
        return found;
    }

    std::int64_t input(std::int64_t v) const {
        return static_cast<std::int64_t>(arcs_.outputs) + v;
    }

    void move(double& price, double value, std::int64_t vertex, std::int64_t by, double worth) {
        price = value;
        moved_by_[vertex] = by;
        worth_[vertex] = worth;
        moved_ = true;
    }

    // Whether some vertices move each other's prices round and round, by more than what an optimal
    // graph may lack through the rounding of its scores.
    bool improvable() {
        const std::int64_t vertices = static_cast<std::int64_t>(moved_by_.size());
        seen_.assign(vertices, kNobody);
        for (std::int64_t start = 0; start < vertices; ++start) {
            std::int64_t vertex = start;
            while (vertex != kNobody && seen_[vertex] == kNobody) {
                seen_[vertex] = start;
                vertex = moved_by_[vertex];
            }
            if (vertex != kNobody && seen_[vertex] == start && loses(vertex)) return true;
        }
        return false;
    }

    bool loses(std::int64_t start) const {
        double worth = 0;
        std::int64_t vertex = start;
        do {
            worth += worth_[vertex];
            vertex = moved_by_[vertex];
        } while (vertex != start);
        return worth < -kNoticed * arcs_.tolerance;
    }

    PricedArcs arcs_;
    std::vector<std::int64_t> moved_by_;  // the vertex whose price moved that of this one last
    std::vector<double> worth_;           // score of the arc between them, negated if not kept
    std::vector<std::int64_t> seen_;
    bool moved_ = false;
};

}  // namespace raiw
