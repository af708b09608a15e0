// Algorithms `regular` (Algorithm 2 with repair) and `random` (a uniform set of edges).
#pragma once

#include <numeric>
#include <utility>

#include "graph.hpp"
#include "philox.hpp"

namespace raiw {

// The vertices of a side, those of least degree in front.
class LeastFirst {
public:
    explicit LeastFirst(std::size_t vertices) : order_(vertices), count_(vertices) {
        std::iota(order_.begin(), order_.end(), Vertex{0});
    }
    Vertex operator[](std::size_t position) const { return order_[position]; }
    std::uint32_t count() const { return static_cast<std::uint32_t>(count_); }

    // The vertex at `position` gains a degree: it goes behind the others of least degree.
    void raise(std::size_t position) {
        std::swap(order_[position], order_[--count_]);
        if (count_ == 0) count_ = order_.size();
    }

private:
    std::vector<Vertex> order_;
    std::size_t count_;
};

class RegularGraph {
public:
    RegularGraph(Bits graph, std::uint64_t key)
        : graph_(graph), random_(key), outs_(graph.rows), ins_(graph.columns) {}

    void build(std::int64_t edges) {
        for (; edges > 0; --edges) {
            const auto [i, j] = draw_pair();
            if (graph_.has(outs_[i], ins_[j])) make_room(outs_[i], ins_[j]);
            graph_.add(outs_[i], ins_[j]);
            outs_.raise(i);
            ins_.raise(j);
        }
    }

private:
    using Pair = std::pair<std::uint32_t, std::uint32_t>;
    static constexpr std::uint64_t kTries = 16;

    Pair draw() {
        const std::uint32_t i = random_.below(outs_.count());
        return {i, random_.below(ins_.count())};
    }
    bool joined(Pair pair) const { return graph_.has(outs_[pair.first], ins_[pair.second]); }

    // Positions of a free pair, drawn uniformly; of a joined pair if none is free.
    Pair draw_pair() {
        Pair pair = draw();
        const std::uint64_t tries = kTries + std::uint64_t{outs_.count()} * ins_.count();
        for (std::uint64_t t = 0; joined(pair) && t < tries; ++t) pair = draw();
        return joined(pair) ? draw_listed(pair) : pair;
    }

    // Lists the free pairs and draws one of them.
    Pair draw_listed(Pair otherwise) {
        std::vector<Pair> free;
        for (std::uint32_t i = 0; i < outs_.count(); ++i)
            for (std::uint32_t j = 0; j < ins_.count(); ++j)
                if (!joined({i, j})) free.emplace_back(i, j);
        if (free.empty()) return otherwise;
        return free[random_.below(static_cast<std::uint32_t>(free.size()))];
    }

    // Frees the place of the joined pair (u, v) one degree higher: an output x without v gives u an
    // input y that u has not, and takes v.
    void make_room(Vertex u, Vertex v) {
        Vertex x;
        do x = random_.below(static_cast<std::uint32_t>(graph_.rows));
        while (graph_.has(x, v));
        std::vector<Vertex> surplus;
        for (std::size_t w = 0; 8 * w < graph_.stride; ++w) {
            const Word only_x = load_word(graph_.row(x), graph_.stride, w) &
                                ~load_word(graph_.row(u), graph_.stride, w);
            each_bit(only_x, static_cast<Vertex>(64 * w), [&](Vertex y) { surplus.push_back(y); });
        }
        const Vertex y = surplus[random_.below(static_cast<std::uint32_t>(surplus.size()))];
        graph_.remove(x, y);
        graph_.add(u, y);
        graph_.add(x, v);
    }

    Bits graph_;
    Philox random_;
    LeastFirst outs_, ins_;
};

// Draws cells until `edges` different ones are set; meant for at most half of all cells.
inline void draw_edges(Bits graph, std::int64_t edges, std::uint64_t key) {
    Philox random(key);
    const auto rows = static_cast<std::uint32_t>(graph.rows);
    const auto columns = static_cast<std::uint32_t>(graph.columns);
    while (edges > 0) {
        const Vertex u = random.below(rows);
        const Vertex v = random.below(columns);
        edges -= !graph.has(u, v);
        graph.add(u, v);
    }
}

}  // namespace raiw
